import { AgentfwError } from '../../errors.js';
import { parseDuration, parseSize } from '../../policy/units.js';
import type { Store } from '../../sandbox/store.js';
import { pruneCommits } from './commits.js';
import { storeContextOf } from '../context.js';

/** How much, and how long, what commits replaced is kept; null: until `prune`. */
export interface Keep {
  readonly maxBytes: number | null;
  readonly olderThanMs: number | null;
}

const NAME = 'AGENTFW_KEEP_UNDO';

/** `10GB`, `30d` or both with a comma. What can't be read is refused before anything lands. */
export function keepOf(env: Readonly<Record<string, string | undefined>>): Keep | null {
  const text = env[NAME] ?? '';
  if (text === '') return null;
  let [maxBytes, olderThanMs]: [number | null, number | null] = [null, null];
  for (const word of text.split(',')) {
    const [bytes, seconds] = [parseSize(word.trim()), parseDuration(word.trim())];
    if (bytes.ok) maxBytes = bytes.value;
    else if (seconds.ok) olderThanMs = seconds.value * 1000;
    else throw new AgentfwError('AFW_KEEP', `${NAME}: ${bytes.why}, nor a duration.`, { status: 2, hint: 'Write a size, an age or both, such as 10GB,30d' });
  }
  return { maxBytes, olderThanMs };
}

/** Lets go of the oldest beyond that; never of the commit just made. */
export function keepWithin(store: Store, keep: Keep | null, made: string | null): void {
  if (keep !== null && made !== null) pruneCommits(storeContextOf(store), { ...keep, dryRun: false, spare: made });
}
