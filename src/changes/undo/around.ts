import { isWithin, parentOf, type Bytes } from '../../bytes.js';
import { readJournal } from '../journal/journal.js';
import { absolute, numbered } from '../plan/step.js';
import type { StoreContext } from '../store-context.js';
import { commitDir } from '../vault/vault.js';

/**
 * Whether somebody in the absolute directory `dir` may mean this commit: it changed something in there, or `dir` lies in
 * what holds all that it changed. Null where its journal can't be read.
 */
export function isAround(ctx: StoreContext, id: string, dir: Bytes): boolean | null {
  const journal = readJournal(ctx.kernel, commitDir(ctx.stateDir, id as Bytes));
  if (journal === null) return null;
  const { header: { roots }, steps, refused } = journal;
  let all: Bytes | null = null;
  for (const [index, { host }] of numbered(steps)) {
    if (refused.has(index)) continue;
    const path = absolute(roots, host);
    if (isWithin(path, dir)) return true;
    all = all === null ? parentOf(path) : common(all, path);
  }
  return all === null || isWithin(dir, all);
}

/** The directory above that `path` lies in, too. */
function common(dir: Bytes, path: Bytes): Bytes {
  let at = dir;
  while (!isWithin(path, at)) at = parentOf(at);
  return at;
}
