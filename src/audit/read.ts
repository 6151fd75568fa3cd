import { constants, readSync } from 'node:fs';
import type { Bytes } from '../bytes.js';
import { joinBytes } from '../bytes.js';
import { AT_FDCWD, type Fd, type Kernel } from '../kernel/kernel.js';
import { auditRecordSchema, type AuditKind, type AuditRecord } from './event.js';
import { CURRENT, logFiles } from './files.js';

export interface RawLine {
  readonly file: Bytes;
  /** 1, 2, … in its file */
  readonly number: number;
  /** without its line end; one char per byte */
  readonly text: string;
  /** false: the file ends in the middle of it */
  readonly ended: boolean;
}

export interface LogFilter {
  readonly kinds?: readonly AuditKind[];
  readonly denied?: boolean;
}

/** All lines of a log, oldest first, a piece of file at a time. */
export function* rawLines(kernel: Kernel, dir: Bytes): Generator<RawLine> {
  for (const file of logFiles(kernel, dir)) {
    const fd = kernel.open(AT_FDCWD, joinBytes(dir, file), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      let number = 0;
      const pieces = new Pieces(fd);
      for (let line = pieces.next(); line !== null; line = pieces.next()) yield { file, number: (number += 1), ...line };
      const rest = pieces.rest();
      if (rest !== '') yield { file, number: number + 1, text: rest, ended: false };
    } finally {
      kernel.close(fd);
    }
  }
}

/** Records that fit; what is no record is left to `verify`. */
export function* readLog(kernel: Kernel, dir: Bytes, filter: LogFilter = {}): Generator<AuditRecord> {
  for (const line of rawLines(kernel, dir)) {
    const record = parseLine(line.text);
    if (record !== null && fits(record, filter)) yield record;
  }
}

/** The same, then what is appended, until the signal. */
export async function* followLog(kernel: Kernel, dir: Bytes, filter: LogFilter, signal: AbortSignal, pauseMs = 200): AsyncGenerator<AuditRecord> {
  let next = 0;
  while (!signal.aborted) {
    for (const record of readFrom(kernel, dir, next)) {
      next = record.index + 1;
      if (fits(record, filter)) yield record;
    }
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, pauseMs);
      function done(): void {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      }
      signal.addEventListener('abort', done);
    });
  }
}

/** Only the current file is read again, unless it was rotated away from under us. */
function* readFrom(kernel: Kernel, dir: Bytes, index: number): Generator<AuditRecord> {
  const files = logFiles(kernel, dir);
  const first = index > 0 ? firstIndex(kernel, joinBytes(dir, files.at(-1) ?? CURRENT)) : null;
  const from = first !== null && first <= index ? files.slice(-1) : files;
  for (const file of from) {
    const fd = kernel.open(AT_FDCWD, joinBytes(dir, file), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const pieces = new Pieces(fd);
      for (let line = pieces.next(); line !== null; line = pieces.next()) {
        const record = parseLine(line.text);
        if (record !== null && record.index >= index) yield record;
      }
    } finally {
      kernel.close(fd);
    }
  }
}

function firstIndex(kernel: Kernel, path: Bytes): number | null {
  const fd = kernel.open(AT_FDCWD, path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const line = new Pieces(fd).next();
    return line === null ? null : (parseLine(line.text)?.index ?? null);
  } finally {
    kernel.close(fd);
  }
}

export function parseLine(text: string): AuditRecord | null {
  try {
    const parsed = auditRecordSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

function fits(record: AuditRecord, { kinds, denied }: LogFilter): boolean {
  return (kinds === undefined || kinds.includes(record.kind)) && (denied !== true || record.verdict === 'deny');
}

/** No record is so long: of what is, a NUL stays, which is none. */
const LONGEST = 1 << 20;

/** Lines of a file without holding the file. */
class Pieces {
  private pending = '';
  private at = 0;
  private searched = 0;
  private readonly buffer = Buffer.alloc(64 * 1024);
  constructor(private readonly fd: Fd) {}

  next(): { text: string; ended: true } | null {
    for (;;) {
      const end = this.pending.indexOf('\n', this.searched);
      if (end >= 0) {
        const text = this.pending.slice(0, end);
        this.pending = this.pending.slice(end + 1);
        this.searched = 0;
        return { text, ended: true };
      }
      if (this.pending.length > LONGEST) this.pending = '\u0000';
      this.searched = this.pending.length;
      const count = readSync(this.fd, this.buffer, 0, this.buffer.length, this.at);
      if (count === 0) return null;
      this.at += count;
      this.pending += this.buffer.toString('latin1', 0, count);
    }
  }

  rest(): string {
    return this.pending;
  }
}
