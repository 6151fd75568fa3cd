import { accessSync, constants } from 'node:fs';
import { parentOf, type Bytes } from '../../bytes.js';
import { errnoOf } from '../../errors.js';
import type { Change } from '../change.js';
import type { Judging } from './judging.js';

/**
 * The caller may not make, replace or take away names in the host's directory around the change, which the agent could:
 * its mode is another one by now. What an attribute forbids (`chattr +i`) is said when it is tried.
 */
export function isClosed({ own, closed }: Pick<Judging, 'own' | 'closed'>, { path, basePath, kind, base, implied }: Change): boolean {
  // Deleted with its directory, or written in place.
  if (implied || kind === 'metadata' || (kind === 'modify' && base !== null && base.nlink > 1)) return false;
  const dir = parentOf(basePath ?? path);
  if (own.has(dir)) return false;
  const known = closed.get(dir);
  if (known !== undefined) return known;
  const isShut = !mayChange(dir);
  closed.set(dir, isShut);
  return isShut;
}

function mayChange(dir: Bytes): boolean {
  try {
    accessSync(Buffer.from(dir, 'latin1'), constants.W_OK | constants.X_OK);
    return true;
  } catch (error) {
    return errnoOf(error) !== 'EACCES';
  }
}
