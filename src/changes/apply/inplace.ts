import { constants } from 'node:fs';
import type { Fd, Kernel } from '../../kernel/kernel.js';
import { errnoOf } from '../../errors.js';
import { readAt, type Disk } from './disk.js';
import { spotOf, type OpenDirs, type Spot } from './open-dirs.js';
import type { Place } from '../plan/step.js';

const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const WRITE = constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Gives an existing file the content of another, so that all its names have it (I12). */
export function writeInPlace({ dirs, disk }: { readonly dirs: OpenDirs; readonly disk: Disk }, from: Place, to: Place): void {
  withBoth(dirs, { from, to, flags: WRITE }, (source, target) => {
    if (dirs.kernel.sameBytes(source, target)) return;
    disk.truncate(target, 0);
    dirs.kernel.copy(source, target);
  });
}

/** Whether two files have the same bytes. Throws `KernelError` where one can't be opened. */
export function isSame(dirs: OpenDirs, a: Place, b: Place): boolean {
  return withBoth(dirs, { from: a, to: b, flags: READ }, (source, target) => dirs.kernel.sameBytes(source, target));
}

const PIECE = 128 * 1024;

/** All that is in `to` is what `writeInPlace` puts there, or a hole of a power loss: it was begun, however far, and nobody else wrote. */
export function isBegun(dirs: OpenDirs, from: Place, to: Place): boolean {
  return withBoth(dirs, { from, to, flags: READ }, (source, target) => {
    for (let at = 0; ; at += PIECE) {
      const [mine, found] = [readAt(source, at, PIECE), readAt(target, at, PIECE)];
      if (found.length > mine.length) return false;
      if (!found.equals(mine.subarray(0, found.length)) && found.some((byte, n) => byte !== 0 && byte !== mine[n])) return false;
      if (found.length < PIECE) return true;
    }
  });
}

interface Both {
  readonly from: Place;
  readonly to: Place;
  readonly flags: number;
}

function withBoth<T>(dirs: OpenDirs, { from, to, flags }: Both, use: (source: Fd, target: Fd) => T): T {
  const { kernel } = dirs;
  const source = spotOf(dirs, from);
  const src = kernel.open(source.at, source.name, READ);
  try {
    const target = spotOf(dirs, to);
    const dst = openOwn(kernel, target, flags);
    try {
      return use(src, dst);
    } finally {
      kernel.close(dst);
    }
  } finally {
    kernel.close(src);
  }
}

/** A file of the user's without write permission (0444 in a cache, say) is given it for the moment of opening: it would be replaced, had it one name. */
function openOwn(kernel: Kernel, { at, name }: Spot, flags: number): Fd {
  try {
    return kernel.open(at, name, flags);
  } catch (error) {
    const stat = errnoOf(error) === 'EACCES' ? kernel.statOrNull(at, name) : null;
    if (stat === null || (stat.mode & constants.S_IFMT) !== constants.S_IFREG || stat.uid !== process.geteuid?.()) throw error;
    kernel.chmod(at, name, (stat.mode & 0o7777) | 0o600);
    try {
      return kernel.open(at, name, flags);
    } finally {
      kernel.chmod(at, name, stat.mode & 0o7777);
    }
  }
}
