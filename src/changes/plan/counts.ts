import type { Change } from '../change.js';
import type { Counts } from '../result.js';
import { weightOf } from '../scan/crowd.js';

/** A rename counts as one modification. */
export function countsOf(changes: readonly Pick<Change, 'kind' | 'crowd'>[]): Counts {
  const counts = { add: 0, modify: 0, delete: 0, type: 0, metadata: 0 };
  for (const change of changes) counts[change.kind === 'rename' ? 'modify' : change.kind] += weightOf(change);
  return counts;
}
