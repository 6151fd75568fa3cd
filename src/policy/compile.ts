import { createHash } from 'node:crypto';
import { fromText } from '../bytes.js';
import type { ChosenProfile, CompiledPolicy, CompiledRule, Loosening, Origin, Subjects, Variable } from './compiled.js';
import { GRANTS, LAYERS, type Layer, type Place, type PolicyDocument, type Problem, type RuleList, type RuleText } from './document.js';
import { parseHostPattern, type HostPattern } from './host.js';
import { applyHoles, refusal, type GivenHole } from './holes.js';
import { pathMatcher } from './match.js';
import { expandPattern, parsePattern, type PatternRoots } from './pattern.js';
import { refusePassthroughs } from './passthrough.js';
import { mergeSettings, placeKey } from './settings.js';
import { suggest } from './suggest.js';
import { shellWord } from '../shell-word.js';

/** One document and where it stands. */
export interface Source {
  readonly layer: Layer;
  readonly file: string;
  readonly digest: string;
  readonly trusted: boolean;
  /** what `./` means in it */
  readonly root: string;
  readonly document: PolicyDocument;
}

/** All that a policy depends on: the same input compiles to the same digest. */
export interface CompileInput {
  readonly sources: readonly Source[];
  readonly profile: ChosenProfile;
  readonly home: string;
  /** more home directories of the same user */
  readonly homes?: readonly string[];
  readonly project: string;
  /** of the invoking user: for directories that variables move, and for named sockets */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** files that the user's configuration has in place of the usual ones, usual → named */
  readonly named?: readonly (readonly [string, string])[];
  /** host sets that only this machine knows, such as `registries` */
  readonly sets: Readonly<Record<string, readonly string[]>>;
}

/** Sources → one document. Pure; the order of sources, rules and files never shows in a verdict. */
export function compile(input: CompileInput): { policy: CompiledPolicy; problems: readonly Problem[] } {
  const sources = [...input.sources].sort((a, b) => rankOf(a.layer) - rankOf(b.layer) || a.file.localeCompare(b.file));
  const compiler: Compiler = { input, sources, moves: movesOf(sources, input), problems: [], loosened: [] };
  const rules = sources.flatMap((source) => source.document.rules.flatMap((rule) => ruleOf(compiler, source, rule)));
  const pierced = applyHoles(withShares(rules), holesOf(compiler), (hole, text, list) => holeOf(compiler, hole, text, list));
  const through = refusePassthroughs(pierced.rules, input.home, input.project);
  const given = sources.flatMap((source) => source.document.settings.map((setting) => ({
    key: setting.key, value: setting.value, origin: originOf(source, setting.at), rank: rankOf(source.layer), trusted: source.trusted,
  })));
  const settings = mergeSettings(given);
  const body: Omit<CompiledPolicy, 'digest'> = {
    version: 1, profile: input.profile, home: input.home, homes: input.homes ?? [], project: input.project,
    files: sources.map(({ layer, file, digest, trusted }) => ({ layer, file, digest, trusted })),
    rules: through.rules.sort(byPlace), settings: settings.settings, floor: settings.floor,
    variables: variablesOf(compiler), sockets: socketsOf(compiler),
    loosened: [...compiler.loosened, ...pierced.loosened, ...through.loosened, ...settings.loosened, ...closedBy(settings.floor, pierced.rules)],
  };
  const digest = createHash('sha256').update(JSON.stringify(body)).digest('hex');
  return { policy: { ...body, digest }, problems: [...compiler.problems, ...pierced.problems] };
}

interface Compiler {
  readonly input: CompileInput;
  readonly sources: readonly Source[];
  readonly moves: readonly (readonly [string, string])[];
  readonly problems: Problem[];
  readonly loosened: Loosening[];
}

/** A later layer has the higher number. */
export function rankOf(layer: Layer): number {
  return LAYERS.indexOf(layer);
}

function originOf(source: Source, at: Place): Origin {
  return { layer: source.layer, file: source.file, line: at.line, col: at.col };
}

function ruleOf(compiler: Compiler, source: Source, rule: RuleText): CompiledRule[] {
  const grants = GRANTS.has(rule.list);
  if (grants && !source.trusted) {
    compiler.loosened.push(untrusted(source, rule.at, `${rule.list} ${rule.subjects.join(', ')}`));
    return [];
  }
  const origin = originOf(source, rule.at);
  const written = { source, list: rule.list, at: rule.at };
  const subjects = subjectsOf(compiler, { ...written, texts: rule.subjects }, { withholds: !grants });
  // A rule that withholds in every home of the user has its own exceptions there too.
  const except = subjectsOf(compiler, { ...written, texts: rule.except }, { withholds: grants, everyHome: !grants });
  return [{ list: rule.list, id: rule.id, origin, note: rule.note, subjects, except, ports: rule.ports, private: rule.private, silent: rule.silent, keys: rule.keys, ...(rule.grants === undefined ? {} : { grants: rule.grants }), tightens: !source.trusted }];
}

/**
 * What is shared is a hole in every hide that covers it and may have one. What another one
 * hides within it stays hidden: who shares a directory has not named the secrets in it.
 */
function withShares(rules: readonly CompiledRule[]): CompiledRule[] {
  const shares = rules.filter((rule) => rule.list === 'files.share');
  if (shares.length === 0) return [...rules];
  return rules.map((rule) => {
    if (rule.list !== 'files.hide') return rule;
    const covers = pathMatcher(rule.subjects.paths.map((pattern) => [pattern, true]), 'covering');
    const holes = shares.filter((share) => refusal(rule, share.origin) === null).flatMap((share) => share.subjects.paths)
      .filter(({ base, glob }) => glob !== '' || covers.all(fromText(base)).length > 0);
    return { ...rule, except: { ...rule.except, paths: [...rule.except.paths, ...holes.map((hole) => ({ ...hole, tree: true }))] } };
  });
}

function untrusted(source: Source, at: Place, what: string): Loosening {
  return { origin: originOf(source, at), what, why: 'a project file may only tighten until it is trusted', hint: `Run agentfw policy trust ${shellWord(source.file)}` };
}

/** Subjects as they are written in a list of a source. */
interface Written {
  readonly source: Source;
  readonly list: RuleList;
  readonly texts: readonly string[];
  readonly at: Place;
}

/** `everyHome`: in each home of the user, which is where what withholds holds. */
function subjectsOf(compiler: Compiler, { source, list, texts, at }: Written, { withholds, everyHome = withholds }: { readonly withholds: boolean; readonly everyHome?: boolean }): Subjects {
  const none: Subjects = { paths: [], hosts: [], names: [] };
  if (list.startsWith('network.')) return { ...none, hosts: texts.flatMap((text) => hostsOf(compiler, source, text, at)) };
  if (list === 'sockets.allow') for (const text of texts) checkSocket(compiler, source, text, at);
  if (list === 'files.skip' || list.startsWith('environment.') || list.startsWith('sockets.')) return { ...none, names: texts };
  const roots: PatternRoots = { home: compiler.input.home, homes: everyHome ? (compiler.input.homes ?? []) : [], project: source.root, moves: compiler.moves };
  return { ...none, paths: texts.flatMap((text) => expandPattern(text, roots, withholds)) };
}

/** A name that stands for no socket would be refused inside without a word of why. */
function checkSocket(compiler: Compiler, source: Source, text: string, at: Place): void {
  const names = compiler.sources.flatMap(({ document }) => Object.keys(document.socketNames));
  if (!/^[A-Za-z_][\w.-]*$/.test(text) || names.includes(text)) return;
  const near = suggest(text, names);
  compiler.problems.push({ file: source.file, ...at, message: `there is no socket named \`${text}\``, text: null, hint: near === null ? 'Write its path.' : `Did you mean \`${near}\`?` });
}

/** A host, or those of a named set: the machine's, or one defined in this source or above it. */
function hostsOf(compiler: Compiler, source: Source, text: string, at: Place): HostPattern[] {
  const parsed = parseHostPattern(text, null);
  if (!parsed.ok) return [];
  if (parsed.pattern.kind !== 'set') return [parsed.pattern];
  const name = parsed.pattern.value;
  const known = compiler.sources.filter((other) => other === source || (other.trusted && rankOf(other.layer) <= rankOf(source.layer)));
  const sets = known.flatMap((other) => other.document.sets);
  const found = [...sets.filter((set) => set.name === name).map((set) => set.hosts), ...(Object.hasOwn(compiler.input.sets, name) ? [compiler.input.sets[name] ?? []] : [])];
  if (found.length === 0) {
    const near = suggest(name, ['registries', ...sets.map((set) => set.name), ...Object.keys(compiler.input.sets)]);
    const hint = near === null ? `For a host of that name write \`${name}:PORT\`.` : `Did you mean \`${near}\`?`;
    compiler.problems.push({ file: source.file, ...at, message: `there is no set of hosts named \`${name}\``, text: null, hint });
  }
  return found.flat().flatMap((host) => {
    const member = parseHostPattern(host, null);
    return member.ok && member.pattern.kind !== 'set' ? [{ ...member.pattern, text: `${name}: ${host}` }] : [];
  });
}

function holesOf(compiler: Compiler): (GivenHole & { readonly source: Source })[] {
  return compiler.sources.flatMap((source) => source.document.holes.flatMap((hole) => {
    if (source.trusted) return [{ ...hole, source, origin: originOf(source, hole.at) }];
    compiler.loosened.push(untrusted(source, hole.at, `except ${hole.id}`));
    return [];
  }));
}

/** A hole is written in the words of the rule that it pierces. */
function holeOf(compiler: Compiler, hole: GivenHole & { readonly source: Source }, text: string, list: RuleList): Subjects {
  const path = list.startsWith('files.') || list.startsWith('changes.');
  const checked = path ? parsePattern(text) : list.startsWith('network.') ? parseHostPattern(text, null) : { ok: true as const };
  if (checked.ok) return subjectsOf(compiler, { source: hole.source, list, texts: [text], at: hole.at }, { withholds: false });
  compiler.problems.push({ file: hole.source.file, ...hole.at, message: checked.why, text: null, hint: checked.hint });
  return { paths: [], hosts: [], names: [] };
}

/** Later layers win, but over the managed one; two sources of one layer can't give a variable twice unless they agree. */
function variablesOf(compiler: Compiler): Variable[] {
  const found = new Map<string, Variable>();
  for (const source of compiler.sources) {
    for (const { name, value, at } of source.document.variables) {
      const isManaged = source.layer !== 'managed' && found.get(name)?.origin.layer === 'managed';
      if (source.trusted && isManaged) compiler.loosened.push({ origin: originOf(source, at), what: `environment.set ${name}`, why: `the managed policy sets ${name}`, hint: null });
      else if (source.trusted) found.set(name, { name, value, origin: originOf(source, at) });
      else compiler.loosened.push(untrusted(source, at, `environment.set ${name}`));
    }
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function socketsOf({ sources, input }: Compiler): Record<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const source of sources.filter(({ trusted, layer }) => trusted && layer !== 'project')) {
    for (const [name, paths] of Object.entries(source.document.socketNames)) {
      found.set(name, [...(found.get(name) ?? []), ...paths.flatMap((path) => socketPath(path, input))]);
    }
  }
  return Object.fromEntries(found);
}

function socketPath(text: string, { env, home }: CompileInput): string[] {
  const path = text.replace(/^\$([A-Z_]+)/, (_, name: string) => env[name] ?? '').replace(/^~(?=\/)/, home).replace(/^unix:(path=)?/, '');
  return path.startsWith('/') && !path.split('/').includes('..') ? [path] : [];
}

/** A variable may move an agent's directory, but to no place that holds more than that. */
function movesOf(sources: readonly Source[], { env, home, named = [] }: CompileInput): (readonly [string, string])[] {
  const known = named.filter(([from, to]) => isMove(from, to, home));
  return [...known, ...sources.filter(({ layer }) => layer === 'built-in' || layer === 'profile').flatMap(({ document, root }) =>
    Object.entries(document.moves).flatMap(([name, text]) => {
      const [from] = expandPattern(text, { home, project: root }, false);
      const value = env[name] ?? '';
      return (NAMES_SEVERAL.has(name) ? value.split(':') : [value]).flatMap((one) => {
        const to = one.replace(/\/+$/, '');
        return from !== undefined && isMove(from.base, to, home) ? [[from.base, to] as const] : [];
      });
    }))];
}

function isMove(from: string, to: string, home: string): boolean {
  return to !== from && to.startsWith('/') && !to.split('/').some((part) => part === '..' || part === '.') && !`${home}/`.startsWith(`${to}/`);
}

/** Variables that are lists, as PATH is. */
const NAMES_SEVERAL: ReadonlySet<string> = new Set(['KUBECONFIG']);

/** Grants below a managed `default` have no effect: say so. */
function closedBy(floor: CompiledPolicy['floor'], rules: readonly CompiledRule[]): Loosening[] {
  const closes: Readonly<Record<string, RuleList>> = { 'network.default': 'network.allow', 'changes.default': 'changes.commit' };
  return floor.flatMap((setting) => (setting.value === 'allow' || setting.value === 'commit' ? [] : rules
    .filter((rule) => rule.list === closes[setting.key] && rankOf(rule.origin.layer) > rankOf('managed'))
    .map((rule) => ({
      origin: rule.origin, what: `${rule.list} ${rule.id}`, why: `the managed policy sets ${setting.key} to ${setting.value}`, hint: null,
    }))));
}

function byPlace(a: CompiledRule, b: CompiledRule): number {
  const [left, right] = [`${placeKey(a.origin)}\n${a.list}\n${a.id}`, `${placeKey(b.origin)}\n${b.list}\n${b.id}`];
  return left < right ? -1 : left > right ? 1 : 0;
}
