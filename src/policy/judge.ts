import type { Bytes } from '../bytes.js';
import type { NameFilter } from '../kernel/kernel.js';
import type { ChangeKind, Conflict, FileType, RiskClass, Verdict } from '../changes/change.js';
import { settingOf, type CompiledPolicy, type CompiledRule, type Origin, type Setting } from './compiled.js';
import type { RuleList } from './document.js';
import { engineOf, type Engine } from './engine.js';
import { canonHost } from './host.js';
import { isPublic } from './ip.js';

/** What is said of reading, writing and dialling. */
export type Access = 'allow' | 'ask' | 'deny';

/** A verdict, the rule that gave it, and everything else that matched. */
export interface Judgement<V extends string> {
  readonly verdict: V;
  /** id of a rule, a setting such as `network.default`, or a reason such as `class.control` */
  readonly rule: string;
  readonly origin: Origin | null;
  readonly why: string;
  readonly also: readonly CompiledRule[];
}

/** Of one path; `lands` null where nothing is written. */
export interface PathJudgement extends Judgement<Access> {
  /** where a write goes: `host` at once, `layer` until commit */
  readonly lands: 'host' | 'layer' | null;
}

/** A connection to be judged, before it is dialled. */
export interface HostQuestion {
  /** what the client asked for: name or address */
  readonly host: string;
  readonly port: number;
  /** addresses that the name resolved to; each is vetted */
  readonly addresses?: readonly string[];
}

/** What rules say of a connection. */
export interface HostJudgement extends Judgement<Access> {
  /** refuse without telling anybody but the audit */
  readonly silent: boolean;
  /** no answer of a person can lift it */
  readonly final: boolean;
}

/** What the judge must know of a change. */
export interface ChangeFacts {
  readonly path: Bytes;
  readonly from: Bytes | null;
  readonly kind: ChangeKind;
  readonly type: FileType;
  readonly class: RiskClass;
  readonly conflict: Conflict | null;
  /** the directory of `path`, if its name is none of `ruledNames`: then the directory decides */
  readonly ordinaryIn?: Bytes | undefined;
}

/** From loose to strict: the one order that all precedence comes from. */
const ACCESS: readonly Access[] = ['allow', 'ask', 'deny'];
const VERDICTS: readonly Verdict[] = ['commit', 'escalate', 'discard'];

/** What the agent can see (`read`) and where its writes go (`write`): hide > readonly > passthrough > layer. */
export function judgePath(policy: CompiledPolicy, path: Bytes, op: 'read' | 'write'): PathJudgement {
  const engine = engineOf(policy);
  const found = engine.paths(['files.hide', 'files.readonly', 'files.share'], path);
  const hide = found.find((rule) => rule.list === 'files.hide' && !engine.holdsException(rule, path));
  if (hide !== undefined) return { ...by(hide, 'deny', 'it is hidden', found), lands: null };
  if (op === 'read') return { ...without('files.default', 'allow', 'nothing hides it', found), lands: null };
  const readonly = found.find((rule) => rule.list === 'files.readonly') ?? grantOf(policy, path, 'files.share');
  if (readonly !== null) return { ...by(readonly, 'deny', 'it is read-only', found), lands: null };
  const through = grantOf(policy, path, 'files.passthrough');
  if (through !== null) return { ...by(through, 'allow', 'writes reach the host at once', found), lands: 'host' };
  return { ...without('files.default', 'allow', 'writes stay in the layer until commit', found), lands: 'layer' };
}

/** What is passed through or shared that a path is or lies in: directories are bound whole. */
function grantOf(policy: CompiledPolicy, path: Bytes, list: 'files.passthrough' | 'files.share'): CompiledRule | null {
  for (let at: string = path; at !== ''; at = at.slice(0, at.lastIndexOf('/'))) {
    const [rule] = engineOf(policy).paths([list], at as Bytes);
    if (rule !== undefined) return rule;
  }
  return null;
}

/** deny > ask > allow > default, for the name and for every address, under the managed floor. */
export function judgeHost(policy: CompiledPolicy, question: HostQuestion): HostJudgement {
  const host = canonHost(question.host);
  if (host.kind === 'bad') return { ...without('net.name', 'deny', host.why, []), silent: false, final: true };
  const engine = engineOf(policy);
  const hosts = [host, ...(question.addresses ?? []).map(canonHost)];
  // What withholds holds for each address; what grants is about the host that was asked for.
  const withheld = hosts.flatMap((one) => engine.hosts(['network.deny', 'network.ask'], one, question.port));
  const found = [...new Set([...withheld, ...engine.hosts(['network.allow'], host, question.port)])];
  const privately = found.some((rule) => rule.list === 'network.allow' && rule.private);
  const deny = found.find((rule) => rule.list === 'network.deny' && !(privately && rule.id === 'net.private'));
  if (deny !== undefined) return { ...by(deny, 'deny', deny.note ?? 'a rule denies it', found), silent: deny.silent, final: true };
  const bad = hosts.find((one) => one.kind === 'bad' || (one.kind === 'ip' && !privately && !isPublic(one.ip)));
  if (bad !== undefined) {
    const why = bad.kind === 'ip' ? `${bad.ip} is not a public address` : 'an address is not valid';
    return { ...without('net.private', 'deny', why, found), silent: false, final: true };
  }
  const own = byPrecedence(found.filter((rule) => !rule.tightens), settingOf(policy, 'network.default'));
  const floor = policy.floor.find((setting) => setting.key === 'network.default');
  const managed = floor === undefined ? own : byPrecedence(found.filter(({ origin }) => isAbove(origin)), floor);
  const tight = found.filter((rule) => rule.tightens).map((rule) => by<Access>(rule, 'ask', rule.note ?? 'a rule asks', found));
  return { ...strictest(ACCESS, [own, managed, ...tight]), silent: false, final: false };
}

function byPrecedence(found: readonly CompiledRule[], fallback: Setting | null): Judgement<Access> {
  for (const [list, verdict] of [['network.ask', 'ask'], ['network.allow', 'allow']] as const) {
    const rule = found.find((one) => one.list === list);
    if (rule !== undefined) return by(rule, verdict, rule.note ?? `a rule says ${verdict}`, found);
  }
  return byDefault('network.default', (fallback?.value ?? 'ask') as Access, fallback, found);
}

/** Layers that a managed `default` lets through. */
export function isAbove({ layer }: Origin): boolean {
  return layer === 'built-in' || layer === 'profile' || layer === 'managed';
}

/** Sockets have no default but deny. */
export function judgeSocket(policy: CompiledPolicy, nameOrPath: string): Judgement<Access> {
  const names = Object.entries(policy.sockets).filter(([, paths]) => paths.includes(nameOrPath)).map(([name]) => name);
  const found = [nameOrPath, ...names].flatMap((name) => engineOf(policy).names(['sockets.deny', 'sockets.allow'], name));
  const rule = found.find(({ list }) => list === 'sockets.deny') ?? found[0];
  if (rule === undefined) return without('sockets.default', 'deny', 'no host socket is shown unless a rule allows it', []);
  const verdict = rule.list === 'sockets.deny' ? 'deny' : 'allow';
  return by(rule, verdict, rule.note ?? `a rule says ${verdict}`, found);
}

const CHANGE_LISTS: readonly RuleList[] = [
  'changes.discard', 'changes.escalate', 'changes.control', 'changes.later', 'files.hide', 'files.readonly', 'changes.accept', 'files.state', 'changes.commit',
];

/** Names that a rule or an exception of the policy may speak of: all others are ordinary. */
export function ruledNames(policy: CompiledPolicy): NameFilter {
  return engineOf(policy).ownNames();
}

/** Makes the tables that judging needs: the first to ask would wait for them. */
export function getReady(policy: CompiledPolicy): void {
  engineOf(policy).within(CHANGE_LISTS, '/' as Bytes);
}

/** What was found of the last directory: changes come directory by directory. */
interface DirJudgements {
  readonly policy: CompiledPolicy;
  readonly dir: Bytes;
  readonly found: readonly CompiledRule[] | null;
  file: Judgement<Verdict> | null;
  other: Judgement<Verdict> | null;
  /** what `ruledClass` says there of what goes, and of what comes or stays; undefined: nobody asked */
  gone: RuledClass | null | undefined;
  here: RuledClass | null | undefined;
}

let lastDir: DirJudgements | null = null;

/** discard > escalate > commit > default; a rename is judged at both ends. `accept` lifts the class, nothing else. */
export function judgeChange(policy: CompiledPolicy, change: ChangeFacts): Judgement<Verdict> {
  const isPlain = change.class === 'normal' && change.conflict === null && change.from === null && change.kind !== 'type' && change.kind !== 'rename';
  if (isPlain && change.ordinaryIn !== undefined) {
    const judgement = judgeOrdinary(policy, change, change.ordinaryIn);
    if (judgement !== null) return judgement;
  }
  const here = judgeEnd(policy, change, change.path);
  if (change.from === null) return here;
  const there = judgeEnd(policy, change, change.from);
  if ((here.verdict === 'discard') !== (there.verdict === 'discard')) {
    return without('change.rename', 'escalate', 'the two ends of the rename are judged differently', [...here.also, ...there.also]);
  }
  return strictest(VERDICTS, [here, there]);
}

/** One judgement for all of a directory that differ by name alone; null where the path decides. */
function judgeOrdinary(policy: CompiledPolicy, change: ChangeFacts, dir: Bytes): Judgement<Verdict> | null {
  const judgements = judgementsIn(policy, dir);
  const { found } = judgements;
  if (found === null) return null;
  if (change.type === 'file') return (judgements.file ??= judgeBy(policy, change, found));
  return (judgements.other ??= judgeBy(policy, change, found));
}

function judgementsIn(policy: CompiledPolicy, dir: Bytes): DirJudgements {
  if (lastDir?.dir !== dir || lastDir.policy !== policy) {
    lastDir = { policy, dir, found: engineOf(policy).within(CHANGE_LISTS, dir), file: null, other: null, gone: undefined, here: undefined };
  }
  return lastDir;
}

/** All ordinary names in a directory are judged alike, and none is a state file that is merged with the host's. */
export function judgesAlike(policy: CompiledPolicy, dir: Bytes): boolean {
  const { found } = judgementsIn(policy, dir);
  return found !== null && !found.some(({ list, keys }) => list === 'files.state' && keys.length > 0);
}

function judgeEnd(policy: CompiledPolicy, change: ChangeFacts, path: Bytes): Judgement<Verdict> {
  return judgeBy(policy, change, engineOf(policy).paths(CHANGE_LISTS, path));
}

function judgeBy(policy: CompiledPolicy, change: ChangeFacts, all: readonly CompiledRule[]): Judgement<Verdict> {
  const own = judgeOwn(policy, change, all.filter((rule) => !rule.tightens), all);
  const tight = all.filter((rule) => rule.tightens).map((rule) => by<Verdict>(rule, rule.list === 'changes.discard' ? 'discard' : 'escalate', 'a project rule', all));
  return strictest(VERDICTS, [own, ...tight]);
}

function judgeOwn(policy: CompiledPolicy, change: ChangeFacts, found: readonly CompiledRule[], all: readonly CompiledRule[]): Judgement<Verdict> {
  const first = (...lists: RuleList[]): CompiledRule | undefined => found.find((rule) => lists.includes(rule.list));
  const discard = first('changes.discard');
  if (discard !== undefined) return by(discard, 'discard', discard.note ?? 'a rule discards it', all);
  const escalate = first('changes.escalate');
  if (escalate !== undefined) return by(escalate, 'escalate', escalate.note ?? 'a rule wants a person to decide', all);
  const withheld = first('files.hide', 'files.readonly');
  if (withheld !== undefined) return by(withheld, 'escalate', 'the agent was not to write it', all);
  const state = first('files.state');
  const classed = classOf(change, found, state);
  if (classed !== null) {
    const why = classed.class === 'control' ? 'it runs on the host without further action' : 'it runs code later';
    return classed.rule === null ? without(`class.${classed.class}`, 'escalate', why, all) : by(classed.rule, 'escalate', why, all);
  }
  if (change.conflict !== null) return without('change.conflict', 'escalate', 'the host changed meanwhile', all);
  if (change.kind === 'type') return without('change.type', 'escalate', 'it changed its type', all);
  const isState = change.type === 'file' ? change.kind !== 'rename' : change.type === 'dir' && change.kind === 'add';
  if (state !== undefined && isState) return by(state, 'commit', "it is the agent's own state", all);
  return judgeUnnamed(policy, found, all);
}

/** A class that stands after `accept` and `files.state`; a managed class rule is lifted only by a managed `accept`. */
function classOf(change: Pick<ChangeFacts, 'class'>, found: readonly CompiledRule[], state: CompiledRule | undefined): { class: RiskClass; rule: CompiledRule | null } | null {
  const accepts = found.filter((rule) => rule.list === 'changes.accept');
  const isLifted = (rule: CompiledRule): boolean => {
    if (accepts.some((accept) => rule.origin.layer !== 'managed' || accept.origin.layer === 'managed')) return true;
    return state !== undefined && rule.origin.layer === 'built-in';
  };
  for (const name of ['control', 'later'] as const) {
    const rule = found.find((one) => one.list === `changes.${name}` && !isLifted(one));
    if (rule !== undefined) return { class: name, rule };
    if (change.class === name && accepts.length === 0 && state === undefined) return { class: name, rule: null };
  }
  return null;
}

/** The class that rules of the policy give a change whatever its content, and why; that it lies outside the project is not theirs to say. */
export function ruledClass(policy: CompiledPolicy, { path, ordinaryIn, type, kind }: Pick<ChangeFacts, 'path' | 'ordinaryIn' | 'type' | 'kind'>): RuledClass | null {
  // A directory runs nothing: what is in it is told by changes of its own.
  if (type === 'dir') return null;
  const judgements = ordinaryIn === undefined ? null : judgementsIn(policy, ordinaryIn);
  if (judgements === null || judgements.found === null) return ruledBy(engineOf(policy).paths(CHANGE_LISTS, path), kind);
  if (kind === 'delete') return (judgements.gone = judgements.gone === undefined ? ruledBy(judgements.found, kind) : judgements.gone);
  return (judgements.here = judgements.here === undefined ? ruledBy(judgements.found, kind) : judgements.here);
}

/** The class that a rule gives, and why. */
interface RuledClass {
  readonly class: RiskClass;
  readonly reason: string;
}

function ruledBy(found: readonly CompiledRule[], kind: ChangeFacts['kind']): RuledClass | null {
  const rules = found.filter(({ id, list }) => id !== 'control.outside' && !(list === 'changes.later' && kind === 'delete'));
  const classed = classOf({ class: 'normal' }, rules, rules.find(({ list }) => list === 'files.state'));
  return classed === null || classed.rule === null ? null : { class: classed.class, reason: classed.rule.note ?? `rule ${classed.rule.id}` };
}

/** Under a managed default only the layers above it commit by rule. */
function judgeUnnamed(policy: CompiledPolicy, found: readonly CompiledRule[], all: readonly CompiledRule[]): Judgement<Verdict> {
  const fallback = settingOf(policy, 'changes.default');
  const own = ofCommits(found, fallback, all);
  const floor = policy.floor.find((setting) => setting.key === 'changes.default');
  return floor === undefined ? own : strictest(VERDICTS, [own, ofCommits(found.filter(({ origin }) => isAbove(origin)), floor, all)]);
}

function ofCommits(found: readonly CompiledRule[], fallback: Setting | null, all: readonly CompiledRule[]): Judgement<Verdict> {
  const commit = found.find((rule) => rule.list === 'changes.commit');
  if (commit !== undefined) return by(commit, 'commit', commit.note ?? 'a rule commits it', all);
  return byDefault('changes.default', (fallback?.value ?? 'escalate') as Verdict, fallback, all);
}

/** False: there is no rule that `mergedStateRule` could give. */
export function mergesState({ rules }: CompiledPolicy): boolean {
  return rules.some(({ list, keys }) => list === 'files.state' && keys.length > 0);
}

/** The rule on an agent's state file whose keys are merged one by one. */
export function mergedStateRule(policy: CompiledPolicy, { path, ordinaryIn }: Pick<ChangeFacts, 'path' | 'ordinaryIn'>): CompiledRule | undefined {
  const engine = engineOf(policy);
  const found = (ordinaryIn === undefined ? null : stateWithin(policy, engine, ordinaryIn)) ?? engine.paths(STATE, path);
  return found.find(({ keys }) => keys.length > 0);
}

const STATE: readonly RuleList[] = ['files.state'];
let lastStates: { readonly policy: CompiledPolicy; readonly dir: Bytes; readonly found: readonly CompiledRule[] | null } | null = null;

function stateWithin(policy: CompiledPolicy, engine: Engine, dir: Bytes): readonly CompiledRule[] | null {
  if (lastStates?.dir !== dir || lastStates.policy !== policy) lastStates = { policy, dir, found: engine.within(STATE, dir) };
  return lastStates.found;
}

/** True for the state files of the profile's own agent: the `owned` of the commit gate's classify. */
export function isOwnState(policy: CompiledPolicy, path: Bytes): boolean {
  return engineOf(policy).paths(STATE, path).length > 0;
}

/** The first of the strictest. */
function strictest<V extends string>(order: readonly V[], judgements: readonly Judgement<V>[]): Judgement<V> {
  return judgements.reduce((best, one) => (order.indexOf(one.verdict) > order.indexOf(best.verdict) ? one : best));
}

function by<V extends string>(rule: CompiledRule, verdict: V, why: string, found: readonly CompiledRule[]): Judgement<V> {
  return { verdict, rule: rule.id, origin: rule.origin, why, also: found.filter((other) => other !== rule) };
}

function without<V extends string>(rule: string, verdict: V, why: string, found: readonly CompiledRule[]): Judgement<V> {
  return { verdict, rule, origin: null, why, also: found };
}

function byDefault<V extends string>(key: string, verdict: V, setting: Setting | null, found: readonly CompiledRule[]): Judgement<V> {
  return { verdict, rule: key, origin: setting?.origin ?? null, why: 'no rule names it', also: found };
}
