import { joinBytes, type Bytes } from '../../bytes.js';
import { isLocked, waitLock, type Lock } from '../../sandbox/lock.js';
import { commitsDir } from '../vault/vault.js';
import type { Hooks, StoreContext } from '../store-context.js';

/**
 * I15: the user's lock first, then the store's, always in this order. The
 * kernel gives both back when we end, however we end.
 */
export function withCommitLock<T>(ctx: StoreContext, hooks: Hooks, work: () => T): T {
  const files = [ctx.hostLock, storeLock(ctx)];
  const locks: Lock[] = [];
  let told = false;
  const tell = (): void => {
    if (!told) hooks.onWait?.('another commit');
    told = true;
  };
  try {
    for (const file of files) if (file !== undefined) locks.push(waitLock(ctx.kernel, file, tell));
    return work();
  } finally {
    for (const lock of locks.reverse()) lock.release();
  }
}

/** A commit, an undo or a recovery of this store is under way. */
export function isCommitting(ctx: StoreContext): boolean {
  return isLocked(ctx.kernel, storeLock(ctx));
}

function storeLock({ stateDir }: StoreContext): Bytes {
  return joinBytes(commitsDir(stateDir), '.lock' as Bytes);
}
