import type { Bytes } from '../bytes.js';
import type { SandboxRecord } from '../sandbox/sandbox.js';
import type { Store } from '../sandbox/store.js';
import { isClockBehind } from './capture/clock.js';
import type { Change } from './change.js';
import { blindnessOf } from './classify/hidden.js';
import { judgeConflicts } from './conflict.js';
import { commitContextOf } from './context.js';
import { allOf, changesOf, countKinds, scanOf, type KindCounts } from './gather.js';
import { pathAt, type Crowd } from './scan/crowd.js';
import { isOnlyMark } from './scan/mark.js';
import type { ScanPiece } from './scan.js';
import type { CommitContext } from './store-context.js';

/**
 * What `gather` tells, for those who only count or name it: nothing is classified, and only
 * what the host may have touched is judged. Renames are told as an addition and a deletion.
 */
interface Told {
  readonly changes: readonly Change[];
  readonly crowds: readonly Crowd[];
}

/** How many of each kind. */
export function countChanges(store: Store, record: SandboxRecord): KindCounts {
  const { changes, crowds } = toldOf(store, record);
  const counts = { ...countKinds(changes) };
  for (const { kind, at } of crowds) counts[kind] += at.length;
  return counts;
}

/** Their paths, in the order of the scan. */
export function changedPaths(store: Store, record: SandboxRecord): Bytes[] {
  const { changes, crowds } = toldOf(store, record);
  return [...changes.map(({ path }) => path), ...crowds.flatMap((crowd) => crowd.at.map((at) => pathAt(crowd, at)))];
}

/** The same, each a change of its own, for who chooses among them. */
export function changesTold(store: Store, record: SandboxRecord): Change[] {
  return judgeConflicts(commitContextOf(store, record), changesOf(store, record)).filter((change) => !isOnlyMark(change));
}

/** Whether there are any. */
export function hasChanges(store: Store, record: SandboxRecord): boolean {
  const ctx = commitContextOf(store, record);
  for (const { changes, crowds } of piecesOf(store, ctx)) {
    if (crowds.length > 0 || changes.some((change) => !isSuspect(ctx, change))) return true;
  }
  return toldOf(store, record).changes.length > 0;
}

function toldOf(store: Store, record: SandboxRecord): Told {
  const { changes, crowds } = judgedOf(store, record);
  return { changes: changes.some(isOnlyMark) ? changes.filter((change) => !isOnlyMark(change)) : changes, crowds };
}

function judgedOf(store: Store, record: SandboxRecord): Told {
  const ctx = commitContextOf(store, record);
  const told = allOf(piecesOf(store, ctx));
  const suspects = told.changes.filter((change) => isSuspect(ctx, change));
  if (suspects.length === 0) return told;
  // Whether a directory that the host has lost stays is for all that is in it to say.
  if (suspects.some(({ type, kind, base }) => type === 'dir' && (base === null || kind === 'type'))) {
    return { changes: judgeConflicts(ctx, changesOf(store, record)), crowds: [] };
  }
  const asked = new Set([...suspects, ...told.changes.filter(({ type }) => type === 'dir')]);
  const judged = new Map(judgeConflicts(ctx, told.changes.filter((change) => asked.has(change))).map((change) => [change.path, change]));
  return { changes: told.changes.flatMap((change) => (asked.has(change) ? (judged.get(change.path) ?? []) : [change])), crowds: told.crowds };
}

function piecesOf(store: Store, ctx: CommitContext): Generator<ScanPiece> {
  const { record } = ctx;
  return scanOf(store, record, blindnessOf(record), { look: 'no', ...(isClockBehind(ctx) ? {} : { crowds: { from: 'yes', before: record.t0 } }) });
}

/** The difference may be the host's doing alone; of others it is the agent's. */
function isSuspect(ctx: CommitContext, { kind, base, copiedUp }: Change): boolean {
  if (base !== null) return base.ctimeNs >= ctx.record.t0 || isClockBehind(ctx);
  return kind === 'add' && copiedUp !== false;
}
