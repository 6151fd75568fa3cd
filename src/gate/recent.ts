import type { ConnQuestion } from './channel.js';
import type { Allowed, Decision } from './decide.js';
import { exactRule } from './names.js';

/**
 * What the policy just allowed, for the next connection to the same place: a
 * build opens hundreds. Answers of people are not kept here, and a refusal
 * is always judged anew.
 */
export interface Recent {
  readonly get: (question: ConnQuestion) => { readonly decision: Allowed; readonly about: string } | null;
  readonly keep: (question: ConnQuestion, decision: Decision) => Decision;
}

const KEEP_MS = 2000;
const MAX = 256;

/** Holds allowed answers for 2 s, at most 256 of them; `now` is in ms, by a clock that never goes back. */
export function makeRecent(now: () => number): Recent {
  const kept = new Map<string, { readonly until: number; readonly decision: Allowed; readonly about: string }>();
  const keyOf = ({ name, ip, port }: ConnQuestion): string => `${name ?? ''} ${ip} ${port}`;
  return {
    get: (question) => {
      const found = kept.get(keyOf(question)) ?? null;
      return found === null || question.stray || found.until < now() ? null : found;
    },
    keep: (question, decision) => {
      if (decision.verdict === 'deny' || decision.approval !== null) return decision;
      if (kept.size >= MAX) kept.clear();
      kept.set(keyOf(question), { until: now() + KEEP_MS, decision, about: exactRule(decision.host, question.port) });
      return decision;
    },
  };
}
