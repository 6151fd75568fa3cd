import type { SandboxRecord } from './sandbox.js';
import { lockCommit, lockRunning, readRecord, type Store } from './store.js';
import { trashSandbox } from './trash.js';

/**
 * Throws a sandbox away with all its changes: one rename, whatever its size.
 * Refuses while it runs; `onWait` is called when a commit of it is under way.
 */
export function discardSandbox(store: Store, tag: string, onWait: () => void): SandboxRecord {
  const lock = lockCommit(store, tag, onWait);
  try {
    const running = lockRunning(store, tag);
    try {
      const record = readRecord(store, tag);
      trashSandbox(store, record);
      return record;
    } finally {
      running.release();
    }
  } finally {
    lock.release();
  }
}
