import type { Bytes } from '../../bytes.js';
import type { CompiledPolicy } from '../../policy/compiled.js';
import type { Exceeded } from '../../policy/thresholds.js';
import { judgeChanges, type Ending } from '../../policy/verdict.js';
import type { SandboxRecord } from '../../sandbox/sandbox.js';
import type { JudgedChange, Verdict } from '../change.js';
import type { StateFile } from './statefiles.js';

/** Changes with verdict and rule, and what is to be said of them together. */
export interface Ruled {
  readonly shown: readonly JudgedChange[];
  readonly counts: Readonly<Record<Verdict, number>>;
  readonly exceeded: readonly Exceeded[];
  /** why what would have landed waits; null when nothing was held back */
  readonly held: string | null;
}

interface Input {
  readonly shown: readonly JudgedChange[];
  readonly states: ReadonlyMap<Bytes, StateFile>;
  readonly ending: Ending;
}

/** A running sandbox is judged as if its agent ended well. */
export function endingOf({ state, exit, limited }: Pick<SandboxRecord, 'state' | 'exit' | 'limited'>, keep = false): Ending {
  if (state === 'running' || state === 'starting') return { code: 0, keep };
  return { code: state === 'unclean' || limited !== undefined || exit === null || 'signal' in exit ? null : exit.code, keep };
}

/**
 * Judges what people are shown. A merged state file is no conflict; keys of it
 * that start programs are for a person to decide, and so is one that can't be merged.
 */
export function ruleChanges(policy: CompiledPolicy, { shown, states, ending }: Input): Ruled {
  const { changes, ...rest } = judgeChanges(policy, states.size === 0 ? shown : shown.map((change) => (isMerged(states.get(change.path)) ? { ...change, conflict: null } : change)), ending);
  if (states.size === 0) return { shown: changes, counts: rest.counts, exceeded: rest.exceeded, held: rest.held };
  const counts = { ...rest.counts };
  const ruled = changes.map((change) => {
    const state = states.get(change.path);
    if (state === undefined || state.merge?.escalated.length === 0 || change.verdict !== 'commit') return change;
    counts.commit -= 1;
    counts.escalate += 1;
    return { ...change, verdict: 'escalate' as const, rule: `${state.rule.id}.keys` };
  });
  return { shown: ruled, counts, exceeded: rest.exceeded, held: rest.held };
}

function isMerged(state: StateFile | undefined): boolean {
  return state !== undefined && state.merge !== null;
}

/** The class of a state file says what is left of it for a person. */
export function withStateClass(change: JudgedChange, states: ReadonlyMap<Bytes, StateFile>): JudgedChange {
  const state = states.get(change.path);
  if (state === undefined) return change;
  if (state.merge === null) return { ...change, class: 'control', reason: 'it can’t be merged by key, and keys of it start programs' };
  const { escalated } = state.merge;
  if (escalated.length === 0) return { ...change, conflict: null };
  return { ...change, conflict: null, class: 'control', reason: `keys that start programs: ${escalated.join(', ')}` };
}
