/**
 * The commit engine's whole surface (docs/commit.md). Callers take the
 * sandbox's own commit lock first (`lockCommit`); the engine takes the store's
 * and the user's.
 *
 *   const found = judgeConflicts(ctx, classified);        // all changes, with `conflict`
 *   const chosen = selectChanges(found, { paths, globs, hunks: [] });
 *   const plan = planCommit({ changes: found, selected: chosen.paths, facts: commitFacts(ctx), options });
 *   planDigest(plan) === expected || refuse();
 *   const result = applyPlan(ctx, plan, { onProgress, onWait });
 *   return commitStatus(result);
 *
 * Every command that is going to change the store calls `recoverAll` first.
 */
import type { Bytes } from '../bytes.js';
import type { Change, Conflict, JudgedChange } from './change.js';
import type { Counts, CommitResult } from './result.js';
import type { CommitContext, Hooks, StoreContext } from './store-context.js';

export type { CommitContext, Hooks, StoreContext } from './store-context.js';
export { commitStatus, type CommitResult, type Counts, type Landed, type Refused } from './result.js';

/** What a user named. Nothing named means all. */
export interface Selection {
  /** absolute paths: that path and all below it */
  readonly paths: readonly Bytes[];
  /** absolute picomatch patterns, as bytes */
  readonly globs: readonly Bytes[];
}

export interface Selected<T extends Change> {
  /** in the order of the input */
  readonly changes: readonly T[];
  readonly paths: ReadonlySet<Bytes>;
  /** new parent directories and other halves of renames that came along unasked */
  readonly added: readonly Bytes[];
  /** words of the selection that match no change */
  readonly unmatched: readonly Bytes[];
}

/** Pure. Renames are never taken by half; new parents of what is taken come along. */
export declare function selectChanges<T extends Change>(changes: readonly T[], selection: Selection): Selected<T>;

/** Fills in `conflict` by the T0 rule, epochs and captured bases. Reads the host, writes nothing. */
export declare function judgeConflicts<T extends Change>(
  ctx: CommitContext,
  changes: readonly T[],
): (T & { readonly conflict: Conflict | null })[];

/** Content that is neither side's: chosen hunks or a merge. */
export interface Composed {
  readonly content: Buffer;
  /** false: the agent's version stays in the layer as a change (hunks); true: it is spent (a merge) */
  readonly consume: boolean;
}

export interface CommitOptions {
  /** the sandbox is frozen, not stopped: copy only, leave the layer alone */
  readonly live: boolean;
  readonly keepSpecial: boolean;
  readonly fifos: boolean;
  readonly note: string | null;
}

/** Per layer, what decides between moving and copying. */
export interface LayerFacts {
  readonly layer: number;
  /** a rename from the layer to its base is possible */
  readonly movable: boolean;
  /** where replaced objects are kept: on the base's filesystem, or null when that has no room of ours */
  readonly vault: Bytes | null;
  readonly baseDev: bigint;
}

export interface CommitInput {
  /** everything the scan found, judged */
  readonly changes: readonly JudgedChange[];
  readonly selected: ReadonlySet<Bytes>;
  /** by path */
  readonly composed?: ReadonlyMap<Bytes, Composed>;
  /** `sandbox` lands in spite of a conflict, `host` drops the agent's version (undoable) */
  readonly take?: ReadonlyMap<Bytes, 'sandbox' | 'host'>;
  readonly facts: readonly LayerFacts[];
  readonly options: CommitOptions;
}

/** Opaque to callers but for these. */
export interface Plan {
  readonly counts: Counts;
  /** selected paths that will not land, known before anything is written */
  readonly refused: CommitResult['refused'];
  readonly steps: readonly unknown[];
  /** bytes that will be copied instead of moved */
  readonly copyBytes: number;
}

export declare function commitFacts(ctx: CommitContext): readonly LayerFacts[];
/** Pure. */
export declare function planCommit(input: CommitInput): Plan;
/** Pure. `sha256:…` of what would land: what `--expect` binds and `diff --json` shows for all changes. */
export declare function planDigest(plan: Plan): string;
export declare function applyPlan(ctx: CommitContext, plan: Plan, hooks?: Hooks): CommitResult;

export interface CommitInfo {
  readonly id: string;
  readonly tag: string;
  /** ISO 8601 */
  readonly created: string;
  readonly note: string | null;
  readonly counts: Counts;
  readonly digest: string;
  /** the commit that this one took back */
  readonly undoes: string | null;
  /** the commit that took this one back */
  readonly undoneBy: string | null;
  /** `pruned`: listed, but can't be undone any more */
  readonly state: 'landed' | 'rolled-back' | 'unfinished' | 'pruned';
  /** disk use of what it keeps */
  readonly bytes: number;
}

/** Newest first. */
export declare function listCommits(ctx: StoreContext): readonly CommitInfo[];
/** `id` null: the newest that isn't undone. */
export declare function undoCommit(ctx: StoreContext, id: string | null, hooks?: Hooks): CommitResult;

export interface Recovered {
  readonly id: string;
  /** `discarded` before the commit point; `blocked`: an error stands in the way, try again */
  readonly outcome: 'finished' | 'rolled-back' | 'discarded' | 'blocked';
  readonly result: CommitResult | null;
  readonly error: string | null;
}

/** Finishes or rolls back what a crash left. Cheap when there is nothing. */
export declare function recoverAll(ctx: StoreContext, hooks?: Hooks): readonly Recovered[];

export interface PruneOptions {
  /** keep what is younger */
  readonly olderThanMs: number | null;
  /** prune the oldest until no more than this is kept */
  readonly maxBytes: number | null;
  readonly dryRun: boolean;
}

/** What was (or would be) pruned. The record of a commit stays; what it kept goes. */
export declare function pruneCommits(ctx: StoreContext, options: PruneOptions): readonly CommitInfo[];
