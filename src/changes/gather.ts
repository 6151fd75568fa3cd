import type { SandboxRecord } from '../sandbox/sandbox.js';
import type { Store } from '../sandbox/store.js';
import type { Change, ChangeKind } from './change.js';
import { scan } from './scan.js';

export type KindCounts = Readonly<Record<ChangeKind, number>>;

/** All changes of a sandbox against the host as it is now, in the order of the layers. */
export function changesOf(store: Store, record: SandboxRecord): Change[] {
  const { kernel, context } = store;
  return [...scan({ kernel, layers: record.layers, mode: record.mode, uid: context.uid })];
}

export function countKinds(changes: Iterable<Change>): KindCounts {
  const counts = { add: 0, modify: 0, delete: 0, type: 0, metadata: 0, rename: 0 };
  for (const { kind } of changes) counts[kind] += 1;
  return counts;
}
