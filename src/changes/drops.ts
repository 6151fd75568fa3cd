import type { Bytes } from '../bytes.js';
import { parentOf } from '../bytes.js';
import type { JudgedChange } from './change.js';
import { refused, takeOf, type Take } from './refusal.js';
import type { Refused } from './result.js';

/** `--take host` for one half of a rename is meant for both (the host's version has the old name), and for all that belongs together. */
export function takeBoth(take: ReadonlyMap<Bytes, Take>, renames: ReadonlyMap<Bytes, Bytes>): ReadonlyMap<Bytes, Take> {
  if (take.size === 0 || renames.size === 0) return take;
  const all = new Map(take);
  for (let before = -1; before < all.size; ) {
    before = all.size;
    for (const pair of renames) if (pair.some((path) => isHosts(path, all))) for (const path of pair) all.set(path, 'host');
  }
  return all;
}

export function isHosts(path: Bytes, take: ReadonlyMap<Bytes, Take>): boolean {
  return takeOf(path, { take }) === 'host';
}

/** A directory of the layer leaves it with all that is in it, so that must have been named too. */
export function holdsMore(change: JudgedChange): Refused {
  return refused(change, 'with', { text: 'what the agent changed in it would go with it, and was not named' });
}

/** A directory leaves the layer with all that is in it, and what was deleted with a directory is not in it. `goes`: is to be dropped. */
export function undroppable(changes: readonly JudgedChange[], goes: (change: JudgedChange) => boolean): Refused[] {
  const going = changes.filter(goes);
  const holding = dirsAbove(changes.filter((change) => !change.implied && !goes(change)));
  const whole = new Set(going.filter(({ implied }) => !implied).map(({ path }) => path));
  return going.flatMap((change) => {
    if (change.implied) return isBelow(change.path, whole) ? [] : [deletedWith(change)];
    return change.upper !== null && change.type === 'dir' && holding.has(change.path) ? [holdsMore(change)] : [];
  });
}

/** One deletion can't be taken out of the deletion of the whole directory. */
function deletedWith(change: JudgedChange): Refused {
  return refused(change, 'with', { text: 'the agent deleted all of its directory: choose the same for that' });
}

/** I18. */
export function stillUsed(change: JudgedChange): Refused {
  return refused(change, 'failed', { text: 'nothing can be dropped from a sandbox that runs' });
}

export function isBelow(path: Bytes, tops: ReadonlySet<Bytes>): boolean {
  for (let at = path; at !== '/'; ) {
    at = parentOf(at);
    if (tops.has(at)) return true;
  }
  return false;
}

/** Every directory above what stays in the layer. */
function dirsAbove(staying: readonly JudgedChange[]): ReadonlySet<Bytes> {
  const above = new Set<Bytes>();
  for (const { path } of staying) {
    for (let at = parentOf(path); !above.has(at); at = parentOf(at)) {
      above.add(at);
      if (at === '/') break;
    }
  }
  return above;
}

/** Those that lie in none of the others. */
export function outermost(changes: readonly JudgedChange[]): JudgedChange[] {
  const paths = new Set(changes.map(({ path }) => path));
  return changes.filter(({ path }) => !isBelow(path, paths));
}
