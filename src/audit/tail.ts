import { constants, fstatSync, readSync } from 'node:fs';
import type { Bytes } from '../bytes.js';
import { joinBytes } from '../bytes.js';
import { openOwn, writeAll } from '../kernel/files.js';
import type { Fd, Kernel } from '../kernel/kernel.js';
import { GENESIS, hashLine, type AuditAnchor } from './chain.js';
import { MAX_LINE, readHead } from './files.js';

/** Where a log lies. */
interface Place {
  readonly kernel: Kernel;
  readonly dir: Bytes;
}

/** A record by its place in the chain; -1 and zeros before the first. */
interface End {
  readonly index: number;
  readonly hash: string;
}

/** The end that this line is; null: there is no record. */
export function endOf(last: string | null): End {
  return last === null ? { index: -1, hash: GENESIS } : { index: indexOf(last), hash: hashLine(last) };
}

/**
 * Of what was found at the end of a log that somebody opens, and what the signed head
 * and `sandbox.json` remember of it, what goes furthest. A log that has lost records goes
 * on behind them: numbered and signed anew from where it was cut, it would look whole.
 */
export function furthest(log: Place & { readonly anchor?: AuditAnchor | null }, found: End): End {
  return [headOf(log), log.anchor ?? null].reduce<End>((end, known) => (known !== null && known.index >= end.index ? { index: known.index, hash: known.hash } : end), found);
}

/** Null also for one that nobody can read, which `verify` says. */
function headOf({ kernel, dir }: Place): End | null {
  try {
    return readHead(kernel, dir);
  } catch {
    return null;
  }
}

/** What a crash left of a line is ended, so that it stays one bad record and takes no good one with it. */
export function endPartialLine(fd: Fd, size: number): number {
  if (size === 0) return 0;
  const tail = Buffer.alloc(1);
  readSync(fd, tail, 0, 1, size - 1);
  if (tail[0] === 0x0a) return size;
  writeAll(fd, '\n');
  return size + 1;
}

/** The last record of a log whose newest file has none yet; null where no file was rotated away. */
export function lastOfRotated({ kernel, dir }: Place, files: readonly Bytes[]): string | null {
  const name = files.at(-1);
  if (name === undefined) return null;
  const fd = openOwn(kernel, joinBytes(dir, name), constants.O_RDONLY);
  try {
    return lastLine(fd, fstatSync(fd).size);
  } finally {
    kernel.close(fd);
  }
}

/** The last line that is a record. */
export function lastLine(fd: Fd, size: number): string | null {
  const tail = Buffer.alloc(Math.min(size, 2 * MAX_LINE));
  readSync(fd, tail, 0, tail.length, size - tail.length);
  const lines = tail.toString('latin1').split('\n');
  return lines.reverse().find((line) => line.startsWith('{"v":1,') && line.endsWith('}')) ?? null;
}

function indexOf(line: string): number {
  const found = /^\{"v":1,"index":(\d+),/.exec(line);
  if (found === null) throw new Error('the last audit record has no index');
  return Number(found[1]);
}
