import { parentOf, type Bytes } from '../bytes.js';
import type { CompiledPolicy } from '../policy/compiled.js';
import { engineOf } from '../policy/engine.js';
import { ruledNames } from '../policy/judge.js';
import type { SandboxRecord } from '../sandbox/sandbox.js';
import { lockCommit, type Store } from '../sandbox/store.js';
import type { JudgedChange } from './change.js';
import { landPlan } from './commit.js';
import { commitContextOf } from './context.js';
import { recoverRecorded } from './effects.js';
import { NOTHING, type Ended } from './ended.js';
import { commitFacts, planCommit, renamePaths, type CommitResult, type Composed } from './engine.js';
import { gather, someChange, type Gathered, type Question } from './gather.js';
import { checkoutNeeds } from './git/checkout.js';
import { withPairs } from './plan/pairs.js';
import { isOnlyMark } from './scan/mark.js';

/** How the policy commits and discards at the end of a run. */
export interface EndingOptions {
  readonly policy: CompiledPolicy;
  /** `--on-exit keep` */
  readonly keep: boolean;
  /** called with what it waits for */
  readonly onWait: (what: string) => void;
}

/**
 * Lands what `commit` rules and state files name and drops what `discard`
 * rules name, as one commit that can be undone. The caller holds the running
 * lock. Does nothing where no rule names any change: then nothing but the
 * names of the changes is looked at.
 */
export function endByPolicy(store: Store, record: SandboxRecord, { policy, keep, onWait }: EndingOptions): Ended {
  if (keep || !someChange(store, record, mayEnd(policy))) return NOTHING;
  const lock = lockCommit(store, record.tag, () => onWait('a commit of this sandbox to end'));
  try {
    recoverRecorded(store, { onWait });
    const gathered = gather(store, record);
    try {
      return end(store, record, { gathered, onWait });
    } finally {
      gathered.contents.close();
    }
  } finally {
    lock.release();
  }
}

/** Cheap, and true too often rather than too seldom. */
function mayEnd(policy: CompiledPolicy): Question {
  const engine = engineOf(policy);
  const fallback = policy.settings.some(({ key, value }) => key === 'changes.default' && value !== 'escalate');
  const lists = ['changes.commit', 'changes.discard', 'files.state'] as const;
  const isNamed = (path: Bytes): boolean => engine.paths(lists, path).length > 0;
  return {
    names: ruledNames(policy),
    of: ({ path, from }) => fallback || isNamed(path) || (from !== null && isNamed(from)),
    within: (dir) => {
      const found = engine.within(lists, dir);
      return fallback || (found === null ? null : found.length > 0);
    },
  };
}

function end(store: Store, record: SandboxRecord, { gathered, onWait }: { readonly gathered: Gathered } & Pick<EndingOptions, 'onWait'>): Ended {
  const held = gathered.ruled?.held ?? null;
  const states = composedStates(gathered);
  const chosen = chosenOf(gathered, states);
  const { commit, discard } = chosen;
  if (commit.size + discard.size === 0) return { ...NOTHING, held };
  const plan = planCommit({
    changes: gathered.single.map((change) => (discard.has(change.path) || states.has(change.path) ? { ...change, conflict: null } : change)),
    ...{ selected: new Set([...commit, ...discard]), renames: withPairs(renamePaths(gathered.pairs), gathered.single, store.kernel), composed: states },
    needs: checkoutNeeds(gathered.single, { kernel: store.kernel, layers: record.layers }),
    take: new Map([...discard].map((path) => [path, 'host'])),
    facts: commitFacts(commitContextOf(store, record)),
    options: { live: false, keepSpecial: false, fifos: false, note: 'by policy, when the agent ended' },
  });
  const rules = new Map(gathered.shown.map(({ path, rule }) => [path, rule]));
  const result = landPlan(store, record, plan, { onWait }, { as: commit.size > 0 ? 'commit' : 'discard', ruleOf: (path) => rules.get(path) ?? null });
  return { ...countsOf(gathered, chosen, result), commit: result.id, held, failed: result.error?.text ?? null };
}

/** What of the agent's state files lands: all but the keys that start programs. */
function composedStates({ states, shown }: Gathered): ReadonlyMap<Bytes, Composed> {
  const composed = new Map<Bytes, Composed>();
  for (const { path, verdict, rule } of shown) {
    const state = states.get(path);
    // Held back or judged by another rule: then it waits as a whole.
    const own = state !== undefined && (rule === state.rule.id || rule === `${state.rule.id}.keys`);
    if (!own || state.merge === null || state.settled || verdict === 'discard') continue;
    composed.set(path, { content: Buffer.from(state.merge.text, 'utf8'), consume: state.merge.escalated.length === 0 });
  }
  return composed;
}

interface Chosen {
  readonly commit: ReadonlySet<Bytes>;
  readonly discard: ReadonlySet<Bytes>;
}

/** By the verdicts on what was shown: both halves of a rename go one way. */
function chosenOf({ single, shown, ruled, parts }: Gathered, states: ReadonlyMap<Bytes, Composed>): Chosen {
  const commit = new Set(states.keys());
  const discard = new Set<Bytes>();
  for (const change of ruled?.shown ?? shown) {
    const into = change.verdict === 'commit' ? commit : change.verdict === 'discard' ? discard : null;
    for (const { path } of into === null ? [] : (parts.get(change) ?? [change])) into?.add(path);
  }
  dropOrphans(single, commit, parts);
  keepDirsThatHold(single, discard);
  return { commit, discard };
}

/** What needs a directory that does not land waits with it, and takes the other half of its rename along. */
function dropOrphans(single: readonly JudgedChange[], commit: Set<Bytes>, parts: Gathered['parts']): void {
  const missing = new Set(single.filter((change) => isNeeded(change) && !commit.has(change.path)).map(({ path }) => path));
  if (missing.size === 0) return;
  const waits = (path: Bytes): boolean => {
    for (let at = parentOf(path); at !== '/'; at = parentOf(at)) if (missing.has(at)) return true;
    return false;
  };
  for (const path of [...commit]) if (waits(path)) commit.delete(path);
  for (const members of parts.values()) {
    if (members.some(({ path }) => !commit.has(path))) for (const { path } of members) commit.delete(path);
  }
}

/** A directory that the host doesn't have yet, or has under another name. */
function isNeeded({ type, implied, kind, oldType }: JudgedChange): boolean {
  return type === 'dir' && !implied && (kind === 'add' || kind === 'rename' || (kind === 'type' && oldType !== 'dir'));
}

/** Dropping a directory drops all in it: one that holds something else stays. */
function keepDirsThatHold(single: readonly JudgedChange[], discard: Set<Bytes>): void {
  if (discard.size === 0) return;
  const holding = new Set<Bytes>();
  for (const { path } of single) {
    if (discard.has(path)) continue;
    for (let at = parentOf(path); at !== '/' && !holding.has(at); at = parentOf(at)) holding.add(at);
  }
  for (const path of [...discard]) if (holding.has(path)) discard.delete(path);
}

function countsOf({ single }: Gathered, { commit, discard }: Chosen, result: CommitResult): Pick<Ended, 'landed' | 'dropped'> {
  if (result.state !== 'landed') return { landed: 0, dropped: 0 };
  const refused = new Set(result.refused.map(({ path }) => path));
  let [landed, dropped] = [0, 0];
  for (const change of single) {
    const { path } = change;
    if (refused.has(path) || isOnlyMark(change)) continue;
    if (commit.has(path)) landed += 1;
    else if (discard.has(path)) dropped += 1;
  }
  return { landed, dropped };
}
