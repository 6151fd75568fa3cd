import type { Bytes } from '../../bytes.js';
import { errnoOf } from '../../errors.js';
import { rootFd, statPlace, type Rooms } from '../apply/rooms.js';
import { canRename } from '../plan/facts.js';

/** Whether what a layer's commit kept can be renamed to where it was. Not where the base is gone or can't be opened, either: its steps are refused one by one. */
export function isMovable(rooms: Rooms, layer: number): boolean {
  if (!isOpen(rooms, 3 * layer)) return false;
  const [host, vault] = [rootFd(rooms, 3 * layer), rootFd(rooms, 3 * layer + 1)];
  const dev = (fd: number): bigint => rooms.kernel.stat(fd, '' as Bytes).dev;
  return dev(host) === dev(vault) && canRename(rooms.kernel, vault, host);
}

function isOpen(rooms: Rooms, root: number): boolean {
  try {
    return statPlace(rooms, { root, path: '' as Bytes }) !== null;
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error;
    return false;
  }
}
