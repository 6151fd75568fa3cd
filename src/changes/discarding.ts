import type { SandboxRecord } from '../sandbox/sandbox.js';
import { lockCommit, lockRunning, readRecord, type Store } from '../sandbox/store.js';
import { trashSandbox } from '../sandbox/trash.js';
import { recoverRecorded } from './effects.js';
import { unfinishedError, type Recovered } from './recover.js';

/** How a whole sandbox is thrown away. */
export interface Discarding {
  /** called with what it waits for, when a commit is under way */
  readonly onWait: (what: string) => void;
  /** as it was shown: one that was used since stays */
  readonly seen?: SandboxRecord;
}

/** What a crash had left, finished or taken back by now, and whether the sandbox is gone. */
export interface Discarded {
  readonly recovered: readonly Recovered[];
  readonly gone: boolean;
}

/**
 * Throws a sandbox away with all its changes: one rename, whatever its size.
 * AFW_RUNNING while it runs. What a crash left of a commit is settled first, or
 * it stays (AFW_UNFINISHED): its layers may hold the host's only version of a file.
 */
export function discardSandbox(store: Store, tag: string, { onWait, seen }: Discarding): Discarded {
  const lock = lockCommit(store, tag, () => onWait('a commit of this sandbox to end'));
  try {
    const running = lockRunning(store, tag, onWait);
    try {
      const recovered = recoverRecorded(store, { onWait });
      const blocked = recovered.find((one) => one.outcome === 'blocked' && (one.tag === null || one.tag === tag));
      if (blocked !== undefined) throw unfinishedError(blocked);
      const record = readRecord(store, tag);
      if (seen !== undefined && isOther(record, seen)) return { recovered, gone: false };
      trashSandbox(store, record);
      return { recovered, gone: true };
    } finally {
      running.release();
    }
  } finally {
    lock.release();
  }
}

/** It ran, got changes back, or is another one of that tag. */
function isOther(now: SandboxRecord, seen: SandboxRecord): boolean {
  return now.state !== seen.state || now.created !== seen.created || now.started !== seen.started || now.stopped !== seen.stopped;
}
