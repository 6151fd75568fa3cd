import type { Change } from '../changes/change.js';
import { isBinary } from './git-binary.js';
import type { ContentSource } from './source.js';
import { countLines, textDiff } from './text-diff.js';

/** How much of a file's content changes; null where there is none to compare. */
export interface Summary {
  readonly binary: boolean | null;
  readonly added: number | null;
  readonly removed: number | null;
}

const NONE: Summary = { binary: null, added: null, removed: null };
/** Larger files count as binary: nobody reads their lines. */
const MOST_TEXT = 8 * 1024 * 1024;
const EMPTY = Buffer.alloc(0);

/** Lines added and removed, as `git diff --numstat` counts them. */
export function summarise(change: Change, contents: Pick<ContentSource, 'read'>): Summary {
  if (change.type !== 'file' || (!change.content && change.kind !== 'delete')) return NONE;
  // A rename with other content compares two places, which no walk does.
  const lines = change.kind === 'rename' ? null : (change.lines ?? null);
  if (lines !== null) return { binary: lines.added === null, ...lines };
  const fresh = change.kind === 'add' || (change.oldType !== null && change.oldType !== 'file');
  const before = fresh ? EMPTY : contents.read(change, 'base', MOST_TEXT);
  const after = change.kind === 'delete' ? EMPTY : contents.read(change, 'upper', MOST_TEXT);
  if (before === null || after === null || isBinary(before) || isBinary(after)) return { binary: true, added: null, removed: null };
  return { binary: false, ...countLines(textDiff(before.toString('latin1'), after.toString('latin1'))) };
}
