import type { CommitContext } from '../store-context.js';

type Clocked = Pick<CommitContext, 'now' | 'record'>;

/** A T0 that no clock reaches stands for "trust the host as it is". */
const FOREVER = 2n ** 62n;
/** Before all that a file's ctime can be. */
const NEVER = -(2n ** 63n);

/** A clock that is behind T0 proves nothing: then every base counts as touched. */
export function isClockBehind({ now, record: { t0 } }: Clocked): boolean {
  return BigInt(now().getTime()) * 1_000_000n < t0 && t0 < FOREVER;
}

/** A base whose ctime is before this was not touched since T0, whatever else is known of it. */
export function provenBefore(ctx: Clocked): bigint {
  return isClockBehind(ctx) ? NEVER : ctx.record.t0;
}
