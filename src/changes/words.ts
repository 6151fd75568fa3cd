import { isWithin, type Bytes } from '../bytes.js';
import type { Change } from './change.js';
import { matching, selectChanges, type Matched, type Selection } from './selection.js';

/** A word with pattern characters is a pattern, unless a change has that very name. */
export function selectionOf(words: readonly Bytes[], changes: readonly Change[]): Selection {
  const isPattern = (word: Bytes): boolean => /[*?[{]/.test(word) && !changes.some(({ path }) => isWithin(path, word));
  return { paths: words.filter((word) => !isPattern(word)), globs: words.filter(isPattern) };
}

/** Changes that the words of a command line name. */
export interface Filtered<T extends Change> {
  readonly changes: readonly T[];
  /** words that match no change */
  readonly unmatched: readonly Bytes[];
}

/** What the words name and nothing else: for looking, not for landing. */
export function filterChanges<T extends Change>(changes: readonly T[], words: readonly Bytes[]): Filtered<T> {
  const selected = selectChanges(changes, selectionOf(words, changes));
  const added = new Set(selected.added);
  return { changes: selected.changes.filter(({ path }) => !added.has(path)), unmatched: selected.unmatched };
}

/** What the words themselves name, and which of them name none of these. No words name nothing. */
export function namedBy(changes: readonly Change[], words: readonly Bytes[]): Matched {
  return matching(changes, selectionOf(words, changes));
}

/** Words that no change matches; there may be a million of these, and one is enough. */
export function unmatchedIn(changes: readonly Change[], words: readonly Bytes[]): readonly Bytes[] {
  const { paths, globs } = selectionOf(words, changes);
  const isNamed = (word: Bytes): boolean => changes.some(({ path, from }) => isWithin(path, word) || (from !== null && isWithin(from, word)));
  return [...paths.filter((word) => !isNamed(word)), ...(globs.length === 0 ? [] : matching(changes, { paths: [], globs }).unmatched)];
}
