import type { Bytes } from '../../bytes.js';
import { isRefusal } from '../../errors.js';
import type { Stat } from '../../kernel/kernel.js';
import type { Change, Conflict } from '../change.js';
import { besideOf, databaseOf, isInUse, mayBeDatabase } from './database.js';
import { hostPlace, isTouched, type Judging } from '../conflict/judging.js';
import { statPlace } from '../apply/open-dirs.js';

/**
 * I20: a database lands with what is beside it, or not at all. The host may
 * have written its own log meanwhile and left the database alone, or the other
 * way round: then the agent's would not fit.
 */
export function keepDatabases<T extends Change & { readonly conflict: Conflict | null }>(judging: Judging, changes: readonly T[]): readonly T[] {
  const suspects = changes.filter(isSuspect);
  if (suspects.length === 0) return changes;
  const conflicts = new Map(changes.map(({ path, conflict }) => [path, conflict]));
  const moved = new Set(suspects.filter((change) => othersOf(change.path).some((path) => {
    const conflict = conflicts.get(path);
    return conflict === undefined ? isMoved(judging, change, path) : conflict !== null;
  })));
  return moved.size === 0 ? changes : changes.map((change) => (moved.has(change) ? { ...change, conflict: 'changed' } : change));
}

/** Most files are no multiple of a page: nothing is asked about them. */
function isSuspect({ kind, type, path, upper, base, conflict }: Change & { readonly conflict: Conflict | null }): boolean {
  if (type !== 'file' || conflict !== null) return false;
  if (databaseOf(path) !== null) return true;
  return (kind === 'modify' || kind === 'delete') && mayBeDatabase(upper ?? base);
}

function othersOf(path: Bytes): readonly Bytes[] {
  const main = databaseOf(path);
  return main === null ? besideOf(path) : [main];
}

/** The host's own of this name was written since the sandbox started. */
function isMoved(judging: Judging, change: Change, path: Bytes): boolean {
  const now = statQuietly(judging, { ...change, path, basePath: undefined });
  return now !== null && isInUse(now) && isTouched(judging, path, now);
}

function statQuietly({ dirs }: Judging, change: Change): Stat | null {
  try {
    return statPlace(dirs, hostPlace(dirs, change));
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return null;
  }
}
