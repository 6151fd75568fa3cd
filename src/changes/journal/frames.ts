import { createHash } from 'node:crypto';
import { fstatSync } from 'node:fs';
import type { Fd } from '../../kernel/kernel.js';
import { readAt, type Disk } from '../apply/disk.js';

/**
 * A file of records: length (4 bytes, little endian), the first 8 bytes of the
 * payload's SHA-256, the payload. Its first byte is the record's kind. The
 * first record that is cut short or doesn't match ends the file.
 */
export interface Frame {
  readonly kind: string;
  /** one char per byte */
  readonly body: string;
  /** offset after the record */
  readonly end: number;
}

const HEAD = 12;
/** What is longer is no record of ours, and is not written: a string holds little more. */
const MOST = 480 * 1024 * 1024;
/** A list goes into records of about this size. */
const PIECE = 256 * 1024;

/** A journal that is being written; `at` in bytes from its beginning. */
export interface FrameWriter {
  readonly fd: Fd;
  readonly disk: Disk;
  /** where the next record goes */
  at: number;
}

/** Not synced. `kind` is one byte, `body` one char per byte. Throws errno of the write, and for a body of 480 MiB. */
export function writeFrame(writer: FrameWriter, kind: string, body: string): void {
  const record = frameOf(kind, body);
  writer.disk.write(writer.fd, record, writer.at);
  writer.at += record.length;
}

/** A list in as many records as it takes; an item is never divided. */
export function writeList(writer: FrameWriter, kind: string, items: Iterable<string>): void {
  let piece = '';
  for (const item of items) {
    piece += item;
    if (piece.length < PIECE) continue;
    writeFrame(writer, kind, piece);
    piece = '';
  }
  if (piece !== '') writeFrame(writer, kind, piece);
}

/** A record as it lies in the file; see `Frame`. */
export function frameOf(kind: string, body: string): Buffer {
  if (body.length >= MOST) throw new Error('a record of the journal would be too long');
  const record = Buffer.allocUnsafe(HEAD + 1 + body.length);
  record.writeUInt32LE(1 + body.length, 0);
  record.write(kind, HEAD, 'latin1');
  record.write(body, HEAD + 1, 'latin1');
  checksum(record.subarray(HEAD)).copy(record, 4, 0, 8);
  return record;
}

function checksum(payload: Buffer): Buffer {
  return createHash('sha256').update(payload).digest();
}

/** The records of a file, one at a time. */
export function* framesIn(fd: Fd): Generator<Frame> {
  const { size } = fstatSync(fd);
  for (let at = 0; ; ) {
    const head = readAt(fd, at, HEAD);
    if (head.length < HEAD) return;
    const length = head.readUInt32LE(0);
    if (length === 0 || length > MOST || at + HEAD + length > size) return;
    const payload = readAt(fd, at + HEAD, length);
    if (payload.length < length) return;
    if (checksum(payload).compare(head, 4, HEAD, 0, 8) !== 0) return;
    at += HEAD + length;
    yield { kind: String.fromCharCode(payload[0] ?? 0), body: payload.toString('latin1', 1), end: at };
  }
}
