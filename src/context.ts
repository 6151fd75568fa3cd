import type { Bytes } from './bytes.js';
import type { Kernel } from './kernel/kernel.js';

/**
 * What core code may know of the process it runs in. Time, randomness, paths
 * and the environment come from here, so that tests can fix them;
 * `ui/context.ts` makes the real one.
 */
export interface Context {
  readonly kernel: Kernel;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** absolute, as the kernel knows it */
  readonly cwd: Bytes;
  readonly uid: number;
  readonly now: () => Date;
  readonly random: (bytes: number) => Buffer;
  /** /proc/sys/kernel/random/boot_id */
  readonly bootId: () => string;
}
