import type { NameNote } from './dns.js';
import type { Outbox } from './outbox.js';

const MAX_NAMES = 10_000;
/** The host's resolver is asked for both kinds of address at once. */
const [A, AAAA] = [1, 28];

/** Keeps on record what was looked up, once for each name. */
export interface Lookups {
  readonly note: (question: { readonly name: string; readonly type: number }, found: NameNote) => void;
}

/**
 * Puts on record what is decided of names, for the first 10,000 once for each name, and once for
 * each kind of question about it that leaves this machine: lookups repeat. `refused` hears of each refusal.
 */
export function makeLookups(outbox: Outbox, refused: (name: string, rule: string, why: string) => void): Lookups {
  const seen = new Set<string>();
  return {
    note: ({ name, type: of }, { verdict, isAsked, rule, origin, why }) => {
      const type = of === AAAA ? A : of;
      const key = isAsked ? `${name} ${type}` : `${name} ${verdict}`;
      if (seen.has(key)) return;
      const isFull = seen.size >= MAX_NAMES;
      // Of what goes nowhere there is no end: an agent must not fill the log with it.
      if (isFull && verdict === 'allow' && !isAsked) return;
      if (!isFull) seen.add(key);
      outbox.record({ kind: 'dns', object: { name, ...(isAsked ? { type } : {}) }, verdict, rule, origin, detail: isAsked ? {} : { why } });
      if (verdict === 'deny') refused(name, rule, why);
      else if (isAsked) outbox.flush(); // before it is asked
    },
  };
}
