import type { Kernel } from '../kernel/kernel.js';

/** What may be given back while nothing happens. */
export interface Quiet {
  /** something happened: in a moment nothing does, probably */
  readonly soon: () => void;
  readonly stop: () => void;
}

const MOMENT_MS = 2000;
const EVERY_MS = 10_000;

/**
 * A supervisor waits for most of its life. A third of its memory is pages of
 * Node's own file that only its start needed: they are let go, 2 ms of
 * processor each time, and what is needed again comes from the kernel's cache.
 */
export function makeQuiet(kernel: Pick<Kernel, 'forgetProgram'>): Quiet {
  let timer: ReturnType<typeof setTimeout> | null = null;
  let last = -EVERY_MS;
  return {
    soon: () => {
      if (timer !== null) return;
      timer = setTimeout(() => {
        timer = null;
        last = performance.now();
        kernel.forgetProgram?.();
      }, Math.max(MOMENT_MS, last + EVERY_MS - performance.now()));
      timer.unref();
    },
    stop: () => {
      if (timer !== null) clearTimeout(timer);
      timer = null;
    },
  };
}
