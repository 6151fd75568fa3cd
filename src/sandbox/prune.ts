import type { SandboxRecord } from './sandbox.js';
import { listRecords, type Store } from './store.js';

/** A sandbox that `prune` would remove, and why. */
export interface Prunable {
  readonly record: SandboxRecord;
  readonly why: 'committed' | 'old';
}

/** What is committed, and with an age what ended longer ago; never what runs. */
export function prunableSandboxes(store: Store, olderThanMs: number | null): readonly Prunable[] {
  const now = store.context.now().getTime();
  return listRecords(store).records.flatMap((record): Prunable[] => {
    if (record.state === 'running' || record.state === 'starting') return [];
    const ended = Date.parse(record.stopped ?? record.started);
    if (olderThanMs !== null) return now - ended >= olderThanMs ? [{ record, why: record.state === 'committed' ? 'committed' : 'old' }] : [];
    return record.state === 'committed' ? [{ record, why: 'committed' }] : [];
  });
}
