import { constants } from 'node:fs';
import { joinBytes, type Bytes } from '../../bytes.js';
import { AT_FDCWD } from '../../kernel/kernel.js';
import type { StoreContext } from '../store-context.js';
import { commitsDir } from '../vault/vault.js';
import { isCommitting } from './commit-lock.js';

/** The last that a commit writes. */
export const RESULT = 'result.json' as Bytes;

/** Ids of commits without a result, oldest first as far as ids sort by time. */
export function unfinished({ kernel, stateDir }: StoreContext): string[] {
  const dir = commitsDir(stateDir);
  if (kernel.statOrNull(AT_FDCWD, dir) === null) return [];
  const fd = kernel.open(AT_FDCWD, dir, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const ids = kernel.list(fd).filter((name) => !name.startsWith('.'));
    return ids.filter((id) => kernel.statOrNull(fd, joinBytes(id, RESULT)) === null).sort();
  } finally {
    kernel.close(fd);
  }
}

/** What `recoverAll` would settle, as long as nobody is at it; for who only looks. */
export function interruptedCommits(ctx: StoreContext): readonly string[] {
  const ids = unfinished(ctx);
  return ids.length === 0 || isCommitting(ctx) ? [] : ids;
}
