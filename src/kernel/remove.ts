import { constants } from 'node:fs';
import type { Bytes } from '../bytes.js';
import { errnoOf } from '../errors.js';
import { RESOLVE, type Fd, type Kernel } from './kernel.js';

/** Deeper directories are moved up to the top of the removed tree, so that neither fds nor path length run out. */
const MAX_DEPTH = 64;

/** What could not be removed, and the first reason. */
export interface Leftover {
  readonly count: number;
  readonly first: unknown;
}

interface Removal {
  readonly kernel: Kernel;
  /** the removed tree's root, where deep directories are moved to */
  readonly top: Fd;
  hoisted: number;
  failed: number;
  first: unknown;
}

/**
 * Removes `name` in the directory `at`, whatever it is. Directories without
 * permissions (an overlay's work directory has mode 000) are opened up first;
 * symlinks and mounts are never crossed. Returns null when nothing is left.
 */
export function removeTree(kernel: Kernel, at: Fd, name: Bytes): Leftover | null {
  const stat = kernel.statOrNull(at, name);
  if (stat === null) return null;
  if ((stat.mode & constants.S_IFMT) !== constants.S_IFDIR) {
    kernel.unlink(at, name);
    return null;
  }
  const top = openDir(kernel, at, name);
  const removal: Removal = { kernel, top, hoisted: 0, failed: 0, first: null };
  try {
    // Each round removes what earlier rounds moved up.
    for (let before = -1; before !== removal.hoisted && removal.failed === 0; ) {
      before = removal.hoisted;
      emptyDir(removal, top, 0);
    }
  } finally {
    kernel.close(top);
  }
  if (removal.failed > 0) return { count: removal.failed, first: removal.first };
  kernel.rmdir(at, name);
  return null;
}

function emptyDir(removal: Removal, dir: Fd, depth: number): void {
  for (const name of removal.kernel.list(dir)) {
    try {
      removeEntry(removal, dir, name, depth);
    } catch (error) {
      removal.first ??= error;
      removal.failed += 1;
    }
  }
}

function removeEntry(removal: Removal, dir: Fd, name: Bytes, depth: number): void {
  const { kernel } = removal;
  try {
    kernel.unlink(dir, name);
    return;
  } catch (error) {
    // unlink of a directory is EISDIR on Linux, EPERM by POSIX.
    if (errnoOf(error) !== 'EISDIR' && errnoOf(error) !== 'EPERM') throw error;
    if ((kernel.stat(dir, name).mode & constants.S_IFMT) !== constants.S_IFDIR) throw error;
  }
  if (depth >= MAX_DEPTH) {
    removal.hoisted += 1;
    kernel.chmod(dir, name, 0o700);
    kernel.rename(dir, name, removal.top, `.hoisted-${removal.hoisted}-${dir}` as Bytes, 1);
    return;
  }
  const failed = removal.failed;
  const child = openDir(kernel, dir, name);
  try {
    emptyDir(removal, child, depth + 1);
  } finally {
    kernel.close(child);
  }
  if (removal.failed === failed) kernel.rmdir(dir, name);
}

/** Opens a directory to empty it, giving its owner the rights to do so first. */
function openDir(kernel: Kernel, at: Fd, name: Bytes): Fd {
  if ((kernel.stat(at, name).mode & 0o700) !== 0o700) kernel.chmod(at, name, 0o700);
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
  return kernel.open(at, name, flags, 0, RESOLVE.noXdev | RESOLVE.noSymlinks);
}
