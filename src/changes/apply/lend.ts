import { constants } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import { errnoOf, isShortage } from '../../errors.js';
import { type Fd, type Kernel, KernelError, O_PATH } from '../../kernel/kernel.js';
import { rootFd, type OpenDirs } from './open-dirs.js';
import { splitPath, type Place } from '../plan/step.js';

/** Permissions that are lent until `restore`. */
export interface Lent {
  readonly restore: () => void;
}

const DIRECTORY = O_PATH | constants.O_DIRECTORY;
const OWN = 0o700;

/**
 * An agent can take away its own permissions (`chmod 000 dir`), and with them
 * the user's to look at what it did there. A layer is the user's own, so its
 * top directory, those on the way to `path`, and that one itself, get them back for a
 * while. Null when they can't: not our directories, or none. After a crash in
 * between they keep `u+rwx`: the agent's change of mode is lost, nothing else.
 */
export function lendAccess(kernel: Kernel, layer: Fd, path: Bytes): Lent | null {
  return lendOn(kernel, layer, path, true);
}

/** The same for what lies in a directory that is not ours to open up. */
export function lendBelow(kernel: Kernel, around: Fd, path: Bytes): Lent | null {
  return lendOn(kernel, around, path, false);
}

function lendOn(kernel: Kernel, layer: Fd, path: Bytes, withTop: boolean): Lent | null {
  const changed: { readonly fd: Fd; readonly mode: number }[] = [];
  const restore = (): void => {
    for (const { fd, mode } of changed.splice(0).reverse()) {
      kernel.chmod(fd, '' as Bytes, mode);
      if (fd !== layer) kernel.close(fd);
    }
  };
  const open = (at: Fd): void => {
    const mode = kernel.stat(at, '' as Bytes).mode & 0o7777;
    if ((mode & OWN) === OWN) return;
    kernel.chmod(at, '' as Bytes, mode | OWN);
    changed.push({ fd: at, mode });
  };
  let at = layer;
  try {
    if (withTop) open(at);
    for (const name of path === '' ? [] : path.split('/')) {
      const next = kernel.open(at, name as Bytes, DIRECTORY);
      leave(kernel, at, layer, changed);
      at = next;
      open(at);
    }
    leave(kernel, at, layer, changed);
    return { restore };
  } catch (error) {
    leave(kernel, at, layer, changed);
    restore();
    if (error instanceof KernelError && !isShortage(error)) return null;
    throw error;
  }
}

/**
 * `act`, again with access to the layer's directories that hold the places if
 * it is refused without. What it does must bear being begun twice. The host's
 * directories stay as they are: a refusal there is an answer.
 */
export function lending<T>(dirs: OpenDirs, places: readonly (Place | null | undefined)[], act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error;
  }
  const lent = places.flatMap((place) => {
    if (place === null || place === undefined || dirs.roots[place.root]?.role === 'host') return [];
    return lendAccess(dirs.kernel, rootFd(dirs, place.root), splitPath(place.path).dir) ?? [];
  });
  try {
    return act();
  } finally {
    for (const one of lent.reverse()) one.restore();
  }
}

/** Closes the directory unless it is the caller's, or kept to be restored. */
function leave(kernel: Kernel, at: Fd, layer: Fd, changed: readonly { readonly fd: Fd }[]): void {
  if (at !== layer && !changed.some(({ fd }) => fd === at)) kernel.close(at);
}
