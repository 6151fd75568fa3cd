import type { AuditSubject } from '../audit/event.js';
import { hostRuleOf, isWithin } from './names.js';

/** A question that waits for a person. */
export interface Question {
  readonly id: string;
  readonly host: string;
  readonly port: number;
  /** exactly what an answer stores, and what it must name */
  readonly rule: string;
  /** what the address or first bytes claim, when there is no name */
  readonly note: string | null;
  readonly who: Readonly<AuditSubject> | null;
  /** epoch ms */
  readonly opened: number;
  readonly expires: number;
  /** clients held right now */
  readonly waiting: number;
  /** clients that asked in all */
  readonly asked: number;
}

/** How long an answer holds: for this connection or its retry, this run, or all runs of the project. */
export type Scope = 'once' | 'session' | 'project';

/** What somebody says to one question. */
export interface Answer {
  readonly id: string;
  /** the rule as it was shown: an answer to something else is refused */
  readonly rule: string;
  readonly verdict: 'allow' | 'deny';
  readonly scope: Scope;
  /** `terminal`, `approver`, a user's name */
  readonly by: string;
  /** for the client, in place of "the answer was no" */
  readonly why?: string;
}

/** What became of a question, for the connection that waits. */
export type Outcome =
  | { readonly verdict: 'allow'; readonly approval: string }
  | { readonly verdict: 'deny'; readonly rule: string; readonly why: string; readonly approval: string | null };

/** Clocks and bounds of asking. */
export interface AskOptions {
  /** epoch ms, for people */
  readonly now: () => number;
  /** ms that only go forward, for every lifetime: a clock that is set makes no yes last longer */
  readonly elapsed: () => number;
  readonly newId: () => string;
  /** false: `--no-ask`, or nobody could answer */
  readonly enabled: boolean;
  /** a client is held this long */
  readonly holdMs: number;
  /** a question lives this long after its last client */
  readonly keepMs: number;
  /** open questions at most */
  readonly maxOpen: number;
  /** new questions per minute at most */
  readonly perMinute: number;
  readonly onOpened?: (question: Question) => void;
  /** before the answer holds; what it throws leaves the question open */
  readonly onAnswering?: (question: Question, answer: Answer) => void;
  readonly onAnswered?: (question: Question, answer: Answer) => void;
}

/** The open questions of one run, and what was answered. */
export interface Asking {
  /** Joins the open question about this rule or opens one; settles with the answer or at the end of the hold. */
  readonly ask: (about: { readonly host: string; readonly port: number; readonly rule: string; readonly note: string | null; readonly who: Readonly<AuditSubject> | null }, signal?: AbortSignal) => Promise<Outcome>;
  /**
   * What was answered already: session and project rules, about this port or else about
   * every port of its host, and a `once` whose client had given up.
   */
  readonly answered: (rule: string) => Outcome | null;
  /** Somebody goes by what was answered: a `once` serves nobody after that. */
  readonly use: (rule: string) => void;
  readonly answer: (answer: Answer) => 'ok' | 'unknown' | 'changed';
  /** rules approved or denied without a question: `agentfw net allow|deny`, stored project answers; one about every port of a host replaces those about one */
  readonly preset: (rule: string, verdict: 'allow' | 'deny', by: string) => void;
  /** true when there was such a rule; one about every port of a host goes with those about one */
  readonly revoke: (rule: string) => boolean;
  readonly open: () => readonly Question[];
  readonly rules: () => readonly { readonly rule: string; readonly verdict: 'allow' | 'deny'; readonly by: string }[];
  /** rules that would have been asked about, most wanted first */
  readonly wouldAsk: () => readonly { readonly rule: string; readonly count: number }[];
  /** denies everything that waits */
  readonly close: () => void;
}

interface Entry {
  question: Question;
  /** when it goes, by `elapsed`, once nobody waits */
  until: number;
  readonly waiters: Set<(outcome: Outcome) => void>;
}

interface Standing {
  readonly verdict: 'allow' | 'deny';
  readonly by: string;
  readonly approval: string;
  /** `once`: serves one client, until then by `elapsed` */
  readonly until: number | null;
}

interface State {
  readonly options: AskOptions;
  readonly entries: Map<string, Entry>;
  readonly standing: Map<string, Standing>;
  readonly missed: Map<string, number>;
  opened: number[];
  timer: ReturnType<typeof setTimeout> | null;
}

/** `once` for a client that had gone: its retry comes within this time. */
const ONCE_MS = 5 * 60_000;
/** Rules that are remembered for the end of a run. */
export const MOST_MISSED = 1000;

/** Questions in memory: coalesced by rule, bounded in number and rate, each answer bound to its id and rule. */
export function makeAsking(options: AskOptions): Asking {
  const state: State = { options, entries: new Map(), standing: new Map(), missed: new Map(), opened: [], timer: null };
  return {
    ask: (about, signal) => ask(state, about, signal),
    answered: (rule) => answered(state, rule),
    use: (rule) => use(state, rule),
    answer: (given) => answer(state, given),
    preset: (rule, verdict, by) => {
      forget(state, rule);
      state.standing.set(rule, { verdict, by, approval: `preset:${by}`, until: null });
      for (const open of [...state.entries.keys()].filter((one) => isWithin(one, rule))) settle(state, open, outcomeOf(verdict, `preset:${by}`));
    },
    revoke: (rule) => forget(state, rule),
    open: () => [...state.entries.values()].map(({ question }) => question),
    rules: () => [...state.standing].filter(([, { until }]) => until === null).map(([rule, { verdict, by }]) => ({ rule, verdict, by })),
    wouldAsk: () => [...state.missed].map(([rule, count]) => ({ rule, count })).sort((a, b) => b.count - a.count || (a.rule < b.rule ? -1 : 1)),
    close: () => {
      for (const rule of [...state.entries.keys()]) settle(state, rule, { verdict: 'deny', rule: 'ask.closed', why: 'the sandbox has ended', approval: null });
      if (state.timer !== null) clearTimeout(state.timer);
    },
  };
}

function forget({ standing }: State, rule: string): boolean {
  const found = [...standing.keys()].filter((one) => isWithin(one, rule));
  for (const one of found) standing.delete(one);
  return found.length > 0;
}

type About = Parameters<Asking['ask']>[0];

function ask(state: State, about: About, signal: AbortSignal | undefined): Promise<Outcome> {
  const known = answered(state, about.rule);
  use(state, about.rule);
  if (known !== null) return Promise.resolve(known);
  const refused = refusal(state, about.rule);
  if (refused !== null) {
    if (state.missed.size < MOST_MISSED || state.missed.has(about.rule)) state.missed.set(about.rule, (state.missed.get(about.rule) ?? 0) + 1);
    return Promise.resolve(refused);
  }
  const entry = state.entries.get(about.rule) ?? openQuestion(state, about);
  return hold(state, entry, signal);
}

function refusal(state: State, rule: string): Outcome | null {
  const { enabled, maxOpen, perMinute, elapsed } = state.options;
  const deny = (id: string, why: string): Outcome => ({ verdict: 'deny', rule: id, why, approval: null });
  if (!enabled) return deny('ask.off', 'it would have been asked, and nobody can answer');
  if (state.entries.has(rule)) return null;
  if (state.entries.size >= maxOpen) return deny('ask.flood', `${maxOpen} questions are open already`);
  state.opened = state.opened.filter((at) => at > elapsed() - 60_000);
  return state.opened.length >= perMinute ? deny('ask.flood', `${perMinute} questions were opened within a minute`) : null;
}

function openQuestion(state: State, { host, port, rule, note, who }: About): Entry {
  const { now, elapsed, newId, keepMs, onOpened } = state.options;
  const question: Question = { id: newId(), host, port, rule, note, who, opened: now(), expires: now() + keepMs, waiting: 0, asked: 0 };
  const entry: Entry = { question, until: elapsed() + keepMs, waiters: new Set() };
  state.entries.set(rule, entry);
  state.opened.push(elapsed());
  expireLater(state);
  onOpened?.(question);
  return entry;
}

/** One client waits; whatever ends its wait, the question stays. */
function hold(state: State, entry: Entry, signal: AbortSignal | undefined): Promise<Outcome> {
  const { holdMs, keepMs, now, elapsed } = state.options;
  entry.until = elapsed() + keepMs;
  entry.question = { ...entry.question, waiting: entry.waiters.size + 1, asked: entry.question.asked + 1, expires: now() + keepMs };
  return new Promise((resolve) => {
    const timer = setTimeout(() => finish({ verdict: 'deny', rule: 'ask.timeout', why: `nobody answered within ${Math.round(holdMs / 1000)} s; the question stays open`, approval: entry.question.id }), holdMs);
    const onAbort = (): void => finish({ verdict: 'deny', rule: 'ask.gone', why: 'the client gave up', approval: entry.question.id });
    function finish(outcome: Outcome): void {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      entry.waiters.delete(finish);
      entry.question = { ...entry.question, waiting: entry.waiters.size };
      resolve(outcome);
    }
    entry.waiters.add(finish);
    if (signal?.aborted === true) onAbort();
    else signal?.addEventListener('abort', onAbort);
  });
}

function answered(state: State, rule: string): Outcome | null {
  const standing = state.standing.get(rule);
  if (standing !== undefined && standing.until === null) return outcomeOf(standing.verdict, standing.approval);
  const ofHost = state.standing.get(hostRuleOf(rule));
  if (ofHost !== undefined) return outcomeOf(ofHost.verdict, ofHost.approval);
  if (standing === undefined || standing.until === null || standing.until < state.options.elapsed()) return null;
  return outcomeOf(standing.verdict, standing.approval);
}

function use({ standing }: State, rule: string): void {
  if (typeof standing.get(rule)?.until === 'number') standing.delete(rule);
}

function answer(state: State, given: Answer): 'ok' | 'unknown' | 'changed' {
  const entry = [...state.entries.values()].find(({ question }) => question.id === given.id);
  if (entry === undefined) return 'unknown';
  const { question } = entry;
  if (question.rule !== given.rule) return 'changed';
  state.options.onAnswering?.(question, given);
  const until = given.scope === 'once' ? state.options.elapsed() + ONCE_MS : null;
  // An allow for once that nobody waits for any more serves the retry.
  if (until === null || (given.verdict === 'allow' && entry.waiters.size === 0)) {
    state.standing.set(question.rule, { verdict: given.verdict, by: given.by, approval: question.id, until });
  }
  settle(state, question.rule, outcomeOf(given.verdict, question.id, given.why));
  state.options.onAnswered?.(question, given);
  return 'ok';
}

function outcomeOf(verdict: 'allow' | 'deny', approval: string, why = 'the answer was no'): Outcome {
  return verdict === 'allow' ? { verdict, approval } : { verdict, rule: 'ask.answer', why, approval };
}

function settle(state: State, rule: string, outcome: Outcome): void {
  const entry = state.entries.get(rule);
  if (entry === undefined) return;
  state.entries.delete(rule);
  for (const finish of [...entry.waiters]) finish(outcome);
}

function expireLater(state: State): void {
  if (state.timer !== null) return;
  state.timer = setTimeout(() => {
    state.timer = null;
    for (const [rule, { until, waiters }] of state.entries) {
      if (waiters.size === 0 && until <= state.options.elapsed()) state.entries.delete(rule);
    }
    if (state.entries.size > 0) expireLater(state);
  }, 30_000);
  state.timer.unref();
}
