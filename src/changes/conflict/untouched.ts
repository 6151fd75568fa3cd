import { parentOf, type Bytes } from '../../bytes.js';
import type { Change, Conflict } from '../change.js';

/** A change that was compared with the host. */
export type Judged = Change & { readonly conflict: Conflict | null };

/**
 * In a directory that lands as a whole all stays: it is the directory that is new to the host. So
 * it does in one that the host has lost, if the agent changed anything in it; what it only touched
 * is the host's doing alone.
 */
export function withoutUntouched<T extends Judged>(changes: readonly T[], isUntouched: (change: T) => boolean): readonly T[] {
  if (changes.every(({ conflict }) => conflict === null)) return changes;
  const whole = new Set(changes.filter(({ kind, type, conflict }) => kind === 'add' && type === 'dir' && conflict === null).map(({ path }) => path));
  const lost = new Set(changes.filter(isLost).map(({ path }) => path));
  const idle = (change: T): boolean => change.conflict !== null && !whole.has(parentOf(change.path)) && isUntouched(change);
  const busy = new Set<Bytes>();
  if (lost.size > 0) {
    for (const change of changes) {
      const top = topmost(change.path, lost);
      if (top !== null && !busy.has(top) && !idle(change)) busy.add(top);
    }
  }
  return changes.filter((change) => {
    if (change.conflict === null) return true;
    const top = lost.size === 0 ? null : topmost(change.path, lost);
    return top === null ? !idle(change) : busy.has(top);
  });
}

/** The outermost of `tops` that `path` is or lies below. */
function topmost(path: Bytes, tops: ReadonlySet<Bytes>): Bytes | null {
  let found = tops.has(path) ? path : null;
  for (let at = path; at !== '/'; ) {
    at = parentOf(at);
    if (tops.has(at)) found = at;
  }
  return found;
}

/** A directory of the agent without the host's that it was made from: what is in it has no place to land. */
export function isLost({ conflict, kind, type }: Pick<Judged, 'kind' | 'type' | 'conflict'>): boolean {
  return type === 'dir' && (conflict === 'deleted' || (kind === 'type' && conflict !== null));
}
