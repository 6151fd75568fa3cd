import { promises as dns } from 'node:dns';
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { Duplex } from 'node:stream';
import type { Audit } from '../audit/write.js';
import { errnoOf } from '../errors.js';
import { settingOf, type CompiledPolicy } from '../policy/compiled.js';
import { hostGrants, isPrivatelyAllowed } from '../policy/grants.js';
import { judgeHost } from '../policy/judge.js';
import { parseHostPattern, type Host } from '../policy/host.js';
import { isOnLoopback, type Upstream } from '../policy/upstream.js';
import { askApprover, type RunProgram } from './approver.js';
import { makeAsking, type Answer, type Asking, type Question } from './ask.js';
import { serveControl, type ControlReply, type ControlState } from './control.js';
import { canonAddresses, exactRule, gateHost, hostRule, hostText, isMetadata } from './names.js';
import { makeNotes } from './notes.js';
import type { Published } from './publish.js';
import { makeRecords, type Records } from './records.js';
import { hostLookup, makeResolver, type Resolver } from './resolve.js';
import { startSession, type Session, type SessionOptions } from './session.js';
import { upstreamText } from './via.js';
import { briefly, subjectOf } from './who.js';

/** What a run gives its gate. */
export interface GateOptions {
  /** the supervisor's end of the driver's fd 5 */
  readonly stream: Duplex;
  readonly policy: CompiledPolicy;
  readonly audit: Audit;
  /** of the sandbox, in the store: holds control.sock and notes/ */
  readonly dir: string;
  readonly now: () => Date;
  /** short and unguessable: `7f3k` */
  readonly newId: () => string;
  readonly ask: {
    /** false: `--no-ask`, `--net deny`, no terminal and no approver */
    readonly enabled: boolean;
    /** false: nobody but the approver can answer, so what it leaves open is refused at once */
    readonly person: boolean;
    readonly timeoutMs: number;
    readonly approver: { readonly argv: readonly string[]; readonly run: RunProgram } | null;
    /** what waits for an answer changed: a bell and a title, nothing else */
    readonly onChanged: (open: readonly Question[]) => void;
    /** answers of earlier runs for this project */
    readonly stored: readonly { readonly rule: string; readonly verdict: 'allow' | 'deny' }[];
    /** keeps an answer for the project */
    readonly store: (answer: Answer) => void;
  };
  readonly publish: readonly Published[];
  /** sandbox port → host port */
  readonly connectHost: ReadonlyMap<number, number>;
  /** the proxy that leads out, or null */
  readonly upstream: Upstream | null;
  /** a variable that names one which the policy doesn't use */
  readonly unusedProxy: string | null;
  /** for tests */
  readonly resolve?: Resolver;
  readonly records?: (name: string, type: number) => Promise<Records>;
}

/** A gate that is ready; `rung` is the one in force. */
export interface Gate {
  readonly session: Session;
  readonly asking: Asking;
  readonly rung: string;
  readonly state: () => ControlState;
  readonly close: () => void;
}

const KEEP_MS = 60 * 60_000;
const MAX_OPEN = 5000;
const PER_MINUTE = 120;

/** Everything of the gate that is the supervisor's: wires policy, questions, records and other terminals to it. */
export async function startGate(options: GateOptions): Promise<Gate> {
  const notes = makeNotes(`${options.dir}/notes`);
  const changed = (): void => options.ask.onChanged(asking.open());
  const over = new AbortController();
  const asking = questions(options, changed, over.signal);
  const session = sessionOf(options, asking, notes.add);
  const ended = session.ended.then((error) => Promise.reject(error ?? new Error('the gate ended before it was ready')));
  const { rung } = await Promise.race([session.ready, ended]);
  ended.catch(() => undefined);
  const state = (): ControlState => ({ questions: asking.open().map((one) => ({ ...one, who: briefly(one.who) })), rules: asking.rules(), wouldAsk: asking.wouldAsk(), connections: session.connections(), doors: options.publish, rung, upstream: options.upstream === null ? null : upstreamText(options.upstream) });
  const served = await serveControl(options.dir, {
    state,
    answer: (answer) => onAnswer(asking, session, answer),
    net: (op, rule) => {
      const reply = onNet(options, asking, session, op, rule);
      changed();
      return reply;
    },
  });
  const close = (): void => {
    asking.close();
    over.abort();
    changed();
    served.close();
    session.close();
    notes.flush();
  };
  try {
    for (const { addr, port, inside } of options.publish) await session.publish(addr, port, inside);
    for (const port of options.connectHost.keys()) await session.forward(port);
    if (options.upstream !== null && isOnLoopback(options.upstream) && !options.connectHost.has(options.upstream.port)) await session.forward(options.upstream.port);
  } catch (error) {
    close();
    throw error;
  }
  return { session, asking, rung, state, close };
}

function sessionOf(options: GateOptions, asking: Asking, note: SessionOptions['note']): Session {
  return startSession({
    stream: options.stream,
    judge: (question) => judgeHost(options.policy, question),
    flags: (judgement) => hostGrants(options.policy, judgement),
    isPrivate: (judgement) => isPrivatelyAllowed(options.policy, judgement),
    resolve: options.resolve ?? hostResolver(),
    asking,
    ownAddresses,
    forwards: options.connectHost,
    upstream: options.upstream,
    unusedProxy: options.unusedProxy,
    audit: (events) => options.audit.recordAll(events),
    subject: (pid) => subjectOf(pid),
    note,
    now: options.now,
    dnsDenied: (settingOf(options.policy, 'network.dns')?.value ?? 'address') as SessionOptions['dnsDenied'],
    records: options.records ?? makeRecords(),
  });
}

function questions(options: GateOptions, changed: () => void, signal: AbortSignal): Asking {
  const { ask, audit, now, newId } = options;
  const asking = makeAsking({
    now: () => now().getTime(), elapsed: () => performance.now(), newId, enabled: ask.enabled, holdMs: ask.timeoutMs, keepMs: KEEP_MS, maxOpen: MAX_OPEN, perMinute: PER_MINUTE,
    onOpened: (question) => {
      const { id, host, port, rule, who, expires } = question;
      audit.record({ kind: 'ask', subject: who, object: { id, host, port, rule }, verdict: 'ask', approval: id, detail: { expires: new Date(expires).toISOString() } });
      changed();
      if (ask.approver === null) return;
      void askApprover(ask.approver.run, ask.approver.argv, question, { timeoutMs: ask.timeoutMs, signal }).then((answer) => answerOf(asking, question, answer, ask.person)).catch((error: unknown) => options.stream.destroy(error as Error));
    },
    onAnswering: ({ host, port }, answer) => {
      const event = { kind: 'answer', object: { id: answer.id, host, port, rule: answer.rule }, verdict: answer.verdict, approval: answer.id, detail: { scope: answer.scope, by: answer.by } } as const;
      audit.record(event);
      if (answer.scope !== 'project') return;
      try {
        ask.store(answer);
      } catch (error) {
        audit.record({ ...event, verdict: null, detail: { ...event.detail, error: errnoOf(error) ?? 'unknown' } });
        throw new Error(`the answer can't be kept for the project (${(error as Error).message})`, { cause: error });
      }
    },
    onAnswered: changed,
  });
  for (const { rule, verdict } of ask.stored) asking.preset(rule, verdict, 'project');
  return asking;
}

function answerOf(asking: Asking, { id, rule }: Question, answer: Answer | null, person: boolean): void {
  if (answer !== null) asking.answer(answer);
  else if (!person) asking.answer({ id, rule, verdict: 'deny', scope: 'once', by: 'approver: no answer', why: 'the approver gave no answer' });
}

function onAnswer(asking: Asking, session: Session, answer: Answer): ControlReply {
  const result = asking.answer(answer);
  if (result === 'unknown') return { ok: false, why: `there is no open question ${answer.id}` };
  if (result === 'changed') return { ok: false, why: `the question ${answer.id} is not about ${answer.rule}` };
  return { ok: true, result, cut: answer.verdict === 'deny' ? session.cut(answer.rule) : 0 };
}

/** A rule for this run. It opens nothing that the policy denies. As in a policy, a deny without a port is about each, a grant about the usual two. */
function onNet({ audit, policy }: GateOptions, asking: Asking, session: Session, op: 'allow' | 'deny' | 'revoke', text: string): ControlReply {
  const parsed = parseHostPattern(text, null);
  if (!parsed.ok) return { ok: false, why: parsed.why };
  const { kind, value, ports } = parsed.pattern;
  if (kind === 'set') return { ok: false, why: `\`${text}\` would be a set of hosts: a rule for a running sandbox names one host (that of this name is \`${text}:PORT\`)` };
  if (kind !== 'name' && kind !== 'ip') return { ok: false, why: `\`${text}\`: a rule for a running sandbox names one host` };
  if (ports === 'any') return { ok: false, why: `\`${text}\`: a rule for a running sandbox names one port` };
  const host = gateHost(value);
  const wanted = ports ?? [443, 80];
  const denied = op === 'allow' ? wanted.map((port) => deniedAnyway(policy, host, port)).find((reply) => reply !== null) : undefined;
  if (denied !== undefined) return denied;
  const rules = ports === null && op !== 'allow' ? [hostRule(host)] : wanted.map((port) => exactRule(host, port));
  let known = false;
  let cut = 0;
  const record = (): void => void audit.record({ kind: 'net', object: { op, rules }, detail: { cut } });
  // What loosens is on record before it holds, what tightens does not wait for that.
  if (op === 'allow') record();
  for (const rule of rules) {
    if (op === 'revoke') known = asking.revoke(rule) || known;
    else asking.preset(rule, op, 'net');
    if (op !== 'allow') cut += session.cut(rule);
  }
  if (op === 'revoke' && !known) return { ok: false, why: `there is no such rule: ${rules.join(', ')}` };
  if (op !== 'allow') record();
  return { ok: true, result: rules.join(', '), cut };
}

/** Why no rule of a run can open it; null: one can. */
function deniedAnyway(policy: CompiledPolicy, host: Host, port: number): ControlReply | null {
  if (isMetadata(host)) return { ok: false, why: `${exactRule(host, port)} gives out the machine's own credentials: it is never reached`, mend: 'Give the agent a credential of its own: agentfw run --env NAME' };
  const { verdict, rule, why } = judgeHost(policy, { host: hostText(host), port });
  if (verdict !== 'deny') return null;
  const mend = rule === 'network.default' ? 'Run with --net ask, or name it in network.allow of your policy for the next run' : `See what denies it: agentfw policy explain host ${exactRule(host, port)}`;
  return { ok: false, why: `${exactRule(host, port)}: ${why} (${rule}), and a rule for a run opens nothing that the policy denies`, mend };
}

/** By `/etc/hosts`, read anew each time, then by getaddrinfo(3); a resolver within the bounds of `makeResolver`. */
export function hostResolver(): Resolver {
  const hosts = (): string => {
    try {
      return readFileSync('/etc/hosts', 'utf8');
    } catch {
      return '';
    }
  };
  return makeResolver({ lookup: hostLookup((name) => dns.lookup(name, { all: true, order: 'ipv4first' }), hosts), now: () => performance.now() });
}

const OWN_MS = 2000;
let own: { readonly at: number; readonly addresses: ReadonlySet<string> } | null = null;

/** Interfaces come and go; a list of two seconds ago will do. */
function ownAddresses(): ReadonlySet<string> {
  const now = performance.now();
  if (own === null || now - own.at > OWN_MS) {
    const found = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
    own = { at: now, addresses: new Set(canonAddresses(found)) };
  }
  return own.addresses;
}
