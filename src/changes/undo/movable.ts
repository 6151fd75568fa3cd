import type { Bytes } from '../../bytes.js';
import { rootFd, statPlace, type Rooms } from '../apply/rooms.js';
import { canRename } from '../plan/facts.js';

/** Whether what a layer's commit kept can be renamed to where it was. Not where the base is gone, either: its steps are refused one by one. */
export function isMovable(rooms: Rooms, layer: number): boolean {
  if (statPlace(rooms, { root: 3 * layer, path: '' as Bytes }) === null) return false;
  const [host, vault] = [rootFd(rooms, 3 * layer), rootFd(rooms, 3 * layer + 1)];
  const dev = (fd: number): bigint => rooms.kernel.stat(fd, '' as Bytes).dev;
  return dev(host) === dev(vault) && canRename(rooms.kernel, vault, host);
}
