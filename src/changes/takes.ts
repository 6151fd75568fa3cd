import type { Bytes } from '../bytes.js';
import { usageError } from '../errors.js';
import type { Change } from './change.js';
import { takeOf, type Take } from './plan/refusal.js';
import { matching } from './selection.js';
import { selectionOf } from './words.js';

/** Which side was chosen for which change. */
export interface Takes {
  readonly take: ReadonlyMap<Bytes, Take>;
  /** words that match no change */
  readonly unmatched: readonly Bytes[];
}

/**
 * From words, as a user gives them with `--take`, to the changes that they
 * name: a path and all below it, of which the longer one counts, or a pattern
 * for what no path names.
 */
export function takesIn(changes: readonly Change[], words: ReadonlyMap<Bytes, Take>): Takes {
  if (words.size === 0) return { take: words, unmatched: [] };
  const { paths, globs } = selectionOf([...words.keys()], changes);
  const named = new Map(paths.map((path) => [path, words.get(path) as Take]));
  const patterns = patternsIn(changes, globs, words);
  const take = new Map<Bytes, Take>();
  for (const { path, from } of changes) {
    const side = takeOf(path, { take: named }) ?? (from === null ? null : takeOf(from, { take: named })) ?? patterns.get(path) ?? null;
    if (side !== null) take.set(path, side);
  }
  return { take, unmatched: matching(changes, { paths, globs }).unmatched };
}

function patternsIn(changes: readonly Change[], globs: readonly Bytes[], words: ReadonlyMap<Bytes, Take>): ReadonlyMap<Bytes, Take> {
  const sides = new Map<Bytes, Take>();
  for (const glob of globs) {
    const side = words.get(glob) as Take;
    for (const path of matching(changes, { paths: [], globs: [glob] }).taken) {
      if ((sides.get(path) ?? side) !== side) throw usageError('Two patterns of --take choose different sides for one path.', 'Name that path, or let only one of them match it');
      sides.set(path, side);
    }
  }
  return sides;
}
