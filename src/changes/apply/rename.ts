import { constants } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import { errnoOf } from '../../errors.js';
import { KernelError, RENAME, type Kernel } from '../../kernel/kernel.js';
import { spotOf, statPlace, type OpenDirs, type Spot } from './open-dirs.js';
import { isIdent, type Place, type Step } from '../plan/step.js';

/** One rename; `flags` are those of renameat2(2). */
export interface Move {
  readonly from: Spot;
  readonly to: Spot;
  readonly flags: number;
}

/**
 * A rename as the kernel has it, or, on filesystems that know no flags of it
 * (NFS, 9p, many of FUSE), in several steps that overwrite nothing either.
 * Then a file that is exchanged is absent for a moment.
 */
export function move(kernel: Kernel, { from, to, flags }: Move): void {
  try {
    kernel.rename(from.at, from.name, to.at, to.name, flags);
  } catch (error) {
    if (flags === RENAME.replace || errnoOf(error) !== 'EINVAL') throw error;
    if (flags === RENAME.exchange) exchange(kernel, from, to);
    else put(kernel, from, to);
  }
}

/** A name for what is replaced, until it is where the new object was. */
function asideOf(name: Bytes): Bytes {
  return `${name}~` as Bytes;
}

function exchange(kernel: Kernel, from: Spot, to: Spot): void {
  const aside: Spot = { at: from.at, name: asideOf(from.name) };
  put(kernel, to, aside);
  try {
    put(kernel, from, to);
  } catch (error) {
    // With both names it is there: `settleAside` goes on.
    if (kernel.statOrNull(to.at, to.name)?.ino !== kernel.statOrNull(from.at, from.name)?.ino) putBack(kernel, aside, to);
    throw error;
  }
  put(kernel, aside, from);
}

/** Somebody who was faster has the name by now, and keeps it: what he replaced is in the vault. */
function putBack(kernel: Kernel, aside: Spot, to: Spot): void {
  try {
    put(kernel, aside, to);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
    if (!isDir(kernel, aside)) kernel.unlink(aside.at, aside.name);
  }
}

/** A second name and then the first one's end, as a link never replaces; a directory replaces an empty one at most. */
function put(kernel: Kernel, from: Spot, to: Spot): void {
  const there = kernel.statOrNull(to.at, to.name);
  if (there === null && isDir(kernel, from)) return kernel.rename(from.at, from.name, to.at, to.name, RENAME.replace);
  // Interrupted between the two: it has both names.
  const isLinked = there !== null && there.ino === kernel.stat(from.at, from.name).ino;
  if (there !== null && !isLinked) throw new KernelError('EEXIST', EEXIST, 'renameat2', to.name, `EEXIST: file exists, rename '${to.name}'`);
  if (isLinked || isLinkMade(kernel, from, to)) kernel.unlink(from.at, from.name);
  else kernel.rename(from.at, from.name, to.at, to.name, RENAME.replace);
}

const EEXIST = 17;
/** Without links there is nothing better than to have looked right before. */
const NO_LINKS: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EINVAL']);

function isLinkMade(kernel: Kernel, from: Spot, to: Spot): boolean {
  try {
    kernel.link(from.at, from.name, to.at, to.name);
    if (kernel.stat(to.at, to.name).ino === kernel.stat(from.at, from.name).ino) return true;
    // Where each name has a number of its own (sshfs), the object would not be known again under the new one.
    kernel.unlink(to.at, to.name);
    return false;
  } catch (error) {
    if (NO_LINKS.has(errnoOf(error) ?? '')) return false;
    throw error;
  }
}

function isDir(kernel: Kernel, { at, name }: Spot): boolean {
  return (kernel.stat(at, name).mode & constants.S_IFMT) === constants.S_IFDIR;
}

/** What a crash left aside goes on, or back where it was: after that a step is as far as if it had been one rename (I4). */
export function settleAside(dirs: OpenDirs, { host, from, hold, fresh, old }: Step): void {
  // Only what was staged beside its target is exchanged without a vault.
  if (from === null || hold === null || from.root !== host.root) return;
  const { kernel } = dirs;
  const aside: Place = { root: from.root, path: asideOf(from.path) };
  if (!isIdent(statPlace(dirs, aside), old)) return;
  const [kept, mine, target] = [spotOf(dirs, aside), spotOf(dirs, from), spotOf(dirs, host)];
  const now = statPlace(dirs, host);
  if (now === null || isIdent(now, old)) put(kernel, kept, target);
  else if (isIdent(now, fresh)) {
    if (isIdent(statPlace(dirs, from), fresh)) kernel.unlink(mine.at, mine.name);
    put(kernel, kept, mine);
  } else putBack(kernel, kept, target);
}
