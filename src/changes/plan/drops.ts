import type { Bytes } from '../../bytes.js';
import { parentOf } from '../../bytes.js';
import type { JudgedChange } from '../change.js';
import type { Draft } from './draft.js';
import { refused, takeOf, type Take } from './refusal.js';
import type { Refused } from '../result.js';

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

/** The host's side of it was chosen, for it or a directory above. */
export function isHosts(path: Bytes, take: ReadonlyMap<Bytes, Take>): boolean {
  return takeOf(path, { take }) === 'host';
}

/** A directory of the layer leaves it with all that is in it, so that must have been named too. */
export function holdsMore(change: JudgedChange): Refused {
  return refused(change, 'with', { text: 'something in it stays or lands, and would go with it: choose the same for all of it' });
}

/** What becomes of a change: it leaves the layer, lands, or neither. */
export type Fate = (change: JudgedChange) => 'goes' | 'lands' | null;

/** A directory leaves the layer with all that is in it, and what was deleted with a directory is not in it: it goes and lands with that. */
export function undroppable(changes: readonly JudgedChange[], fate: Fate): Refused[] {
  const goes = (change: JudgedChange): boolean => fate(change) === 'goes';
  const going = changes.filter(goes);
  const holding = dirsAbove(changes.filter((change) => !change.implied && !goes(change)));
  const whole = new Set(going.filter(({ implied }) => !implied).map(({ path }) => path));
  const left = whole.size === 0 ? [] : changes.filter((change) => change.implied && isBelow(change.path, whole) && fate(change) === 'lands');
  const hiding = hidingDirs(changes, fate);
  const refusals = going.flatMap((change) => {
    // Without the mark of its directory the host's would show, and with it what the agent deleted there.
    if (change.base !== null && isBelow(change.path, hiding)) return [deletedWith(change)];
    if (change.implied) return isBelow(change.path, whole) ? [] : [deletedWith(change)];
    return change.upper !== null && change.type === 'dir' && holding.has(change.path) ? [holdsMore(change)] : [];
  });
  return [...refusals, ...left.map(deletedWith)];
}

/** Directories that replaced the host's, of which deletions stay. */
function hidingDirs(changes: readonly JudgedChange[], fate: Fate): ReadonlySet<Bytes> {
  const opaque = new Set(changes.filter((change) => change.opaque && fate(change) !== 'goes').map(({ path }) => path));
  if (opaque.size === 0) return NONE;
  const above = dirsAbove(changes.filter((change) => change.implied && fate(change) === null));
  return new Set([...opaque].filter((path) => above.has(path)));
}

/** One deletion can't be taken out of the deletion of the whole directory. */
function deletedWith(change: JudgedChange): Refused {
  return refused(change, 'with', { text: 'the agent deleted all of its directory: choose the same for that' });
}

/** What is mounted can't leave. */
export function isTop(change: JudgedChange): Refused {
  return refused(change, 'failed', { text: 'it is the top of a layer, which stays: leave it there, or discard the whole sandbox' });
}

/** I18. */
export function stillUsed(change: JudgedChange): Refused {
  return refused(change, 'failed', { text: 'nothing can be dropped from a sandbox that runs' });
}

/** Below one of them; itself does not count. */
export function isBelow(path: Bytes, tops: ReadonlySet<Bytes>): boolean {
  for (let at = path; at !== '/'; ) {
    at = parentOf(at);
    if (tops.has(at)) return true;
  }
  return false;
}

/** In a new directory of the host: what would land, and the directory above it that stays and has no other there. */
export function* orphansIn<T extends JudgedChange>(members: readonly T[], lands: (member: T) => boolean): Generator<readonly [T, T]> {
  const staying = new Map(members.filter((member) => member.type === 'dir' && !member.implied && !lands(member)).map((dir) => [dir.path, dir]));
  for (const member of staying.size === 0 ? [] : members) {
    for (let at = parentOf(member.path); at !== '/'; at = parentOf(at)) {
      const dir = staying.get(at);
      if (dir !== undefined && lands(member)) yield [member, dir];
    }
  }
}

/** A directory leaves the layer with all that is in it: nothing of that is dropped by itself. */
export function withoutInner(steps: readonly Draft[]): readonly Draft[] {
  const going = new Map<number, Set<Bytes>>();
  for (const { act, type, fresh, layer, path } of steps) {
    if (act !== 'drop' || type !== 'dir' || fresh === null) continue;
    const paths = going.get(layer);
    if (paths === undefined) going.set(layer, new Set([path]));
    else paths.add(path);
  }
  return going.size === 0 ? steps : steps.filter(({ act, layer, path }) => act !== 'drop' || !isBelow(path, going.get(layer) ?? NONE));
}

const NONE: ReadonlySet<Bytes> = new Set();

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
