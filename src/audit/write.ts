import { constants, fstatSync, ftruncateSync } from 'node:fs';
import type { Bytes } from '../bytes.js';
import { joinBytes, toText } from '../bytes.js';
import { AgentfwError, isNoSpace } from '../errors.js';
import { openOwn, writeAll } from '../kernel/files.js';
import { AT_FDCWD, RENAME, type Fd, type Kernel } from '../kernel/kernel.js';
import { GENESIS, hashLine, lineOf, signHead, type AuditAnchor } from './chain.js';
import type { AuditEvent } from './event.js';
import { CURRENT, LOCK, logFiles, MAX_LINE, nextRotated, readHead, writeHead } from './files.js';
import { endOf, endPartialLine, furthest, lastLine, lastOfRotated } from './tail.js';

/** Whose log it is, and what bounds it. */
export interface AuditOptions {
  readonly kernel: Kernel;
  /** the sandbox's directory in the store */
  readonly dir: Bytes;
  readonly tag: string;
  readonly policy: string | null;
  /** how far `sandbox.json` remembers it to have come */
  readonly anchor?: AuditAnchor | null;
  readonly now: () => Date;
  /** `stop`: a record that can't be written throws; `drop`: it is counted, and the count recorded later */
  readonly onFull: 'stop' | 'drop';
  /** a file this long is followed by a new one; default 16 MiB */
  readonly rotateBytes?: number;
  /** of all files together; default 1 GiB */
  readonly maxBytes?: number;
}

/** A log that is open for writing. */
export interface Audit {
  /** Appends one record before it returns; several processes may. Its index, or null when it was dropped. */
  readonly record: (event: AuditEvent) => number | null;
  /** the same for several, in order, under one lock */
  readonly recordAll: (events: readonly AuditEvent[]) => void;
  /** records lost so far (`onFull: drop`) */
  readonly dropped: () => number;
  /** the last record that this writer knows of; null before there is one */
  readonly newest: () => AuditAnchor | null;
  /** false: another process has written since */
  readonly isEnd: () => boolean;
  /** what was recorded survives a crash of the machine */
  readonly sync: () => void;
  /** signs the end with the user's key; the log may be opened and go on again */
  readonly close: (privateKey: string) => void;
  /** signs the end as it is, after a run: for what is done to its changes */
  readonly seal: (privateKey: string) => void;
  /** leaves without a signature */
  readonly leave: () => void;
}

interface Writer {
  readonly options: AuditOptions;
  readonly lock: Fd;
  fd: Fd;
  /** where we left the current file: if it is longer, somebody else wrote */
  size: number;
  index: number;
  hash: string;
  /** bytes in the rotated files */
  older: number;
  dropped: number;
  told: number;
}

/** Opens the log of a sandbox, new or to go on with it. */
export function openAudit(options: AuditOptions): Audit {
  const { kernel, dir } = options;
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
  const lock = openOwn(kernel, joinBytes(dir, LOCK), flags, 0o600);
  const writer: Writer = { options, lock, fd: openCurrent(options), size: -1, index: -1, hash: GENESIS, older: 0, dropped: 0, told: 0 };
  const leave = (): void => {
    kernel.close(writer.fd);
    kernel.close(lock);
  };
  return {
    record: (event) => locked(writer, () => recordOrDrop(writer, event)),
    recordAll: (events) => locked(writer, () => recordEach(writer, events)),
    dropped: () => writer.dropped,
    newest: () => newest(writer),
    isEnd: () => kernel.statOrNull(AT_FDCWD, joinBytes(dir, CURRENT))?.size === writer.size,
    sync: () => kernel.fsync(writer.fd),
    close: (privateKey) => {
      locked(writer, () => closed(writer, privateKey));
      leave();
    },
    seal: (privateKey) => {
      locked(writer, () => sealed(writer, privateKey));
      leave();
    },
    leave,
  };
}

function openCurrent({ kernel, dir }: AuditOptions): Fd {
  return openOwn(kernel, joinBytes(dir, CURRENT), constants.O_RDWR | constants.O_CREAT | constants.O_APPEND, 0o600);
}

function locked<T>(writer: Writer, work: () => T): T {
  const { kernel } = writer.options;
  kernel.flock(writer.lock, 'exclusive', true);
  try {
    return work();
  } finally {
    kernel.flock(writer.lock, 'unlock', false);
  }
}

function recordOrDrop(writer: Writer, event: AuditEvent): number | null {
  try {
    catchUp(writer);
    if (writer.dropped > writer.told) {
      append(writer, { kind: 'dropped', detail: { count: writer.dropped - writer.told, total: writer.dropped } });
      writer.told = writer.dropped;
    }
    return append(writer, event);
  } catch (cause) {
    if (writer.options.onFull === 'drop') {
      writer.dropped += 1;
      return null;
    }
    throw new AgentfwError('AFW_AUDIT', "Can't write the audit log.", { cause, hint: hintFor(cause, writer.options) });
  }
}

function hintFor(cause: unknown, { tag, dir }: AuditOptions): string {
  if (cause instanceof Cut) return `See agentfw log verify ${tag}`;
  if (cause instanceof Full) return 'Go on in a new sandbox, or set audit.full: drop in your policy';
  if (isNoSpace(cause)) return 'Free some space, or set audit.full: drop in your policy';
  return `See with ls -l and lsattr what keeps you from writing it: ${toText(joinBytes(dir, CURRENT))}`;
}

/** In one write if all goes well, else one by one: then each is written, dropped or thrown for itself. */
function recordEach(writer: Writer, events: readonly AuditEvent[]): void {
  const progress = { written: 0 };
  if (events.length > 1 && writer.dropped === writer.told) {
    try {
      catchUp(writer);
      appendAll(writer, events, progress);
    } catch {
      // each for itself
    }
  }
  for (const event of events.slice(progress.written)) recordOrDrop(writer, event);
}

function append(writer: Writer, event: AuditEvent): number {
  appendAll(writer, [event], { written: 0 });
  return writer.index;
}

function appendAll(writer: Writer, events: readonly AuditEvent[], progress: { written: number }): void {
  const { maxBytes = 1 << 30, rotateBytes = 16 << 20, now, tag, policy } = writer.options;
  let text = '';
  let { index, hash } = writer;
  const write = (): void => {
    writeOrTakeBack(writer, text);
    progress.written += index - writer.index;
    writer.size += text.length;
    text = '';
    Object.assign(writer, { index, hash });
  };
  for (const event of events) {
    if (writer.size + text.length >= rotateBytes && event.kind !== 'rotate') {
      if (text !== '') write();
      rotate(writer);
      ({ index, hash } = writer);
    }
    const line = lineOf(event, { index: index + 1, time: now(), tag, policy, prev: hash });
    if (line.length > MAX_LINE) throw new Error(`a record of ${line.length} bytes is too long`);
    if (writer.older + writer.size + text.length + line.length > maxBytes) throw new Full(maxBytes);
    text += `${line}\n`;
    index += 1;
    hash = hashLine(line);
  }
  write();
}

/** What a full disk took of it is no record: without it the chain stays whole. */
function writeOrTakeBack({ fd, size }: Writer, text: string): void {
  try {
    writeAll(fd, text);
  } catch (error) {
    ftruncateSync(fd, size);
    throw error;
  }
}

/** The chain goes on in a new file. The old one's last record says so: another writer sees it by the size alone. */
function rotate(writer: Writer): void {
  const { kernel, dir } = writer.options;
  const file = nextRotated(kernel, dir);
  append(writer, { kind: 'rotate', object: { file } });
  kernel.fsync(writer.fd);
  kernel.rename(AT_FDCWD, joinBytes(dir, CURRENT), AT_FDCWD, joinBytes(dir, file), RENAME.noReplace);
  kernel.close(writer.fd);
  writer.fd = openCurrent(writer.options);
  writer.older += writer.size;
  writer.size = 0;
}

/** Another process may have written, rotated, or died in the middle of a line; none takes records away. */
function catchUp(writer: Writer): void {
  const { kernel, dir } = writer.options;
  const held = fstatSync(writer.fd);
  if (held.size === writer.size && held.nlink > 0) return;
  const named = kernel.statOrNull(AT_FDCWD, joinBytes(dir, CURRENT));
  if (named === null || named.ino !== kernel.stat(writer.fd, '' as Bytes).ino) {
    kernel.close(writer.fd);
    writer.fd = openCurrent(writer.options);
  }
  const size = fstatSync(writer.fd).size;
  const files = logFiles(kernel, dir).filter((name) => name !== CURRENT);
  writer.older = files.reduce((sum, name) => sum + kernel.stat(AT_FDCWD, joinBytes(dir, name)).size, 0);
  const end = endPartialLine(writer.fd, size);
  const found = endOf(lastLine(writer.fd, end) ?? lastOfRotated(writer.options, files));
  if (found.index < writer.index || (fstatSync(writer.fd).ino === held.ino && isChanged(writer))) throw new Cut(writer.index);
  Object.assign(writer, { size: end, ...(writer.size < 0 ? furthest(writer.options, found) : found) });
}

/** What was written is not there any more: to go on would sign what is left of it. */
class Cut extends Error {
  constructor(index: number) {
    super(`it was cut or changed: record ${index} is gone`);
  }
}

/** Of room on the disk there may be plenty. */
class Full extends Error {
  constructor(maxBytes: number) {
    super(`the log has reached ${maxBytes} bytes`);
  }
}

/** The last record that this writer knows of is another one now. */
function isChanged({ fd, size, index, hash }: Writer): boolean {
  const line = index < 0 || size <= 0 ? null : lastLine(fd, size);
  return line !== null && hashLine(line) !== hash;
}

function newest({ index, hash, options }: Writer): AuditAnchor | null {
  return index < 0 ? null : { index, hash, signed: hasSignedEnd(options) };
}

function hasSignedEnd({ kernel, dir }: AuditOptions): boolean {
  try {
    return (readHead(kernel, dir)?.signature ?? null) !== null;
  } catch {
    return false; // not readable, which `verify` says
  }
}

function closed(writer: Writer, privateKey: string): void {
  const { kernel, dir } = writer.options;
  catchUp(writer);
  append(writer, { kind: 'closed', detail: { dropped: writer.dropped, before: readHead(kernel, dir)?.hash ?? null } });
  sealed(writer, privateKey);
}

function sealed(writer: Writer, privateKey: string): void {
  const { kernel, dir, tag } = writer.options;
  catchUp(writer);
  kernel.fsync(writer.fd);
  writeHead(kernel, dir, signHead({ version: 1, tag, index: writer.index, hash: writer.hash, signature: null, key: null }, privateKey));
}
