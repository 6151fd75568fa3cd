import type { Bytes } from '../../bytes.js';
import type { Kernel } from '../../kernel/kernel.js';
import type { Change } from '../change.js';
import { withDatabasePairs } from '../database/database.js';
import { withGitPairs } from '../git/pairs.js';

/** What lands together or not at all besides renames (I11): a checked-out branch and its index, a database and its log. */
export function withPairs(renames: ReadonlyMap<Bytes, Bytes>, changes: readonly Change[], kernel: Kernel): ReadonlyMap<Bytes, Bytes> {
  return withDatabasePairs(withGitPairs(renames, changes, kernel), changes);
}
