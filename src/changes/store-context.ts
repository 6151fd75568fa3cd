import type { Bytes } from '../bytes.js';
import type { Kernel } from '../kernel/kernel.js';
import type { SandboxRecord } from '../sandbox/sandbox.js';
import type { Disk } from './apply/disk.js';

/** What the commit engine may know of the world: the kernel seam, the store, a clock and chance. */
export interface StoreContext {
  readonly kernel: Kernel;
  /** real path of the store, owned by the caller */
  readonly stateDir: Bytes;
  readonly now: () => Date;
  /** unique, `[0-9a-z]{8,40}`; sorts by time when it can (ulid, lower case) */
  readonly randomId: () => string;
  /** a lock file that all stores of this user share; absent: only this store's own lock is taken */
  readonly hostLock?: Bytes;
  /** the seam for writes to open files; absent: Node's own */
  readonly disk?: Disk;
}

/** The same with the sandbox whose changes are committed. */
export interface CommitContext extends StoreContext {
  readonly record: SandboxRecord;
}

/** How a long run talks back. All are called from inside synchronous code: keep them short. */
export interface Hooks {
  /** steps done of all steps; called at most every few hundred steps */
  readonly onProgress?: (done: number, total: number) => void;
  /** all that lands is in hand, and the sandbox not needed any more; what it throws ends the commit before anything happened */
  readonly onStaged?: () => void;
  /** somebody looked at the plan for a while: what the host has is looked at once more, its metadata too */
  readonly isLate?: boolean;
  /** once, before waiting for another commit that holds the lock */
  readonly onWait?: (what: string) => void;
}
