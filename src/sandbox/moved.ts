import type { Outcome } from './supervise.js';

/**
 * The host goes on living: what was planned may be gone when it is to be
 * mounted, or something was mounted below what a layer was to lie over, which
 * the kernel answers with EINVAL. Then the plan is made anew.
 */
export function hostMoved({ failure, started }: Pick<Outcome, 'failure' | 'started'>): boolean {
  return !started && failure?.code === 'mount' && /No such file or directory|Invalid argument/.test(failure.message);
}
