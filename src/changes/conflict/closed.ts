import { accessSync, constants } from 'node:fs';
import { parentOf, toBuffer, type Bytes } from '../../bytes.js';
import { errnoOf } from '../../errors.js';
import type { Change } from '../change.js';
import type { Access, Judging } from './judging.js';

/**
 * What the caller may do in the host's directory around the change, which the agent could:
 * its mode is another one by now, or it is read-only. What an attribute forbids (`chattr +i`) is said when it is tried.
 */
export function accessAround({ own, access }: Pick<Judging, 'own' | 'access'>, { path, basePath, kind, base, implied }: Change): Access {
  // Deleted with its directory.
  if (implied) return 'open';
  const dir = parentOf(basePath ?? path);
  if (own.has(dir)) return 'open';
  const found = access.get(dir) ?? accessTo(dir);
  access.set(dir, found);
  // Written in place.
  const isSpared = kind === 'metadata' || (kind === 'modify' && base !== null && base.nlink > 1);
  return isSpared && found !== 'fixed' ? 'open' : found;
}

function accessTo(dir: Bytes): Access {
  const refused = refusalOf(dir, constants.W_OK | constants.X_OK);
  // A subvolume of btrfs may be read-only within a mount that is not; the agent's layer over it was none.
  if (refused === 'EROFS') return 'fixed';
  if (refused !== 'EACCES') return 'open';
  return refusalOf(dir, constants.X_OK) === 'EACCES' ? 'unseen' : 'shut';
}

function refusalOf(dir: Bytes, how: number): string | null {
  try {
    accessSync(toBuffer(dir), how);
    return null;
  } catch (error) {
    return errnoOf(error);
  }
}
