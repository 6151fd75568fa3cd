import { constants } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import { AT_FDCWD, O_PATH, RESOLVE, type Fd, type Kernel, type Stat } from '../../kernel/kernel.js';
import { openLocked } from '../../kernel/locked.js';
import { splitPath, type Place, type Root } from '../plan/step.js';

/** Directories below the roots of a plan, opened once and kept for a while. */
export interface OpenDirs {
  readonly kernel: Kernel;
  readonly roots: readonly Root[];
  readonly fds: (Fd | null)[];
  readonly cache: Map<string, Fd>;
}

/** How a place is named to the kernel: a directory and a name in it. */
export interface Spot {
  readonly at: Fd;
  readonly name: Bytes;
}

const FLAGS = constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** I6. The host may have mounted something since: another mount is not ours to write. */
const INSIDE = RESOLVE.beneath | RESOLVE.noSymlinks | RESOLVE.noMagiclinks | RESOLVE.noXdev;
const MOST_OPEN = 192;

/** Opens nothing yet: roots and directories are opened when first asked for. The caller ends with `closeDirs`. */
export function openDirs(kernel: Kernel, roots: readonly Root[]): OpenDirs {
  return { kernel, roots, fds: roots.map(() => null), cache: new Map() };
}

/** Closes what was opened. It can be used again afterwards, and opens anew. */
export function closeDirs(dirs: OpenDirs): void {
  for (const fd of dirs.cache.values()) dirs.kernel.close(fd);
  dirs.cache.clear();
  dirs.fds.forEach((fd, index) => {
    if (fd !== null) dirs.kernel.close(fd);
    dirs.fds[index] = null;
  });
}

/** The root itself, by its absolute path, which must hold no symlink. */
export function rootFd(dirs: OpenDirs, root: number): Fd {
  const open = dirs.fds[root];
  if (open !== null && open !== undefined) return open;
  const { dir, role } = dirs.roots[root] as Root;
  const fd = role === 'layer' ? openLocked(dirs.kernel, dir) : dirs.kernel.open(AT_FDCWD, dir, constants.O_RDONLY | FLAGS, 0, RESOLVE.noSymlinks | RESOLVE.noMagiclinks);
  dirs.fds[root] = fd;
  return fd;
}

/** The directory `dir` below the root; '' is the root. Valid until some ninety others were asked for. */
export function dirFd(dirs: OpenDirs, root: number, dir: Bytes): Fd {
  const top = rootFd(dirs, root);
  if (dir === '') return top;
  const key = `${root}/${dir}`;
  const cached = dirs.cache.get(key);
  if (cached !== undefined) {
    // Used last is dropped last: the newest few dozen can be relied on.
    dirs.cache.delete(key);
    dirs.cache.set(key, cached);
    return cached;
  }
  const fd = openDir(dirs, { root, dir, top });
  dirs.cache.set(key, fd);
  if (dirs.cache.size > MOST_OPEN) dropOldest(dirs);
  return fd;
}

interface Opening {
  readonly root: number;
  readonly dir: Bytes;
  readonly top: Fd;
}

/** From the directory above when that is open: a deep tree would else be gone through from its top each time. */
function openDir({ kernel, cache }: OpenDirs, { root, dir, top }: Opening): Fd {
  const above = splitPath(dir);
  const parent = cache.get(`${root}/${above.dir}`);
  if (above.dir === '' || parent === undefined) return kernel.open(top, dir, O_PATH | FLAGS, 0, INSIDE);
  return kernel.open(parent, above.name, O_PATH | FLAGS, 0, INSIDE);
}

/** Half of the directories at once, those not used for longest. */
function dropOldest(dirs: OpenDirs): void {
  let left = MOST_OPEN / 2;
  for (const [key, fd] of dirs.cache) {
    if (left === 0) return;
    dirs.kernel.close(fd);
    dirs.cache.delete(key);
    left -= 1;
  }
}

/** Directories that were renamed or made anew must be opened again. */
export function forgetDirs(dirs: OpenDirs): void {
  for (const fd of dirs.cache.values()) dirs.kernel.close(fd);
  dirs.cache.clear();
}

/**
 * A descriptor of the directory above, and the name in it. The descriptor stays the cache's: it
 * holds until more are opened. Throws `KernelError`: ENOENT, ENOTDIR, ELOOP or EXDEV where the way
 * leads through no directory of its own.
 */
export function spotOf(dirs: OpenDirs, place: Place): Spot {
  const { dir, name } = splitPath(place.path);
  return { at: dirFd(dirs, place.root, dir), name };
}

/** null also when a directory on the way is missing. */
export function statPlace(dirs: OpenDirs, place: Place): Stat | null {
  try {
    if (place.path === '') return dirs.kernel.stat(rootFd(dirs, place.root), '' as Bytes);
    const { at, name } = spotOf(dirs, place);
    return dirs.kernel.statOrNull(at, name);
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw error;
  }
}

/** Makes the directories above the place, 0700: only ever in a vault. */
export function makeDirsAbove(dirs: OpenDirs, place: Place): void {
  const { dir } = splitPath(place.path);
  if (dirs.cache.has(`${place.root}/${dir}`)) return;
  const missing: Bytes[] = [];
  for (let at = dir; at !== ''; at = splitPath(at).dir) {
    if (statPlace(dirs, { root: place.root, path: at }) !== null) break;
    missing.push(at);
  }
  for (const path of missing.reverse()) {
    const spot = spotOf(dirs, { root: place.root, path });
    dirs.kernel.mkdir(spot.at, spot.name, 0o700);
  }
}
