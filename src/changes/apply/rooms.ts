import { constants } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import { AT_FDCWD, O_PATH, RESOLVE, type Fd, type Kernel, type Stat } from '../../kernel/kernel.js';
import { openLocked } from '../../kernel/locked.js';
import { splitPath, type Place, type Root } from '../plan/step.js';

/** Directories below the roots of a plan, opened once and kept for a while. */
export interface Rooms {
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

export function openRooms(kernel: Kernel, roots: readonly Root[]): Rooms {
  return { kernel, roots, fds: roots.map(() => null), cache: new Map() };
}

export function closeRooms(rooms: Rooms): void {
  for (const fd of rooms.cache.values()) rooms.kernel.close(fd);
  rooms.cache.clear();
  rooms.fds.forEach((fd, index) => {
    if (fd !== null) rooms.kernel.close(fd);
    rooms.fds[index] = null;
  });
}

/** The root itself, by its absolute path, which must hold no symlink. */
export function rootFd(rooms: Rooms, root: number): Fd {
  const open = rooms.fds[root];
  if (open !== null && open !== undefined) return open;
  const { dir, role } = rooms.roots[root] as Root;
  const fd = role === 'layer' ? openLocked(rooms.kernel, dir) : rooms.kernel.open(AT_FDCWD, dir, constants.O_RDONLY | FLAGS, 0, RESOLVE.noSymlinks | RESOLVE.noMagiclinks);
  rooms.fds[root] = fd;
  return fd;
}

/** The directory `dir` below the root; '' is the root. Valid until some ninety others were asked for. */
export function dirFd(rooms: Rooms, root: number, dir: Bytes): Fd {
  const top = rootFd(rooms, root);
  if (dir === '') return top;
  const key = `${root}/${dir}`;
  const cached = rooms.cache.get(key);
  if (cached !== undefined) {
    // Used last is dropped last: the newest few dozen can be relied on.
    rooms.cache.delete(key);
    rooms.cache.set(key, cached);
    return cached;
  }
  const fd = openDir(rooms, { root, dir, top });
  rooms.cache.set(key, fd);
  if (rooms.cache.size > MOST_OPEN) dropOldest(rooms);
  return fd;
}

interface Opening {
  readonly root: number;
  readonly dir: Bytes;
  readonly top: Fd;
}

/** From the directory above when that is open: a deep tree would else be gone through from its top each time. */
function openDir({ kernel, cache }: Rooms, { root, dir, top }: Opening): Fd {
  const above = splitPath(dir);
  const parent = cache.get(`${root}/${above.dir}`);
  if (above.dir === '' || parent === undefined) return kernel.open(top, dir, O_PATH | FLAGS, 0, INSIDE);
  return kernel.open(parent, above.name, O_PATH | FLAGS, 0, INSIDE);
}

/** Half of the directories at once, those not used for longest. */
function dropOldest(rooms: Rooms): void {
  let left = MOST_OPEN / 2;
  for (const [key, fd] of rooms.cache) {
    if (left === 0) return;
    rooms.kernel.close(fd);
    rooms.cache.delete(key);
    left -= 1;
  }
}

/** Directories that were renamed or made anew must be opened again. */
export function forgetRooms(rooms: Rooms): void {
  for (const fd of rooms.cache.values()) rooms.kernel.close(fd);
  rooms.cache.clear();
}

export function spotOf(rooms: Rooms, place: Place): Spot {
  const { dir, name } = splitPath(place.path);
  return { at: dirFd(rooms, place.root, dir), name };
}

/** null also when a directory on the way is missing. */
export function statPlace(rooms: Rooms, place: Place): Stat | null {
  try {
    if (place.path === '') return rooms.kernel.stat(rootFd(rooms, place.root), '' as Bytes);
    const { at, name } = spotOf(rooms, place);
    return rooms.kernel.statOrNull(at, name);
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw error;
  }
}

/** Makes the directories above the place, 0700: only ever in a vault. */
export function makeRoom(rooms: Rooms, place: Place): void {
  const { dir } = splitPath(place.path);
  if (rooms.cache.has(`${place.root}/${dir}`)) return;
  const missing: Bytes[] = [];
  for (let at = dir; at !== ''; at = splitPath(at).dir) {
    if (statPlace(rooms, { root: place.root, path: at }) !== null) break;
    missing.push(at);
  }
  for (const path of missing.reverse()) {
    const spot = spotOf(rooms, { root: place.root, path });
    rooms.kernel.mkdir(spot.at, spot.name, 0o700);
  }
}
