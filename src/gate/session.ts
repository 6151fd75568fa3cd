import type { Duplex } from 'node:stream';
import type { AuditEvent, AuditFields, AuditSubject } from '../audit/event.js';
import { openChannel, type CloseReport, type ConnQuestion, type FirstQuestion, type GateMessage, type LeftReport, type UdpQuestion, type WhoReport } from './channel.js';
import type { Outcome } from './ask.js';
import { decideUdp, forwardOf, judgeFirst, lookAt, refuse, vet, type Allowed, type DecideOptions, type Decision, type Refused } from './decide.js';
import { doorFailed, makeDoors, type Doors } from './doors.js';
import { answerName, type NameOptions } from './dns.js';
import { makeLookups, type Lookups } from './lookups.js';
import { exactRule, gateHost, hostText, isWithin, placeText } from './names.js';
import type { Note } from './notes.js';
import { makeOutbox, type Outbox } from './outbox.js';
import { isProxy, upstreamText, viaOf } from './via.js';
import { makeRecent, type Recent } from './recent.js';

/** What the conversation with one gate goes by. */
export interface SessionOptions extends DecideOptions, NameOptions {
  /** the gate's channel */
  readonly stream: Duplex;
  /** must not return before the records are written; what it throws ends the session */
  readonly audit: (events: readonly AuditEvent[]) => void;
  readonly subject: (pid: number) => AuditSubject;
  /** the agent may read it */
  readonly note: (note: Note) => void;
  readonly now: () => Date;
}

/** A connection that has not ended. */
export interface OpenConnection {
  readonly id: number;
  readonly host: string;
  readonly port: number;
  readonly state: 'deciding' | 'open' | 'refused';
  /** the program at its other end, once and where it is known */
  readonly exe: string | null;
}

/** The conversation with one gate, until it ends. */
export interface Session {
  /** settles when the gate has ended: null, or why */
  readonly ended: Promise<Error | null>;
  /** the rung in force, once the gate is ready */
  readonly ready: Promise<Extract<GateMessage, { t: 'ready' }>>;
  readonly connections: () => readonly OpenConnection[];
  /** resets what is open to this exact rule, or to every port of its host; how many */
  readonly cut: (rule: string) => number;
  readonly publish: (addr: string, port: number, inside: number) => Promise<{ readonly id: number; readonly port: number }>;
  readonly forward: (port: number) => Promise<void>;
  readonly close: () => void;
}

/** An open connection or flow. */
interface Entry {
  readonly id: number;
  readonly kind: 'conn' | 'udp' | 'ingress';
  readonly host: string;
  readonly port: number;
  /** aborted when the client gives up; made when somebody has to be asked */
  gone: AbortController | null;
  /** nobody waits for it: what was said goes on if policy lets it, and no person is waited for */
  left: boolean;
  subject: AuditSubject | null;
  /** whose it is was answered, though it may not be known */
  named: boolean;
  onWho: (() => void) | null;
  allowed: Allowed | null;
  refused: boolean;
  /** its addresses are being looked up: the question itself is answered */
  vetting: boolean;
  /** somebody said no meanwhile */
  withdrawn: boolean;
  /** settles when it is decided */
  work: Promise<void>;
  /** it ended before it was decided */
  closed: CloseReport | null;
}

interface State {
  readonly options: SessionOptions;
  readonly outbox: Outbox;
  readonly entries: Map<number, Entry>;
  readonly doors: Doors;
  readonly recent: Recent;
  readonly lookups: Lookups;
}

/** A refusal waits for the name of its process, on a busy machine so long; an allowed connection does not wait. */
const WHO_MS = 2000;
/** What policy allows may be begun again at once, for so long. */
const KEEP_MS = 2000;

/** What is under way gets this long to be written down. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Decides what the gate asks and writes down what it did, until its channel closes. */
export function startSession(options: SessionOptions): Session {
  let onReady: (message: Extract<GateMessage, { t: 'ready' }>) => void;
  const ready = new Promise<Extract<GateMessage, { t: 'ready' }>>((resolve) => (onReady = resolve));
  const channel = openChannel(options.stream, (message) => {
    if (message.t === 'ready') onReady(message);
    handle(state, message);
  });
  const outbox = makeOutbox({ audit: options.audit, channel, failed: (error) => broken(options, error) });
  const lookups = makeLookups(outbox, (name, rule, why) => void tell(state, `dns ${name}`, refuse(rule, why)));
  const state: State = { options, outbox, lookups, entries: new Map(), doors: makeDoors(channel), recent: makeRecent(() => performance.now()) };
  const ended = channel.ended.then(async (error) => {
    for (const { gone } of state.entries.values()) gone?.abort();
    await nextTurn();
    outbox.end();
    return error;
  });
  return {
    ended,
    ready,
    connections: () => [...state.entries.values()].map(({ id, host, port, allowed, refused, subject }) => ({ id, host, port, state: refused ? 'refused' : allowed === null ? 'deciding' : 'open', exe: subject?.exe ?? null })),
    cut: (rule) => cut(state, rule),
    publish: async (addr, port, inside) => {
      const door = await state.doors.open((id) => ({ t: 'publish', id, addr, port, inside }));
      outbox.record({ kind: 'door', object: { addr, port: door.port, inside }, detail: { error: door.error } });
      if (door.error !== null) throw doorFailed(`publish ${exactRule(gateHost(addr), port)}`, door.error);
      return { id: door.id, port: door.port };
    },
    forward: async (port) => {
      const door = await state.doors.open((id) => ({ t: 'forward', id, port }));
      outbox.record({ kind: 'door', object: { forward: port }, detail: { error: door.error } });
      if (door.error !== null) throw doorFailed(`forward port ${port}`, door.error);
    },
    close: () => {
      outbox.flush();
      channel.close();
    },
  };
}

function handle(state: State, message: GateMessage): void {
  switch (message.t) {
    case 'conn':
      return onConn(state, message);
    case 'first':
      return run(state, onFirst(state, message));
    case 'udp':
      return run(state, onUdp(state, message));
    case 'dns':
      return run(state, answerName(state.options, message, (reply) => state.outbox.send(reply), (found) => state.lookups.note(message, found)));
    case 'who':
      return onWho(state, message);
    case 'left':
      return onLeft(state, message);
    case 'close':
      return onClose(state, message);
    case 'ingress':
      state.entries.set(message.id, entryOf(message.id, 'ingress', message.ip, message.inside));
      return state.outbox.record({ kind: 'ingress', object: { ip: message.ip, port: message.port, inside: message.inside, connId: message.id }, verdict: 'allow', rule: 'net.publish' });
    case 'door':
      return state.doors.answered(message);
    case 'ready':
      return state.outbox.record({ kind: 'gate', object: { rung: message.rung }, detail: { ipv6: message.ipv6, udp: message.udp, limit: message.limit, upstream: state.options.upstream === null ? null : upstreamText(state.options.upstream) } });
    case 'stats':
      return undefined;
  }
}

/** What goes wrong while deciding, an audit that can't be written first of all, ends everything. */
function run(state: State, work: Promise<void>): void {
  work.catch((error: unknown) => broken(state.options, error));
}

function broken({ stream }: SessionOptions, error: unknown): void {
  stream.destroy(error instanceof Error ? error : new Error(String(error)));
}

function entryOf(id: number, kind: Entry['kind'], host: string, port: number): Entry {
  return { id, kind, host, port, gone: null, left: false, subject: null, named: false, onWho: null, allowed: null, refused: false, vetting: kind === 'udp', withdrawn: false, work: Promise.resolve(), closed: null };
}

function onConn(state: State, question: ConnQuestion): void {
  const entry = entryOf(question.id, 'conn', question.name ?? question.ip, question.port);
  // Asked about as the proxy already, and by the same process.
  const asProxy = state.entries.get(entry.id);
  if (asProxy !== undefined) Object.assign(entry, { subject: asProxy.subject, named: asProxy.named, left: asProxy.left });
  state.entries.set(entry.id, entry);
  const { upstream, forwards } = state.options;
  const forwarded = question.forward && forwards.has(question.port);
  if (upstream !== null && asProxy === undefined && !forwarded && isProxy(upstream, question)) return state.outbox.send({ t: 'conn', id: entry.id, verdict: 'proxy' });
  const recent = question.forward ? null : lately(state, question);
  if (recent !== null) return settle(state, entry, question, { decision: recent, gone: false });
  entry.work = conclude(state, entry, question);
  run(state, entry.work);
}

/** What policy allowed moments ago, unless somebody has said something about it since. */
function lately({ recent, options }: State, question: ConnQuestion): Allowed | null {
  const found = recent.get(question);
  return found !== null && options.asking.answered(found.about) === null ? found.decision : null;
}

async function conclude(state: State, entry: Entry, question: ConnQuestion): Promise<void> {
  const { options } = state;
  const decision = question.forward ? forwardOf(options, question) : await decide(state, entry, question);
  const gone = !state.entries.has(entry.id);
  if (decision.verdict === 'deny' && !gone) await known(entry);
  settle(state, entry, question, { decision, gone: gone || (entry.left && decision.verdict === 'deny') });
}

function settle(state: State, entry: Entry, question: ConnQuestion, { decision: found, gone }: { readonly decision: Decision; readonly gone: boolean }): void {
  const decision = standing(entry, found);
  if (decision.verdict === 'allow') entry.allowed = decision;
  else entry.refused = true;
  recordDecision(state, entry, question, decision, gone && !question.begun);
  if (question.begun && entry.closed !== null) recordClose(state, entry, entry.closed);
  answer(state, question, decision);
}

/** A lookup may take seconds: what was denied or revoked in them holds for what it found. */
function standing({ host, port, withdrawn }: Entry, decision: Decision): Decision {
  if (decision.verdict === 'deny' || !withdrawn) return decision;
  return refuse('ask.answer', `${exactRule(gateHost(host), port)}: it was denied or revoked meanwhile`);
}

function answer({ outbox }: State, { id, port, begun }: ConnQuestion, decision: Decision): void {
  if (decision.verdict === 'deny') {
    outbox.send({ t: 'conn', id, verdict: 'deny', rule: decision.rule, message: decision.why, how: decision.how, begun });
    return;
  }
  const { via, host, flags: { raw = false, methods } } = decision;
  outbox.send({
    ...{ t: 'conn', id, verdict: 'allow', begun, addrs: decision.addresses.slice(0, 8), port: decision.port },
    expect: raw ? 'any' : port === 443 ? 'tls' : port === 80 ? 'http' : 'any',
    check: raw ? 'never' : methods === undefined ? 'match' : 'always',
    keep: decision.approval === null && via === null ? KEEP_MS : 0,
    ...(via === null ? {} : viaOf(via, hostText(host), port, port === 80 && !raw)),
  });
}

async function decide(state: State, entry: Entry, question: ConnQuestion): Promise<Decision> {
  const { options } = state;
  const look = lookAt(options, question);
  if (look.kind === 'decided') return look.decision;
  if (look.kind === 'dial') {
    entry.vetting = true;
    const found = await vet(options, look, question.port);
    return entry.withdrawn ? found : state.recent.keep(question, found);
  }
  await known(entry);
  // It may have gone while we waited.
  if (!state.entries.has(entry.id)) return refuse('ask.gone', 'the client gave up');
  entry.gone = new AbortController();
  const { host, judgement, rule } = look;
  const note = question.name === null ? 'dialled by address' : null;
  const outcome = await options.asking.ask({ host: hostText(host), port: question.port, rule, note, who: entry.subject }, entry.left ? AbortSignal.abort() : entry.gone.signal);
  if (outcome.verdict === 'deny') return asked(rule, outcome);
  entry.vetting = true;
  return vet(options, { kind: 'dial', host, judgement, approval: outcome.approval }, question.port);
}

function asked(rule: string, outcome: Extract<Outcome, { verdict: 'deny' }>): Refused {
  // Not by its id: an agent could have its user say yes to one question in the name of another.
  const how = outcome.rule === 'ask.timeout' ? 'Have your user run: agentfw approvals, which says what is asked and how to answer, then try again.'
    : outcome.rule === 'ask.answer' ? '' : `To allow it: add \`${rule}\` to network.allow of your policy.`;
  return { ...refuse(outcome.rule, `${rule}: ${outcome.why}`, how), approval: outcome.approval };
}

/** Until its process is known, or is known to be unknown. */
function known(entry: Entry): Promise<void> {
  if (entry.named) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, WHO_MS);
    entry.onWho = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}

/** netd looked while the process had the connection; now it may be gone. */
function onWho(state: State, { id, pid, process }: WhoReport): void {
  const entry = state.entries.get(id);
  if (entry === undefined) return;
  if (pid !== 0) entry.subject = process === null ? state.options.subject(pid) : { pid, ...process };
  entry.named = true;
  entry.onWho?.();
  entry.onWho = null;
}

/** A begun connection may ask this before its own question is decided. */
async function onFirst(state: State, first: FirstQuestion): Promise<void> {
  const entry = state.entries.get(first.id);
  await entry?.work;
  const allowed = entry?.allowed ?? null;
  const refused = entry === undefined || allowed === null ? refuse('net.state', 'the connection was not allowed') : judgeFirst(state.options, allowed, entry.port, first);
  if (entry !== undefined && refused !== null) {
    entry.refused = true;
    const { spoke, sni, host, method } = first;
    state.outbox.record({ kind: 'first', subject: entry.subject, object: { host: entry.host, port: entry.port, spoke, sni, said: host, method, connId: first.id }, verdict: 'deny', rule: refused.rule, detail: { why: refused.why } });
    tell(state, placeText(entry.host, entry.port), refused);
  }
  const methods = allowed?.flags.methods;
  state.outbox.send(refused === null ? { t: 'first', id: first.id, verdict: 'allow', ...(methods === undefined ? {} : { methods: methods.slice(0, 16) }) } : { t: 'first', id: first.id, verdict: 'deny', rule: refused.rule, message: refused.why, how: refused.how });
}

async function onUdp(state: State, question: UdpQuestion): Promise<void> {
  const entry = entryOf(question.id, 'udp', question.name ?? question.ip, question.port);
  state.entries.set(entry.id, entry);
  const decision = standing(entry, await decideUdp(state.options, question));
  recordDecision(state, entry, question, decision, false);
  const [addr] = decision.verdict === 'allow' ? decision.addresses : [];
  entry.refused = addr === undefined;
  entry.allowed = decision.verdict === 'allow' ? decision : null;
  state.outbox.send(addr === undefined ? { t: 'udp', id: entry.id, verdict: 'deny' } : { t: 'udp', id: entry.id, verdict: 'allow', addr, port: question.port });
}

function recordDecision(state: State, entry: Entry, { ip, port }: ConnQuestion | UdpQuestion, decision: Decision, gone: boolean): void {
  const allowed = decision.verdict === 'allow';
  const detail: AuditFields = { ...(allowed ? { addresses: decision.addresses, ...(decision.via === null ? {} : { via: upstreamText(decision.via) }) } : { why: decision.why }), ...(gone ? { gone } : {}) };
  state.outbox.record({
    kind: entry.kind === 'udp' ? 'udp' : 'conn', subject: entry.subject,
    object: { host: entry.host, ip, port, connId: entry.id },
    verdict: decision.verdict, rule: decision.rule, origin: decision.origin, approval: decision.approval, detail,
  });
  if (decision.verdict === 'deny' && !decision.silent) tell(state, `${entry.kind === 'udp' ? 'udp ' : ''}${placeText(entry.host, port)}`, decision);
}

function tell({ options }: State, what: string, { rule, why, how }: Refused): void {
  options.note({ time: options.now(), what, rule, why, how });
}

/** Its question is open all the same, but may be answered a minute later, when the same was said again. */
function onLeft({ entries }: State, { id }: LeftReport): void {
  const entry = entries.get(id);
  if (entry !== undefined) entry.left = true;
  entry?.gone?.abort();
}

function onClose(state: State, close: CloseReport): void {
  const entry = state.entries.get(close.id);
  if (entry === undefined) return;
  state.entries.delete(close.id);
  entry.gone?.abort();
  entry.onWho?.();
  if (entry.allowed !== null || entry.kind === 'ingress') recordClose(state, entry, close);
  else entry.closed = close;
  if (close.proxy > 0) tell(state, placeText(entry.host, entry.port), refuse('net.upstream', `the proxy answered ${close.proxy}`));
}

function recordClose({ outbox }: State, { subject, host, port }: Entry, { id, up, down, ms, spoke, alpn, method, error, proxy }: CloseReport): void {
  outbox.record({ kind: 'close', subject, object: { host, port, connId: id }, detail: { up, down, ms, spoke, alpn, method, error, ...(proxy > 0 ? { proxy } : {}) } });
}

function cut({ entries, outbox }: State, rule: string): number {
  let count = 0;
  outbox.send({ t: 'forget' });
  for (const entry of entries.values()) {
    if (!isWithin(exactRule(gateHost(entry.host), entry.port), rule)) continue;
    entry.withdrawn = entry.vetting;
    if (entry.allowed === null) continue;
    outbox.send({ t: 'cut', id: entry.id });
    count += 1;
  }
  outbox.flush();
  return count;
}
