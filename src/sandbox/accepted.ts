import { usageError } from '../errors.js';
import { suggest } from '../policy/suggest.js';
import { LIMIT_NAMES } from './limits.js';

/** What may be missing: limits, and what the driver reports as lacking. */
const NAMES: readonly string[] = [...LIMIT_NAMES, 'signal-scope'];

/** `--accept-degraded memory,pids` */
export function acceptedNames(words: readonly string[]): ReadonlySet<string> {
  const names = words.flatMap((word) => word.split(',')).map((name) => name.trim());
  for (const name of names) {
    if (NAMES.includes(name)) continue;
    const near = suggest(name, NAMES);
    throw usageError(`--accept-degraded: there is no protection \`${name}\`.`, near === null ? `The names are ${NAMES.join(', ')}` : `Did you mean ${near}?`);
  }
  return new Set(names);
}
