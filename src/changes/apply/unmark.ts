import type { Bytes } from '../../bytes.js';
import { errnoOf } from '../../errors.js';
import { lending } from './lend.js';
import { spotOf, statPlace, type OpenDirs } from './open-dirs.js';
import { splitPath, type Place, type Step, type Unmark } from '../plan/step.js';

/** Marks by which a directory of a layer hides the host's of the same name, or takes another one's place. */
const HIDING = ['overlay.opaque', 'overlay.redirect'] as const;

/**
 * Directories above landing entries that hide the host's directory although
 * nothing in it differs (no change shows them). Once an entry left such a
 * directory, the mark would make it look deleted; without the mark both merge,
 * which is the same view.
 */
export function findMarked(dirs: OpenDirs, steps: Iterable<Step>, planned: readonly Unmark[]): Unmark[] {
  const seen = new Set(planned.map(({ root, path }) => `${root}/${path}`));
  const marked = [...planned];
  for (const step of steps) {
    const left = step.from?.root === step.host.root + 1 ? step.from : (step.spent?.at ?? null);
    if (left === null || dirs.roots[left.root]?.role !== 'layer') continue;
    // What the host has not can't look deleted there, and the mark may hide what the agent deleted.
    if (step.act === 'drop' && !isOnHost(dirs, step.host)) continue;
    const from = step.kind === 'rename' ? { root: step.host.root + 1, path: `${step.host.path}/` as Bytes } : left;
    for (let dir = splitPath(from.path).dir; dir !== ''; dir = splitPath(dir).dir) {
      const key = `${from.root}/${dir}`;
      if (seen.has(key)) continue;
      seen.add(key);
      if (marksAt(dirs, { root: from.root, path: dir }).length > 0) marked.push({ root: from.root, path: dir, group: 0 });
    }
  }
  return marked;
}

/** False also in a directory that the host has closed to us since: too many deletions are seen, too few are not. */
function isOnHost(dirs: OpenDirs, place: Place): boolean {
  try {
    return statPlace(dirs, place) !== null;
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error;
    return false;
  }
}

function marksAt(dirs: OpenDirs, place: Place): Bytes[] {
  const { family } = dirs.roots[place.root] ?? { family: 'user' };
  const names = HIDING.map((mark) => `${family}.${mark}`);
  return lending(dirs, [place], () => {
    const { at, name } = spotOf(dirs, place);
    return dirs.kernel.xattrs(at, name).flatMap((xattr) => (names.includes(xattr.name) ? [xattr.name] : []));
  });
}

/** Takes the marks off; what is gone already has none. */
export function unmark(dirs: OpenDirs, places: readonly Place[]): void {
  for (const place of places) {
    if (statPlace(dirs, place) === null) continue;
    for (const mark of marksAt(dirs, place)) {
      const { at, name } = spotOf(dirs, place);
      try {
        dirs.kernel.removeXattr(at, name, mark);
      } catch (error) {
        if (errnoOf(error) !== 'ENODATA') throw error;
      }
    }
  }
}

/** After a roll-back the directories hide again what they hid; marks that hid nothing stay off. */
export function mark(dirs: OpenDirs, places: readonly Unmark[]): void {
  for (const place of places) {
    if (place.group === 0 || statPlace(dirs, place) === null) continue;
    const { family } = dirs.roots[place.root] ?? { family: 'user' };
    const spot = spotOf(dirs, place);
    dirs.kernel.setXattr(spot.at, spot.name, `${family}.overlay.opaque` as Bytes, Buffer.from('y'));
  }
}
