import type { Bytes } from '../../bytes.js';
import type { Bases } from '../base.js';
import { isBelow } from '../plan/drops.js';
import type { Judged } from './untouched.js';

/**
 * A new directory of the agent lies over one that the host made meanwhile, and hides what is in
 * that only because the layer doesn't know of it: nobody deleted anything. Neither replaces the
 * other; what the agent has in it lands entry by entry. It is so where the capture saw nothing
 * on the host when the agent came there first.
 */
export function withoutBothMade<T extends Judged>(changes: readonly T[], bases: Bases): readonly T[] {
  const made = new Set<Bytes>();
  for (const { path, opaque, kind, conflict } of changes) {
    if (opaque && kind === 'modify' && conflict === 'created' && bases.get(path)?.state === 'absent') made.add(path);
  }
  if (made.size === 0) return changes;
  return changes.flatMap((change) => {
    // Its own metadata may still be another.
    if (made.has(change.path)) return change.meta.length === 0 ? [] : [{ ...change, kind: 'metadata' }];
    return change.implied && change.kind === 'delete' && isBelow(change.path, made) ? [] : [change];
  });
}
