import { constants, fstatSync, readSync } from 'node:fs';
import type { Bytes } from '../bytes.js';
import { joinBytes } from '../bytes.js';
import { errnoOf } from '../errors.js';
import { openOwn } from '../kernel/files.js';
import { AT_FDCWD, type Fd, type Kernel } from '../kernel/kernel.js';
import { auditRecordSchema, type AuditKind, type AuditRecord } from './event.js';
import { logFiles } from './files.js';

/** A line of a log as it lies on the disk, whatever it says. */
export interface RawLine {
  readonly file: Bytes;
  /** 1, 2, … in its file */
  readonly number: number;
  /** without its line end; one char per byte */
  readonly text: string;
  /** false: the file ends in the middle of it */
  readonly ended: boolean;
}

/** What of a log is told; all of it where nothing is said. */
export interface LogFilter {
  readonly kinds?: readonly AuditKind[];
  readonly denied?: boolean;
}

/** All lines of a log, oldest first, a piece of file at a time. Throws what kept a file from being opened when it comes to it. */
export function* rawLines(kernel: Kernel, dir: Bytes): Generator<RawLine> {
  const opened = openAll(kernel, dir);
  try {
    for (const { file, fd } of opened) {
      if (typeof fd === 'function') return fd();
      let number = 0;
      const pieces = new Pieces(fd);
      for (let line = pieces.next(); line !== null; line = pieces.next()) yield { file, number: (number += 1), ...line };
      const rest = pieces.rest();
      if (rest !== '') yield { file, number: number + 1, text: rest, ended: false };
    }
  } finally {
    closeAll(kernel, opened);
  }
}

interface Opened {
  readonly file: Bytes;
  /** or what throws why there is none */
  readonly fd: Fd | (() => never);
}

/** Rotations that may come while the files are opened: each takes 16 MiB of records. */
const MOST_ROTATIONS = 100;

/** All at once: of files that are opened one by one, one that is rotated away meanwhile would be passed over, and its records be missed. */
function openAll(kernel: Kernel, dir: Bytes): readonly Opened[] {
  for (let looks = 1; ; looks += 1) {
    const files = logFiles(kernel, dir);
    const opened = files.map((file): Opened => ({ file, fd: openOrThrow(kernel, joinBytes(dir, file)) }));
    if (logFiles(kernel, dir).join('/') === files.join('/') || looks === MOST_ROTATIONS) return opened;
    closeAll(kernel, opened);
  }
}

function openOrThrow(kernel: Kernel, path: Bytes): Opened['fd'] {
  try {
    return openOwn(kernel, path, constants.O_RDONLY);
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

function closeAll(kernel: Kernel, opened: readonly Opened[]): void {
  for (const { fd } of opened) if (typeof fd !== 'function') kernel.close(fd);
}

/** Records that fit; what is no record is left to `verify`. */
export function* readLog(kernel: Kernel, dir: Bytes, filter: LogFilter = {}): Generator<AuditRecord> {
  for (const line of rawLines(kernel, dir)) {
    const record = parseLine(line.text);
    if (record !== null && fits(record, filter)) yield record;
  }
}

/** The same, then what is appended, until the signal or until the log is gone. */
export async function* followLog(kernel: Kernel, dir: Bytes, filter: LogFilter, signal: AbortSignal, pauseMs = 200): AsyncGenerator<AuditRecord> {
  let next = 0;
  const read: Read = { ino: null, at: 0 };
  while (!signal.aborted) {
    try {
      for (const record of readFrom(kernel, dir, next, read)) {
        next = record.index + 1;
        if (fits(record, filter)) yield record;
      }
    } catch (error) {
      // Else a file was just rotated away.
      if (errnoOf(error) !== 'ENOENT') throw error;
      if (kernel.statOrNull(AT_FDCWD, dir) === null) return;
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

/** How far the newest file has been read: a log of megabytes is not read anew five times a second. */
interface Read {
  ino: number | null;
  at: number;
}

function* readFrom(kernel: Kernel, dir: Bytes, index: number, read: Read): Generator<AuditRecord> {
  const fds: Fd[] = [];
  try {
    if (!openFrom(kernel, dir, index, fds)) return;
    for (const fd of fds) {
      const { ino, size } = fstatSync(fd);
      const pieces = new Pieces(fd, ino === read.ino && size >= read.at ? read.at : 0);
      for (let line = pieces.next(); line !== null; line = pieces.next()) {
        const record = parseLine(line.text);
        if (record !== null && record.index >= index) yield record;
      }
      Object.assign(read, { ino, at: pieces.ended() });
    }
  } finally {
    for (const fd of fds) kernel.close(fd);
  }
}

/** From the one that has this record to the newest. False: one was rotated away meanwhile, and its records would be passed over. */
function openFrom(kernel: Kernel, dir: Bytes, index: number, fds: Fd[]): boolean {
  const files = logFiles(kernel, dir);
  for (const file of [...files].reverse()) {
    const fd = openOwn(kernel, joinBytes(dir, file), constants.O_RDONLY);
    fds.unshift(fd);
    const first = parseLine(new Pieces(fd).next()?.text ?? '')?.index;
    if (first !== undefined && first <= index) break;
  }
  return logFiles(kernel, dir).length === files.length;
}

/** null for what is no record: the caller says so, and reads on. */
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
  private searched = 0;
  private readonly buffer = Buffer.alloc(64 * 1024);
  constructor(private readonly fd: Fd, private at = 0) {}

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

  /** where the last line that `next` gave has its end */
  ended(): number {
    return this.at - this.pending.length;
  }

  rest(): string {
    return this.pending;
  }
}
