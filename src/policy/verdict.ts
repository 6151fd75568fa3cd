import { isWithin, parentOf, type Bytes } from '../bytes.js';
import type { JudgedChange, Verdict } from '../changes/change.js';
import type { CompiledPolicy } from './compiled.js';
import { judgeChange } from './judge.js';
import { exceededBy, type Exceeded } from './thresholds.js';

/** How the run ended, as far as verdicts care. */
export interface Ending {
  /** status of the agent; null while it runs or when a signal ended it */
  readonly code: number | null;
  /** `--on-exit keep`: nothing lands or goes by itself */
  readonly keep: boolean;
}

export interface Verdicts<T extends JudgedChange> {
  readonly changes: readonly T[];
  readonly exceeded: readonly Exceeded[];
  readonly counts: Readonly<Record<Verdict, number>>;
  /** why what would have landed waits, for the lines after a run; null when nothing was held back */
  readonly held: string | null;
}

interface Judged {
  readonly verdict: Verdict;
  readonly rule: string;
  /** commits at any exit status */
  readonly state: boolean;
}

/**
 * Verdicts on all changes of a sandbox together: each by judgeChange, then
 * directories with what they hold, thresholds, and how the agent ended.
 */
export function judgeChanges<T extends JudgedChange>(policy: CompiledPolicy, changes: readonly T[], ending: Ending): Verdicts<T> {
  const judged = new Map<Bytes, Judged>();
  for (const change of changes) {
    const { verdict, rule } = judgeChange(policy, change);
    const state = policy.rules.some((one) => one.list === 'files.state' && one.id === rule);
    judged.set(change.path, { verdict, rule, state });
  }
  settleReplaced(changes, judged);
  settleNewDirs(changes, judged);
  const counted = changes.filter(({ path }) => judged.get(path)?.verdict !== 'discard' && judged.get(path)?.state !== true);
  const exceeded = exceededBy(policy, counted);
  const held = heldBy(ending, exceeded);
  const counts: Record<Verdict, number> = { commit: 0, discard: 0, escalate: 0 };
  let wereHeld = false;
  const out = changes.map((change) => {
    const own = judged.get(change.path) ?? { verdict: 'escalate' as const, rule: 'changes.default', state: false };
    const waits = held !== null && (held.all ? own.verdict !== 'escalate' : own.verdict === 'commit' && !own.state);
    wereHeld ||= waits;
    const final = waits ? { verdict: 'escalate' as const, rule: held.rule } : own;
    counts[final.verdict] += 1;
    return { ...change, verdict: final.verdict, rule: final.rule };
  });
  return { changes: out, exceeded, counts, held: wereHeld && held !== null ? held.why : null };
}

function heldBy(ending: Ending, exceeded: readonly Exceeded[]): { rule: string; why: string; all: boolean } | null {
  if (ending.keep) return { rule: 'exit.keep', why: '--on-exit keep', all: true };
  const [first] = exceeded;
  if (first !== undefined) return { rule: `changes.thresholds.${first.name}`, why: exceeded.map(({ text }) => text).join('; '), all: false };
  if (ending.code === 0) return null;
  return { rule: 'exit.status', why: ending.code === null ? 'the agent did not end by itself' : `the agent ended with status ${ending.code}`, all: false };
}

/** A deleted or replaced directory and what goes with it are one: at odds, a person decides on all. */
function settleReplaced(changes: readonly JudgedChange[], judged: Map<Bytes, Judged>): void {
  const implied = changes.filter((change) => change.implied);
  if (implied.length === 0) return;
  const heads = new Map(changes.filter((change) => !change.implied && (change.kind === 'delete' || change.kind === 'type' || change.opaque)).map(({ path }) => [path, [] as Bytes[]]));
  for (const { path } of implied) {
    for (let dir = parentOf(path); dir !== '/'; dir = parentOf(dir)) heads.get(dir)?.push(path);
  }
  for (const [head, paths] of heads) {
    const group = [head, ...paths];
    const verdicts = group.map((path) => judged.get(path)?.verdict);
    if (new Set(verdicts).size < 2) continue;
    const odd = group.map((path) => judged.get(path)).find((one) => one?.verdict !== 'commit');
    for (const path of group) judged.set(path, { verdict: 'escalate', rule: odd?.rule ?? 'changes.default', state: false });
  }
}

/** Rules that say nothing of the directory itself. */
const UNNAMED: ReadonlySet<string> = new Set(['changes.default', 'control.outside', 'class.control']);

/** A new directory that no rule names goes the way of what it holds. */
function settleNewDirs(changes: readonly JudgedChange[], judged: Map<Bytes, Judged>): void {
  const dirs = changes.filter((change) => change.kind === 'add' && change.type === 'dir' && UNNAMED.has(judged.get(change.path)?.rule ?? ''));
  if (dirs.length === 0) return;
  const held = new Map(dirs.map(({ path }) => [path, new Set<Judged>()]));
  const own = new Set(held.keys());
  for (const { path } of changes) {
    const one = judged.get(path);
    if (one === undefined || own.has(path)) continue;
    for (let dir = parentOf(path); dir !== '/' && isWithin(path, dir); dir = parentOf(dir)) held.get(dir)?.add(one);
  }
  for (const [path, below] of held) {
    const commit = [...below].find(({ verdict }) => verdict === 'commit');
    const [first] = below;
    if (commit !== undefined) judged.set(path, commit);
    else if (first !== undefined && [...below].every(({ verdict }) => verdict === 'discard')) judged.set(path, first);
  }
}
