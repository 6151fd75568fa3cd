import type { AuditEvent } from '../audit/event.js';
import type { SandboxRecord } from '../sandbox/sandbox.js';
import { lockCommit, lockRunning, readRecord, writeRecord, type Store } from '../sandbox/store.js';
import { recordEffect } from '../sandbox/trail.js';
import { commitContextOf, storeContextOf } from './context.js';
import { applyPlan, recoverAll, type CommitResult, type Hooks, type Plan, type Recovered } from './engine.js';
import { changesOf } from './gather.js';

export interface Locked {
  readonly record: SandboxRecord;
  /** what an earlier crash had left, finished or taken back by now */
  readonly recovered: readonly Recovered[];
}

/**
 * Holds a sandbox still: it can't be started, committed or discarded by
 * anybody else until `act` is done. What a crash left is finished first.
 */
export async function withCommitLocks<T>(store: Store, tag: string, onWait: () => void, act: (locked: Locked) => Promise<T>): Promise<T> {
  const running = lockRunning(store, tag);
  try {
    const lock = lockCommit(store, tag, onWait);
    try {
      const recovered = recoverAll(storeContextOf(store));
      return await act({ record: readRecord(store, tag), recovered });
    } finally {
      lock.release();
    }
  } finally {
    running.release();
  }
}

/** Lands a plan, or drops it; the sandbox counts as committed once nothing of it is left to land. */
export function landPlan(store: Store, record: SandboxRecord, plan: Plan, hooks: Hooks, as: 'commit' | 'discard' = 'commit'): CommitResult {
  const result = applyPlan(commitContextOf(store, record), plan, hooks);
  if (result.id !== null) recordEffect(store, record.tag, { kind: as, ...effectOf(result) });
  if (result.state === 'landed' && changesOf(store, record).length === 0) writeRecord(store, { ...record, state: 'committed' });
  return result;
}

/** A commit, an undo or a discard as the audit log has it. */
export function effectOf({ id, digest, state, counts, refused }: CommitResult): Pick<AuditEvent, 'object' | 'detail'> {
  return { object: { id, digest }, detail: { state, ...counts, refused: refused.length } };
}
