/**
 * The commit engine's whole surface (docs/commit.md). Callers take the
 * sandbox's own commit lock first (`lockCommit`); the engine takes the store's
 * and the user's.
 *
 *   const found = judgeConflicts(ctx, classified);        // the scan's changes, before `detectRenames`
 *   const renames = renamePaths(detectRenames(found, …).parts);
 *   const chosen = selectChanges(found, { paths, globs }, renames);
 *   const plan = planCommit({ changes: found, selected: chosen.paths, renames, facts: commitFacts(ctx), options });
 *   planDigest(plan) === expected || refuse();
 *   const result = applyPlan(ctx, plan, { onProgress, onWait });
 *   return commitStatus(result);
 *
 * Every command that is going to change the store calls `recoverAll` first.
 */
export { applyPlan } from './apply.js';
export { startCapture, type Capture, type CaptureOptions } from './capture/capture.js';
export { judgeConflicts } from './conflict.js';
export { pruneCommits, surveyCommits, type BrokenCommit, type CommitInfo, type PruneOptions } from './vault/commits.js';
export type { Composed, Plan } from './plan/draft.js';
export { commitFacts, type LayerFacts } from './plan/facts.js';
export { composeHunks, hunksOf, splitHunk, type Hunk, type HunkFile } from './hunks.js';
export { mergeText, type Merged } from './conflict/merge.js';
export { planCommit, planPacked, type CommitInput, type CommitOptions } from './plan.js';
export { recoverAll, type Recovered } from './recover.js';
export { commitStatus, type CommitResult, type Counts, type Landed, type Refused } from './result.js';
export { selectChanges, type Selected, type Selection } from './selection.js';
export type { CommitContext, Hooks, StoreContext } from './store-context.js';
export { undoCommit, type Box } from './undo.js';
import type { Bytes } from '../bytes.js';
import type { Change } from './change.js';
import type { Plan } from './plan/draft.js';

/** `sha256:…` of what would land: what `--expect` binds, and `diff --json` shows for all changes. */
export function planDigest(plan: Plan): string {
  return plan.digest;
}

/** Old path to new path of each rename that `detectRenames` found by content. */
export function renamePaths<T extends Change>(parts: ReadonlyMap<T, readonly T[]>): ReadonlyMap<Bytes, Bytes> {
  const paths = new Map<Bytes, Bytes>();
  for (const rename of parts.keys()) if (rename.from !== null) paths.set(rename.from, rename.path);
  return paths;
}
