import { parentOf, type Bytes } from '../bytes.js';
import type { JudgedChange, Verdict } from '../changes/change.js';
import { weightOf } from '../changes/scan/crowd.js';
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

/** What the policy says of all changes of a run together. */
export interface Verdicts {
  readonly changes: readonly JudgedChange[];
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
export function judgeChanges(policy: CompiledPolicy, changes: readonly JudgedChange[], ending: Ending): Verdicts {
  const states = new Set(policy.rules.filter(({ list }) => list === 'files.state').map(({ id }) => id));
  const judged = changes.map((change): Judged => {
    const { verdict, rule } = judgeChange(policy, change);
    return { verdict, rule, state: states.has(rule) };
  });
  settleReplaced(changes, judged);
  settleNewDirs(changes, judged);
  const counted = changes.filter((_, index) => judged[index]?.verdict !== 'discard' && judged[index]?.state !== true);
  const exceeded = exceededBy(policy, counted);
  const held = heldBy(ending, exceeded);
  const counts: Record<Verdict, number> = { commit: 0, discard: 0, escalate: 0 };
  let wereHeld = false;
  const out = changes.map((change, index) => {
    const own = judged[index] ?? { verdict: 'escalate' as const, rule: 'changes.default', state: false };
    const waits = held !== null && (held.all ? own.verdict !== 'escalate' : own.verdict === 'commit' && !own.state);
    wereHeld ||= waits;
    const verdict = waits ? 'escalate' : own.verdict;
    counts[verdict] += weightOf(change);
    return ruled(change, verdict, waits ? held.rule : own.rule);
  });
  return { changes: out, exceeded, counts, held: wereHeld && held !== null ? held.why : null };
}

/** One literal and no spread, which takes ten times as long: there may be very many. */
function ruled(change: JudgedChange, verdict: Verdict, rule: string): JudgedChange {
  const { path, kind, from, type, oldType, upper, base, at, basePath, opaque, copiedUp, plain, origin, implied, target, link, meta, content, look, lines, crowd } = change;
  const { class: name, reason, conflict } = change;
  return {
    path, kind, from, type, oldType, upper, base, at, basePath, opaque, copiedUp, plain, origin, implied, target, link, meta, content, look, lines, crowd,
    class: name, reason, conflict, verdict, rule,
  };
}

function heldBy(ending: Ending, exceeded: readonly Exceeded[]): { rule: string; why: string; all: boolean } | null {
  if (ending.keep) return { rule: 'exit.keep', why: '--on-exit keep', all: true };
  const [first] = exceeded;
  if (first !== undefined) return { rule: `changes.thresholds.${first.name}`, why: exceeded.map(({ text }) => text).join('; '), all: false };
  if (ending.code === 0) return null;
  return { rule: 'exit.status', why: ending.code === null ? 'the agent did not end by itself' : `the agent ended with status ${ending.code}`, all: false };
}

/** A deleted or replaced directory, and by index it and what goes with it. */
interface Replaced {
  readonly path: Bytes;
  readonly members: number[];
}

/** A deleted or replaced directory and what goes with it are one: at odds, a person decides on all. */
function settleReplaced(changes: readonly JudgedChange[], judged: Judged[]): void {
  if (!changes.some(({ implied }) => implied)) return;
  const heads = new Map<Bytes, Replaced>();
  for (const [index, change] of changes.entries()) {
    if (!change.implied && (change.kind === 'delete' || change.kind === 'type' || change.opaque)) heads.set(change.path, { path: change.path, members: [index] });
  }
  const nearest = nearestOf(heads);
  for (const [index, { implied, path }] of changes.entries()) {
    if (!implied) continue;
    for (let head = nearest(parentOf(path)); head !== null; head = nearest(parentOf(head.path))) head.members.push(index);
  }
  for (const { members } of heads.values()) {
    const verdicts = members.map((index) => judged[index]);
    if (new Set(verdicts.map((one) => one?.verdict)).size < 2) continue;
    const odd = verdicts.find((one) => one?.verdict !== 'commit');
    for (const index of members) judged[index] = { verdict: 'escalate', rule: odd?.rule ?? 'changes.default', state: false };
  }
}

/** Rules that say nothing of the directory itself. */
const UNNAMED: ReadonlySet<string> = new Set(['changes.default', 'control.outside', 'class.control']);

/** What a new directory holds: by index, the first of all and the first that commits. */
interface Holds {
  readonly index: number;
  first: number;
  commit: number;
  onlyDiscards: boolean;
}

/** A new directory that no rule names goes the way of what it holds. */
function settleNewDirs(changes: readonly JudgedChange[], judged: Judged[]): void {
  const held = new Map<Bytes, Holds>();
  for (const [index, { kind, type, path }] of changes.entries()) {
    if (kind !== 'add' || type !== 'dir' || !UNNAMED.has(judged[index]?.rule ?? '')) continue;
    held.set(path, { index, first: Infinity, commit: Infinity, onlyDiscards: true });
  }
  if (held.size === 0) return;
  const nearest = nearestOf(held);
  for (const [index, { path, type, ordinaryIn }] of changes.entries()) {
    const above = type === 'dir' && held.has(path) ? null : nearest(ordinaryIn ?? parentOf(path));
    const verdict = judged[index]?.verdict;
    if (above === null) continue;
    above.first = Math.min(above.first, index);
    if (verdict === 'commit') above.commit = Math.min(above.commit, index);
    above.onlyDiscards &&= verdict === 'discard';
  }
  // The deepest first: what one holds the one above it holds too.
  for (const [path, one] of [...held].sort(([a], [b]) => b.length - a.length)) {
    const above = nearest(parentOf(path));
    if (above !== null) {
      above.first = Math.min(above.first, one.first);
      above.commit = Math.min(above.commit, one.commit);
      above.onlyDiscards &&= one.onlyDiscards;
    }
    const way = judged[one.commit] ?? (one.onlyDiscards ? judged[one.first] : undefined);
    if (way !== undefined) judged[one.index] = way;
  }
}

/** The closest of the directories that is `dir` or above it; paths may be thousands deep, so the way is gone once. */
function nearestOf<T>(held: ReadonlyMap<Bytes, T>): (dir: Bytes) => T | null {
  const known = new Map<Bytes, T | null>([...held, ['/' as Bytes, null]]);
  return (dir) => {
    const way: Bytes[] = [];
    let at = dir;
    for (; !known.has(at); at = parentOf(at)) way.push(at);
    const found = known.get(at) ?? null;
    for (const path of way) known.set(path, found);
    return found;
  };
}
