import { toText, type Bytes } from '../bytes.js';
import { readMountinfo } from '../kernel/facts.js';
import { AT_FDCWD, type Kernel } from '../kernel/kernel.js';
import type { Layer } from './sandbox.js';
import { mountTable, parseMountinfo } from '../view/mountinfo.js';

/** `MOUNT ROOT/.agentfw-UID/…`: the room that a filesystem of its own has for layers and for what commits keep. */
const ROOM = /\/\.agentfw-\d+\//;

/** It lies in such a room. */
export function isForeign({ dir }: { readonly dir: Bytes }): boolean {
  return ROOM.test(dir);
}

/** It isn't there because the filesystem that it lies on isn't mounted: so it comes back, and nobody removed it. */
export function isAway(kernel: Kernel, dir: Bytes): boolean {
  const end = dir.search(ROOM);
  if (end < 0 || kernel.statOrNull(AT_FDCWD, dir) !== null) return false;
  return !mountTable(parseMountinfo(readMountinfo())).at.has(dir.slice(0, end) as Bytes);
}

/** Why it can't be removed now. */
export class Away extends Error {
  override readonly name = 'Away';
  /** `notedIn`: what says that it is there */
  constructor(readonly dir: Bytes, readonly notedIn: Bytes) {
    super(`${toText(dir)} lies on a filesystem that isn't mounted`);
  }
}

/** Layers of a sandbox that can't be reached now. */
export function awayLayers(kernel: Kernel, layers: readonly Layer[]): readonly Layer[] {
  return layers.filter(({ dir, bare }) => bare !== true && isAway(kernel, dir));
}
