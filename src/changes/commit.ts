import type { Bytes } from '../bytes.js';
import type { SandboxRecord } from '../sandbox/sandbox.js';
import { hasSandbox, lockCommit, lockRunning, readRecord, writeRecord, type Lock, type Store } from '../sandbox/store.js';
import { freezerOf, type Freezer } from '../sandbox/freezer.js';
import { checkTrail, recordEffect } from '../sandbox/trail.js';
import { afterwards } from './apply/afterwards.js';
import { commitContextOf } from './context.js';
import { changeRecords, effectOf, recoverRecorded } from './effects.js';
import { applyPlan, type Box, type CommitInfo, type CommitResult, type Hooks, type Plan, type Recovered } from './engine.js';
import { AgentfwError } from '../errors.js';
import { hasChanges } from './tally.js';
import { keepOf, keepWithin } from './vault/keep.js';
import { refuseBeyondMemory } from './apply/memory.js';

/** A sandbox whose commit lock is held. */
export interface Locked {
  readonly record: SandboxRecord;
  /** what an earlier crash had left, finished or taken back by now */
  readonly recovered: readonly Recovered[];
  /** of a sandbox that runs (`live`): nothing is held yet */
  readonly freezer: Freezer | null;
}

/**
 * Holds a sandbox still: it can't be started, committed or discarded by
 * anybody else until `act` is done. What a crash left is finished first.
 * `onWait` says for what, as soon as it has to wait.
 * `live`: one that runs is taken as well; `act` holds it still where it must.
 */
export async function withCommitLocks<T>(store: Store, tag: string, onWait: (what: string) => void, act: (locked: Locked) => Promise<T>, live = false): Promise<T> {
  // First: who commits or discards it holds the other one as well, and is worth waiting for.
  const lock = lockCommit(store, tag, () => onWait('another commit of this sandbox to end'));
  try {
    const running = lockStopped(store, tag, onWait, live);
    try {
      const recovered = recoverRecorded(store, { onWait });
      const record = readRecord(store, tag);
      return await act({ record, recovered, freezer: running === null ? freezerOf(record, lock) : null });
    } finally {
      running?.release();
    }
  } finally {
    lock.release();
  }
}

/** Null: it runs, and that is no hindrance. */
function lockStopped(store: Store, tag: string, onWait: (what: string) => void, live: boolean): Lock | null {
  try {
    return lockRunning(store, tag, onWait);
  } catch (error) {
    if (live && error instanceof AgentfwError && error.code === 'AFW_RUNNING') return null;
    throw error;
  }
}

/**
 * Holds the sandbox of a commit still, where there is one to hold: what was
 * dropped from its layers goes back into them only then.
 */
export function withBoxOf<T>(store: Store, { tag, created }: Pick<CommitInfo, 'tag' | 'created'>, onWait: (what: string) => void, act: (box: Box) => T): T {
  if (!hasSandbox(store, tag)) return act('gone');
  const locks: Lock[] = [];
  try {
    try {
      locks.push(lockCommit(store, tag, () => onWait('a commit of that sandbox to end')));
      locks.push(lockRunning(store, tag, onWait));
    } catch (error) {
      if (!(error instanceof AgentfwError) || !['AFW_RUNNING', 'AFW_BUSY'].includes(error.code)) throw error;
      return act('running');
    }
    const record = readRecord(store, tag);
    return record.created > created ? act('gone') : withOpenRecord(store, record, () => act('still'));
  } finally {
    for (const lock of locks.reverse()) lock.release();
  }
}

/** While something may go back into its layers a sandbox doesn't count as committed: not after a crash in between either. */
function withOpenRecord<T>(store: Store, record: SandboxRecord, act: () => T): T {
  if (record.state !== 'committed') return act();
  writeRecord(store, { ...record, state: 'stopped' });
  const result = act();
  if (!hasChanges(store, record)) writeRecord(store, record);
  return result;
}

/** How a plan goes into the audit log. */
export interface Landing {
  readonly as?: 'commit' | 'discard';
  /** the rule that lands or drops a path; absent: the user did */
  readonly ruleOf?: (path: Bytes) => string | null;
}

/** A sandbox that a commit was asked of counts as committed once nothing of it is left to land, also where there never was anything. */
export function closeIfDone(store: Store, record: SandboxRecord): void {
  if (record.state === 'running' || record.state === 'committed' || hasChanges(store, record)) return;
  writeRecord(store, { ...record, state: 'committed' });
}

/** Lands a plan, or drops it, and closes the sandbox where that was the last of it. */
export function landPlan(store: Store, record: SandboxRecord, plan: Plan, hooks: Hooks, { as = 'commit', ruleOf }: Landing = {}): CommitResult {
  const keep = keepOf(store.context.env);
  refuseBeyondMemory(plan);
  checkTrail(store, record.tag);
  const result = applyPlan(commitContextOf(store, record), plan, hooks);
  afterwards(result.id, () => {
    if (result.id !== null) recordEffect(store, record.tag, { kind: as, ...effectOf(result) }, ...changeRecords(result, ruleOf));
    if (result.state !== 'rolled-back') closeIfDone(store, record);
    keepWithin(store, keep, result.id);
  });
  return result;
}
