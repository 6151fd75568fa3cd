import type { Change, Conflict } from '../change.js';

/**
 * A directory of the agent that replaces the host's and is like it in all of
 * its own. What is equal is no change: it is only the mark that some of what
 * was in it is gone, and each of that is told by itself. One in conflict is told.
 */
export function isOnlyMark({ kind, opaque, meta, conflict }: Change & { readonly conflict?: Conflict | null }): boolean {
  return opaque && kind === 'modify' && meta.length === 0 && (conflict ?? null) === null;
}
