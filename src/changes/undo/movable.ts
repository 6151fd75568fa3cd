import type { Bytes } from '../../bytes.js';
import { errnoOf } from '../../errors.js';
import { rootFd, statPlace, type OpenDirs } from '../apply/open-dirs.js';
import { canRename } from '../plan/facts.js';

/** Whether what a layer's commit kept can be renamed to where it was. Not where the base is gone or can't be opened, either: its steps are refused one by one. */
export function isMovable(dirs: OpenDirs, layer: number): boolean {
  if (!isOpen(dirs, 3 * layer)) return false;
  const [host, vault] = [rootFd(dirs, 3 * layer), rootFd(dirs, 3 * layer + 1)];
  const dev = (fd: number): bigint => dirs.kernel.stat(fd, '' as Bytes).dev;
  return dev(host) === dev(vault) && canRename(dirs.kernel, vault, host);
}

function isOpen(dirs: OpenDirs, root: number): boolean {
  try {
    return statPlace(dirs, { root, path: '' as Bytes }) !== null;
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error;
    return false;
  }
}
