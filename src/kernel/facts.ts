import { accessSync, closeSync, constants, lstatSync, openSync, readFileSync, readSync, readlinkSync, realpathSync } from 'node:fs';
import type { Bytes } from '../bytes.js';
import { fromBuffer, toBuffer } from '../bytes.js';
import { AT_FDCWD } from './kernel.js';
import { native } from './native.js';
import type { HostFacts, HostStat } from '../view/plan.js';

/**
 * The host as this process may see it, for the length of one plan: what was
 * looked at once is not asked again. No file is opened, so no automount and
 * no FIFO is touched. `silent` are mount points that don't answer: asked for
 * first by the planner, and nothing below them after that.
 */
export function planningFacts(silent: ReadonlySet<Bytes>): HostFacts {
  const known = new Map<Bytes, HostStat | null>([...silent].map((path) => [path, null]));
  const lstat = (path: Bytes): HostStat | null => {
    let stat = known.get(path);
    if (stat === undefined) known.set(path, (stat = hostFacts.lstat(path)));
    return stat;
  };
  return { ...hostFacts, lstat, writable: (path) => isWritable(path, lstat(path)) };
}

export const hostFacts: HostFacts = {
  lstat: (path) => attempt(() => statOf(path)),
  list: (path) => attempt(() => namesIn(path)),
  readlink: (path) => attempt(() => fromBuffer(readlinkSync(toBuffer(path), { encoding: 'buffer' }))),
  realpath: (path) => attempt(() => fromBuffer(realpathSync.native(toBuffer(path), { encoding: 'buffer' }))),
  readable: (path) => may(path, constants.R_OK),
  writable: (path) => isWritable(path, statOf(path)),
  searchable: (path) => may(path, constants.X_OK),
};

function namesIn(path: Bytes): Bytes[] {
  const fd = native.open(AT_FDCWD, path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    return native.list(fd);
  } finally {
    native.close(fd);
  }
}

/** Everything in /proc/self/mountinfo, one char per byte. */
export function readMountinfo(): Bytes {
  return readFileSync('/proc/self/mountinfo', 'latin1') as Bytes;
}

/** Where sockets are bound in the filesystem, as far as this network namespace knows. */
export function boundSockets(): Bytes[] {
  const text = attempt(() => readFileSync('/proc/net/unix', 'latin1')) ?? '';
  const paths = text.split('\n').flatMap((line) => /^(?:\S+ +){7}(\/.*)$/.exec(line)?.[1] ?? []);
  return [...new Set(paths)] as Bytes[];
}

/** The beginning of a regular file, for `#!` lines and git's pointer files; null when it can't be read. */
export function readStart(path: Bytes, bytes: number): Bytes | null {
  // The path may come from a file of anybody's: too long, or through what is no directory.
  if (attempt(() => statOf(path))?.type !== 'file') return null;
  // An agent's program may have hundreds of megabytes.
  return attempt(() => {
    const fd = openSync(toBuffer(path), constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const start = Buffer.alloc(bytes);
      return start.toString('latin1', 0, readSync(fd, start, 0, bytes, 0)) as Bytes;
    } finally {
      closeSync(fd);
    }
  });
}

function statOf(path: Bytes): HostStat | null {
  const stat = lstatSync(toBuffer(path), { throwIfNoEntry: false });
  if (stat === undefined) return null;
  const type = stat.isDirectory() ? 'dir' : stat.isFile() ? 'file' : stat.isSymbolicLink() ? 'symlink' : 'other';
  return { type, mode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid, size: stat.size };
}

/** Most objects of the system have no write bit for others; asking the kernel would cost an exception each. */
function isWritable(path: Bytes, stat: HostStat | null): boolean {
  if (stat === null) return false;
  const uid = process.geteuid?.() ?? 0;
  // With an ACL the group's bits are its mask: without them nobody named in it may write.
  if (uid !== 0 && stat.uid !== uid && (stat.mode & 0o022) === 0) return false;
  return may(path, constants.W_OK);
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
