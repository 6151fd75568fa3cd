import { GRANTS, type HoleText, type HostGrants, type PolicyDocument, type Problem, type RuleList, type RuleText, type SettingKey, type SettingText, type VariableText } from './document.js';
import { checkExamples } from './examples.js';
import { parseHostPattern } from './host.js';
import { isLiteral, parsePattern } from './pattern.js';
import type { PolicyInput } from './schema.js';
import { parseUpstream } from './upstream.js';
import { parseCount, parseDuration, parseMemory, parseProcesses, parseSize, parseWait, type Parsed } from './units.js';
import { sourceLine, type PositionedYaml } from './yaml.js';

/** What normalising needs beside the input. `isPublicSuffix` comes from the public suffix list. */
export interface NormaliseContext {
  readonly file: string;
  readonly text: string;
  readonly yaml: PositionedYaml;
  readonly isPublicSuffix: (name: string) => boolean;
}

type Path = readonly PropertyKey[];
interface Sink extends NormaliseContext {
  readonly problems: Problem[];
}

/** From the checked shape to a document: ids given, patterns, hosts and units checked where they stand. */
export function normalise(input: PolicyInput, context: NormaliseContext): { document: PolicyDocument; problems: readonly Problem[] } {
  const sink: Sink = { ...context, problems: [] };
  const rules = [...fileRules(input, sink), ...changeRules(input, sink), ...networkRules(input, sink), ...otherRules(input, sink)];
  const document: PolicyDocument = {
    version: 1,
    description: input.description ?? null,
    extends: listOf(input.extends).map((name, i) => ({ name, at: sink.yaml.place(Array.isArray(input.extends) ? ['extends', i] : ['extends']) })),
    agent: input.agent ?? null,
    moves: input.moves ?? {},
    sets: Object.entries(input.network?.sets ?? {}).map(([name, hosts]) => {
      hosts.forEach((host, i) => checkHost(host, ['network', 'sets', name, i], true, sink));
      return { name, hosts, at: sink.yaml.place(['network', 'sets', name], true) };
    }),
    socketNames: input.sockets?.names ?? {},
    rules,
    holes: holesOf(input, sink),
    settings: settingsOf(input, sink),
    variables: variablesOf(input, sink),
  };
  return { document, problems: sink.problems };
}

/** A rule of any list as the schema gives it. */
type AnyRule = string | {
  readonly path?: string | string[]; readonly host?: string | string[]; readonly name?: string | string[];
  readonly id?: string | undefined; readonly except?: string[] | undefined; readonly match?: string[] | undefined; readonly not?: string[] | undefined;
  readonly note?: string | undefined; readonly ports?: 'any' | number[] | undefined; readonly private?: boolean | undefined;
  readonly silent?: boolean | undefined; readonly keys?: string[] | undefined;
  readonly methods?: string[] | undefined; readonly udp?: boolean | undefined; readonly hiddenName?: boolean | undefined; readonly raw?: boolean | undefined;
};

function ruleTexts(list: RuleList, rules: readonly AnyRule[] | undefined, sink: Sink): RuleText[] {
  const [section = '', name = ''] = list.split('.');
  return (rules ?? []).map((rule, i) => {
    const path = [section, name, i];
    const given = typeof rule === 'string' ? {} : rule;
    const subjects = typeof rule === 'string' ? [rule] : listOf(rule.path ?? rule.host ?? rule.name);
    const text: RuleText = {
      list, subjects, id: given.id ?? `${list}:${subjects[0] ?? ''}`, except: given.except ?? [], note: given.note ?? null,
      ports: given.ports ?? (given.methods === undefined ? null : [80]), private: given.private ?? false, silent: given.silent ?? false, keys: given.keys ?? [],
      ...grantsOf(given), at: sink.yaml.place(path),
    };
    checkSubjects(text, path, sink);
    if (sink.problems.length === 0) {
      for (const message of checkExamples(text, given.match ?? [], given.not ?? [])) report(sink, [...path, message.key, message.index], message.why, null);
    }
    return text;
  });
}

function grantsOf({ methods, udp, hiddenName, raw }: Exclude<AnyRule, string>): { readonly grants?: HostGrants } {
  const grants: HostGrants = {
    ...(methods === undefined ? {} : { methods }), ...(udp === true ? { udp } : {}), ...(hiddenName === true ? { hiddenName } : {}), ...(raw === true ? { raw } : {}),
  };
  return Object.keys(grants).length === 0 ? {} : { grants };
}

function checkSubjects(rule: RuleText, path: Path, sink: Sink): void {
  const grants = GRANTS.has(rule.list);
  const check = (text: string, at: Path, grant: boolean): void => {
    if (rule.list === 'files.skip') return checkSkip(text, at, sink);
    if (rule.list.startsWith('files.') || rule.list.startsWith('changes.')) return checkPattern(text, at, sink);
    if (rule.list.startsWith('network.')) return checkHost(text, at, grant, sink);
    if (rule.list.startsWith('sockets.')) return checkSocket(text, at, sink);
  };
  rule.subjects.forEach((text) => check(text, path, grants));
  rule.except.forEach((text, i) => check(text, [...path, 'except', i], !grants));
  if (rule.list === 'files.passthrough' || rule.list === 'files.state') checkPlain(rule, path, sink);
  if (rule.private && rule.list !== 'network.allow') report(sink, [...path, 'private'], '`private` belongs to `allow` rules', null);
  checkGrants(rule, path, sink);
  if (rule.silent && rule.list !== 'network.deny') report(sink, [...path, 'silent'], '`silent` belongs to `deny` rules', null);
}

function checkGrants({ list, grants = {}, ports }: RuleText, path: Path, sink: Sink): void {
  for (const name of Object.keys(grants)) {
    if (list !== 'network.allow') report(sink, [...path, name], `\`${name}\` belongs to \`allow\` rules`, null);
  }
  if (grants.methods === undefined) return;
  if (grants.raw === true) report(sink, [...path, 'raw'], '`raw` checks nothing, so `methods` would mean nothing', null);
  if (ports === 'any' || ports?.includes(443) === true) report(sink, [...path, 'ports'], '`methods` show in plain HTTP only, not on port 443', 'Write two rules.');
}

/** A bound directory and a merged file must be known by name before the agent starts. */
function checkPlain(rule: RuleText, path: Path, sink: Sink): void {
  for (const subject of rule.subjects) {
    const parsed = parsePattern(subject);
    if (!parsed.ok) continue;
    const bad = parsed.alternatives.find(({ rel, root }) => root === 'anywhere' || (rule.list === 'files.passthrough' ? !isLiteral(rel) : rel === ''));
    if (bad === undefined) continue;
    const what = rule.list === 'files.passthrough' ? 'directories by name' : 'files';
    report(sink, path, `\`${subject}\`: \`${rule.list.slice(6)}\` takes ${what} below \`~\`, \`./\` or \`/\``, null);
  }
}

function checkPattern(text: string, path: Path, sink: Sink): void {
  const parsed = parsePattern(text);
  if (!parsed.ok) report(sink, path, parsed.why, parsed.hint);
}

function checkHost(text: string, path: Path, grant: boolean, sink: Sink): void {
  const parsed = parseHostPattern(text, grant ? sink.isPublicSuffix : null);
  if (!parsed.ok) report(sink, path, parsed.why, parsed.hint);
}

function checkSocket(text: string, path: Path, sink: Sink): void {
  if (/^[a-z][a-z0-9-]*$/.test(text) || (text.startsWith('/') && !/[*?[\]]|\/\.\.?(\/|$)/.test(text))) return;
  report(sink, path, `\`${text}\` is neither the name of a socket nor an absolute path`, null);
}

function checkSkip(text: string, path: Path, sink: Sink): void {
  if (text.includes('/') || text === '' || /[*?[\]]/.test(text)) report(sink, path, `\`${text}\`: \`skip\` takes plain directory names`, null);
}

function fileRules(input: PolicyInput, sink: Sink): RuleText[] {
  const files = input.files ?? {};
  const skip = files.skip?.map((name) => name);
  return [
    ...ruleTexts('files.hide', files.hide, sink), ...ruleTexts('files.readonly', files.readonly, sink),
    ...ruleTexts('files.passthrough', files.passthrough, sink), ...ruleTexts('files.state', files.state, sink),
    ...ruleTexts('files.share', files.share, sink), ...ruleTexts('files.skip', skip, sink),
  ];
}

function changeRules(input: PolicyInput, sink: Sink): RuleText[] {
  const lists = ['commit', 'discard', 'escalate', 'accept', 'control', 'later'] as const;
  return lists.flatMap((name) => ruleTexts(`changes.${name}`, input.changes?.[name], sink));
}

function networkRules(input: PolicyInput, sink: Sink): RuleText[] {
  return (['allow', 'ask', 'deny'] as const).flatMap((name) => ruleTexts(`network.${name}`, input.network?.[name], sink));
}

function otherRules(input: PolicyInput, sink: Sink): RuleText[] {
  const environment = input.environment ?? {};
  return [
    ...ruleTexts('sockets.allow', input.sockets?.allow, sink), ...ruleTexts('sockets.deny', input.sockets?.deny, sink),
    ...ruleTexts('environment.keep', environment.keep, sink), ...ruleTexts('environment.strip', environment.strip, sink),
    ...ruleTexts('environment.secret', environment.secret, sink), ...ruleTexts('environment.loader', environment.loader, sink),
  ];
}

function holesOf(input: PolicyInput, sink: Sink): HoleText[] {
  return Object.entries(input.except ?? {}).map(([id, subjects]) => {
    // Whose words these are is known only when all layers are: but a wildcard on hosts is plain.
    subjects.forEach((text, i) => text.startsWith('*.') && checkHost(text, ['except', id, i], true, sink));
    return { id, subjects, at: sink.yaml.place(['except', id], true) };
  });
}

function settingsOf(input: PolicyInput, sink: Sink): SettingText[] {
  const found: SettingText[] = [];
  const add = (key: SettingKey, value: string | number | undefined, parse?: (value: string | number) => Parsed): void => {
    if (value === undefined) return;
    const path = key.split('.');
    const parsed = parse?.(value);
    if (parsed?.ok === false) report(sink, path, parsed.why, parsed.hint);
    else found.push({ key, value: parsed?.value ?? value, at: sink.yaml.place(path) });
  };
  add('changes.default', input.changes?.default);
  add('network.default', input.network?.default);
  add('network.dns', input.network?.dns);
  add('network.upstream', upstreamOf(input, sink));
  add('environment.secrets', input.environment?.secrets);
  add('nested', input.nested);
  add('ask.timeout', input.ask?.timeout, parseWait);
  add('ask.approver', approverOf(input, sink));
  add('audit.full', input.audit?.full);
  add('audit.exec', input.audit?.exec === undefined ? undefined : input.audit.exec ? 'on' : 'off');
  const thresholds = input.changes?.thresholds ?? {};
  for (const name of ['deletions', 'files', 'executables', 'types'] as const) add(`changes.thresholds.${name}`, thresholds[name], parseCount);
  add('changes.thresholds.bytes', thresholds.bytes, parseSize);
  const capture = input.changes?.capture ?? {};
  add('changes.capture.file', capture.file, parseSize);
  add('changes.capture.total', capture.total, (value) => (value === 'none' ? { ok: true, value: 0 } : parseSize(value)));
  const limits = input.limits ?? {};
  add('limits.memory', limits.memory, parseMemory);
  add('limits.layer', limits.layer, parseSize);
  add('limits.time', limits.time, parseDuration);
  add('limits.pids', limits.pids, parseProcesses);
  for (const name of ['inodes', 'cpu'] as const) add(`limits.${name}`, limits[name]);
  return found;
}

/** A login would be in every record of the policy. */
function upstreamOf({ network }: PolicyInput, sink: Sink): string | undefined {
  const text = network?.upstream;
  if (text === undefined || text === 'environment') return text;
  const parsed = parseUpstream(text);
  if (!parsed.ok) report(sink, ['network', 'upstream'], `\`${text}\`: ${parsed.why}`, parsed.hint);
  else if (parsed.value.login !== null) report(sink, ['network', 'upstream'], 'a policy keeps no login', 'Write `environment`, and the login in HTTPS_PROXY where agentfw runs.');
  return text;
}

/** As JSON: a setting is one word. */
function approverOf({ ask }: PolicyInput, sink: Sink): string | undefined {
  const [program = ''] = ask?.approver ?? [];
  if (ask?.approver === undefined) return undefined;
  if (!/^(~\/|\/)/.test(program)) report(sink, ['ask', 'approver', 0], `\`${program}\` is neither an absolute path nor below \`~/\``, null);
  return JSON.stringify(ask.approver);
}

function variablesOf(input: PolicyInput, sink: Sink): VariableText[] {
  return Object.entries(input.environment?.set ?? {}).map(([name, value]) => {
    if (value.includes('\u0000')) report(sink, ['environment', 'set', name], 'a value has a NUL', null);
    return { name, value, at: sink.yaml.place(['environment', 'set', name], true) };
  });
}

function report(sink: Sink, path: Path, message: string, hint: string | null): void {
  const place = sink.yaml.place(path);
  sink.problems.push({ file: sink.file, ...place, message, text: sourceLine(sink.text, place.line), hint });
}

function listOf(value: string | readonly string[] | undefined): readonly string[] {
  return value === undefined ? [] : typeof value === 'string' ? [value] : value;
}
