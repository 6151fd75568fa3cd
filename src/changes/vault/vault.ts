import { constants } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import { joinBytes, parentOf } from '../../bytes.js';
import { errnoOf } from '../../errors.js';
import { AT_FDCWD, type Fd, type Kernel } from '../../kernel/kernel.js';
import { removeTree, type Leftover } from '../../kernel/remove.js';
import { rootFd, spotOf, statPlace, type OpenDirs } from '../apply/open-dirs.js';
import { splitPath, type Place, type Root } from '../plan/step.js';

const DIR = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** Where commits are kept; see docs/store.md. */
export function commitsDir(stateDir: Bytes): Bytes {
  return joinBytes(stateDir, 'commits' as Bytes);
}

/** One commit's own; `id` is one that we made. */
export function commitDir(stateDir: Bytes, id: string): Bytes {
  return joinBytes(commitsDir(stateDir), id as Bytes);
}

/** The plan's roots with this commit's own directory in place of each `commits`. */
export function rootsFor(roots: readonly Root[], id: string): Root[] {
  return roots.map((root) => (root.role === 'vault' ? { ...root, dir: joinBytes(root.dir, id as Bytes) } : root));
}

/** Makes the commit's directory on each filesystem that has layers; the journal names them already. */
export function makeVaults(kernel: Kernel, roots: readonly Root[]): void {
  for (const dir of vaultDirs(roots)) makeDirs(kernel, dir);
}

function makeDirs(kernel: Kernel, dir: Bytes): void {
  if (kernel.statOrNull(AT_FDCWD, dir) !== null) return;
  makeDirs(kernel, parentOf(dir));
  kernel.mkdir(AT_FDCWD, dir, 0o700);
}

/** The vaults of a commit: one for each filesystem that a layer lies on. */
export function vaultDirs(roots: readonly Root[]): ReadonlySet<Bytes> {
  return new Set(roots.filter(({ role }) => role === 'vault').map(({ dir }) => dir));
}

/**
 * Removes a commit's directories, the journal last: while it is there, a
 * crash in the middle is seen and gone on with.
 */
export function removeVaults(kernel: Kernel, stateDir: Bytes, roots: readonly Root[], id: string): void {
  const main = commitDir(stateDir, id);
  for (const dir of vaultDirs(roots)) if (dir !== main) removeVault(kernel, dir);
  // Not even made: the disk was full, say.
  if (kernel.statOrNull(AT_FDCWD, main) === null) return;
  removeIn(kernel, main, (name) => name !== 'plan');
  removeVault(kernel, main);
}

/** Removes some of the entries of a commit's directory. */
export function removeIn(kernel: Kernel, dir: Bytes, which: (name: Bytes) => boolean): readonly Leftover[] {
  const fd = kernel.open(AT_FDCWD, dir, DIR);
  try {
    return kernel.list(fd).flatMap((name) => (which(name) ? (removeTree(kernel, fd, name) ?? []) : []));
  } finally {
    kernel.close(fd);
  }
}

/** What could not be removed, or null. Synced. Throws `KernelError` where the directory above can't be opened. */
export function removeVault(kernel: Kernel, dir: Bytes): Leftover | null {
  if (kernel.statOrNull(AT_FDCWD, dir) === null) return null;
  const parent = kernel.open(AT_FDCWD, parentOf(dir), DIR);
  try {
    const left = removeTree(kernel, parent, splitPath(dir).name);
    kernel.fsync(parent);
    return left;
  } finally {
    kernel.close(parent);
  }
}

/** Removes staged copies beside targets: only names of ours, and only what we made can have them. */
export function removeNear(dirs: OpenDirs, places: readonly Place[]): readonly Leftover[] {
  return places.flatMap((place) => {
    if (statPlace(dirs, place) === null) return [];
    return removeTree(dirs.kernel, spotOf(dirs, place).at, spotOf(dirs, place).name) ?? [];
  });
}

/** One `syncfs` per filesystem that the roots are on. */
export function syncRoots(dirs: OpenDirs): void {
  const synced = new Set<bigint>();
  dirs.roots.forEach((_root, index) => {
    const fd = existing(dirs, index);
    if (fd === null) return;
    const { dev } = dirs.kernel.stat(fd, '' as Bytes);
    if (synced.has(dev)) return;
    synced.add(dev);
    dirs.kernel.syncfs(fd);
  });
}

/** A base or a layer that somebody removed holds nothing to be synced, nor does a base that can't be opened: each step in it is refused. */
function existing(dirs: OpenDirs, index: number): Fd | null {
  try {
    return rootFd(dirs, index);
  } catch (error) {
    const { role } = dirs.roots[index] as Root;
    if (role !== 'vault' && ['ENOENT', 'ENOTDIR', 'ELOOP', ...(role === 'host' ? ['EACCES'] : [])].includes(errnoOf(error) ?? '')) return null;
    throw error;
  }
}

/** Entries that were made, renamed or removed there outlast a crash after it (fsync(2)). Throws `KernelError`. */
export function syncDir(kernel: Kernel, dir: Bytes): void {
  const fd = kernel.open(AT_FDCWD, dir, DIR);
  try {
    kernel.fsync(fd);
  } finally {
    kernel.close(fd);
  }
}
