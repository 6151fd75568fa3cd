import { constants } from 'node:fs';
import { isRefusal } from '../../errors.js';
import type { Stat } from '../../kernel/kernel.js';
import { spotOf, statPlace, type OpenDirs } from '../apply/open-dirs.js';
import { splitPath, type Place } from '../plan/step.js';

/**
 * Whether what an agent has replaced since hides the base at this place of a
 * layer: a whiteout put back there would be listed in the view as a name
 * without a file, and a directory above it would be there again that the agent
 * removed.
 */
export function wouldHaunt(dirs: OpenDirs, place: Place, back: Stat): boolean {
  let isMissing = false;
  for (let at = splitPath(place.path).dir; at !== ''; at = splitPath(at).dir) {
    const above = statPlace(dirs, { root: place.root, path: at });
    if (above === null) isMissing = true;
    else if (isOpaque(dirs, { root: place.root, path: at })) return isMissing || isWhiteout(back);
  }
  return false;
}

function isWhiteout({ mode, rdev }: Stat): boolean {
  return (mode & constants.S_IFMT) === constants.S_IFCHR && rdev === 0n;
}

function isOpaque(dirs: OpenDirs, place: Place): boolean {
  const { family } = dirs.roots[place.root] ?? { family: 'user' };
  const wanted = `${family}.overlay.opaque`;
  try {
    const { at, name } = spotOf(dirs, place);
    return dirs.kernel.xattrs(at, name).some((xattr) => xattr.name === wanted && xattr.value.toString('latin1') === 'y');
  } catch (error) {
    // Closed by the agent: whoever puts something there is told.
    if (!isRefusal(error)) throw error;
    return false;
  }
}

/** An error with code ESTALE: of one path, so that the others go on. */
export function replacedAbove(): Error {
  return Object.assign(new Error('the agent has replaced a directory above it since'), { code: 'ESTALE' });
}
