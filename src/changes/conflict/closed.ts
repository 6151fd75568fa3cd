import { accessSync, constants } from 'node:fs';
import { parentOf, toBuffer, type Bytes } from '../../bytes.js';
import { errnoOf } from '../../errors.js';
import type { Change } from '../change.js';
import type { Access, Judging } from './judging.js';

/**
 * What the caller may do in the host's directory around the change, which the agent could:
 * its mode is another one by now. What an attribute forbids (`chattr +i`) is said when it is tried.
 */
export function accessAround({ own, access }: Pick<Judging, 'own' | 'access'>, { path, basePath, kind, base, implied }: Change): Access {
  // Deleted with its directory, or written in place.
  if (implied || kind === 'metadata' || (kind === 'modify' && base !== null && base.nlink > 1)) return 'open';
  const dir = parentOf(basePath ?? path);
  if (own.has(dir)) return 'open';
  const found = access.get(dir) ?? accessTo(dir);
  access.set(dir, found);
  return found;
}

function accessTo(dir: Bytes): Access {
  if (may(dir, constants.W_OK | constants.X_OK)) return 'open';
  return may(dir, constants.X_OK) ? 'shut' : 'unseen';
}

function may(dir: Bytes, how: number): boolean {
  try {
    accessSync(toBuffer(dir), how);
    return true;
  } catch (error) {
    return errnoOf(error) !== 'EACCES';
  }
}
