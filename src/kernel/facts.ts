import { accessSync, constants, lstatSync, readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import type { Bytes } from '../bytes.js';
import { fromBuffer, toBuffer } from '../bytes.js';
import type { HostFacts, HostStat } from '../view/plan.js';

/** The host as this process may see it. Nothing here opens a file, so no automount and no FIFO is touched. */
export const hostFacts: HostFacts = {
  lstat: (path) => attempt(() => statOf(path)),
  list: (path) => attempt(() => readdirSync(toBuffer(path), { encoding: 'buffer' }).map(fromBuffer)),
  readlink: (path) => attempt(() => fromBuffer(readlinkSync(toBuffer(path), { encoding: 'buffer' }))),
  realpath: (path) => attempt(() => fromBuffer(realpathSync.native(toBuffer(path), { encoding: 'buffer' }))),
  writable: (path) => may(path, constants.W_OK),
  searchable: (path) => may(path, constants.X_OK),
};

/** Everything in /proc/self/mountinfo, one char per byte. */
export function readMountinfo(): Bytes {
  return readFileSync('/proc/self/mountinfo', 'latin1') as Bytes;
}

/** The beginning of a regular file, for `#!` lines and git's pointer files; null when it can't be read. */
export function readStart(path: Bytes, bytes: number): Bytes | null {
  if (statOf(path)?.type !== 'file') return null;
  return attempt(() => readFileSync(toBuffer(path)).subarray(0, bytes).toString('latin1') as Bytes);
}

function statOf(path: Bytes): HostStat | null {
  const stat = lstatSync(toBuffer(path), { throwIfNoEntry: false });
  if (stat === undefined) return null;
  const type = stat.isDirectory() ? 'dir' : stat.isFile() ? 'file' : stat.isSymbolicLink() ? 'symlink' : 'other';
  return { type, mode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid, size: stat.size };
}

function may(path: Bytes, mode: number): boolean {
  return attempt(() => (accessSync(toBuffer(path), mode), true)) ?? false;
}

/** A question that can't be answered has the answer null: the planner treats it as "not there". */
function attempt<T>(ask: () => T): T | null {
  try {
    return ask();
  } catch {
    return null;
  }
}
