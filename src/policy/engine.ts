import { isWithin, fromText, type Bytes } from '../bytes.js';
import type { NameFilter } from '../kernel/kernel.js';
import type { CompiledPolicy, CompiledRule } from './compiled.js';
import { GRANTS, type RuleList } from './document.js';
import { hostMatches, type Host } from './host.js';
import { namesIn, pathMatcher, type MatchMode, type PathMatcher } from './match.js';
import type { PathPattern } from './pattern.js';
import { hasManyStars, nameTest } from './segments.js';

/**
 * Finds the rules of a compiled policy that name a subject, exceptions taken
 * out. Verdicts are judge.ts's business. Made once per policy.
 */
export interface Engine {
  /** rules of these lists that hold for a path */
  paths(lists: readonly RuleList[], path: Bytes): CompiledRule[];
  /** the same for every path in a directory whose name is none of `names`; null where it depends on the path */
  within(lists: readonly RuleList[], dir: Bytes): readonly CompiledRule[] | null;
  /** names that a rule or an exception may speak of */
  readonly ownNames: () => NameFilter;
  hosts(lists: readonly RuleList[], host: Host, port: number): CompiledRule[];
  names(lists: readonly RuleList[], name: string): CompiledRule[];
  /** the rule covers the directory, but some exception of it may lie below */
  holdsException(rule: CompiledRule, dir: Bytes): boolean;
  rules(lists: readonly RuleList[]): readonly CompiledRule[];
}

const engines = new WeakMap<CompiledPolicy, Engine>();

/** Made once for a policy, kept as long as it. */
export function engineOf(policy: CompiledPolicy): Engine {
  let engine = engines.get(policy);
  if (engine === undefined) engines.set(policy, (engine = makeEngine(policy.rules)));
  return engine;
}

/** For rules without a policy around them; its indexes are made when first asked. */
export function makeEngine(rules: readonly CompiledRule[]): Engine {
  const byList = new Map<RuleList, CompiledRule[]>();
  for (const rule of rules) byList.set(rule.list, [...(byList.get(rule.list) ?? []), rule]);
  const withPaths = rules.filter((rule) => rule.subjects.paths.length > 0);
  // Two indexes for all lists: a path is folded and taken apart once, not once a list. What a start asks about is half of it.
  const withheld = withPaths.filter(({ list }) => !GRANTS.has(list));
  const all = once(() => matcherOf(withheld, 'covering'));
  const hidden = once(() => matcherOf(withheld.filter(({ list }) => list.startsWith('files.')), 'covering'));
  const covering = (lists: readonly RuleList[]): PathMatcher<CompiledRule> => (lists.every((list) => list.startsWith('files.')) ? hidden() : all());
  const exact = once(() => matcherOf(withPaths.filter(({ list }) => GRANTS.has(list)), 'exact'));
  const holes = new Map<CompiledRule, PathMatcher<true>>();
  const of = (lists: readonly RuleList[]): CompiledRule[] => lists.flatMap((list) => byList.get(list) ?? []);
  return {
    paths: (lists, path) => {
      const found: CompiledRule[] = [];
      if (lists.some((list) => !GRANTS.has(list))) found.push(...covering(lists).all(path));
      if (lists.some((list) => GRANTS.has(list))) found.push(...exact().all(path));
      return found.filter((rule) => lists.includes(rule.list) && !isExcepted(rule, path, holes));
    },
    within: (lists, dir) => {
      const kept = lists.every((list) => GRANTS.has(list)) ? [] : covering(lists).within(dir);
      const granted = exact().within(dir);
      if (kept === null || granted === null) return null;
      const found = [...kept, ...granted].filter((rule) => lists.includes(rule.list));
      const excepted = found.map((rule) => isExceptedWithin(rule, dir, holes));
      return excepted.includes(null) ? null : found.filter((_, index) => excepted[index] === false);
    },
    ownNames: once(() => namesIn(withPaths.flatMap(({ subjects, except }) => [...subjects.paths, ...except.paths]))),
    hosts: (lists, host, port) => of(lists).filter((rule) => namesHost(rule, host, port)),
    names: (lists, name) => of(lists).filter((rule) => matchesAny(rule.subjects.names, name) && !matchesAny(rule.except.names, name)),
    holdsException: (rule, dir) => rule.except.paths.some((pattern) => {
      const base = fromText(pattern.base);
      return isWithin(base, dir) && (base !== dir || pattern.glob !== '');
    }),
    rules: of,
  };
}

function matcherOf(rules: readonly CompiledRule[], mode: MatchMode): PathMatcher<CompiledRule> {
  return pathMatcher(rules.flatMap((rule) => rule.subjects.paths.map((pattern): [PathPattern, CompiledRule] => [pattern, rule])), mode);
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => (made ??= { value: make() }).value;
}

/** A hole in what withholds is a grant, and the other way round. */
function isExcepted(rule: CompiledRule, path: Bytes, holes: Map<CompiledRule, PathMatcher<true>>): boolean {
  if (rule.except.paths.length === 0) return false;
  return holesOf(rule, holes).all(path).length > 0;
}

/** Null: some of the paths in the directory are. */
function isExceptedWithin(rule: CompiledRule, dir: Bytes, holes: Map<CompiledRule, PathMatcher<true>>): boolean | null {
  if (rule.except.paths.length === 0) return false;
  const found = holesOf(rule, holes).within(dir);
  return found === null ? null : found.length > 0;
}

function holesOf(rule: CompiledRule, holes: Map<CompiledRule, PathMatcher<true>>): PathMatcher<true> {
  const mode = GRANTS.has(rule.list) ? 'covering' : 'exact';
  return lazily(holes, rule, () => pathMatcher(rule.except.paths.map((pattern) => [pattern, true]), mode));
}

/** Ports that a grant without ports means. */
const USUAL_PORTS: readonly number[] = [443, 80];

function namesHost(rule: CompiledRule, host: Host, port: number): boolean {
  const usual = rule.list === 'network.deny' ? 'any' : USUAL_PORTS;
  const named = rule.subjects.hosts.some((pattern) => {
    const ports = pattern.ports ?? rule.ports ?? usual;
    return (ports === 'any' || ports.includes(port)) && hostMatches(pattern, host);
  });
  return named && !rule.except.hosts.some((pattern) => {
    const ports = pattern.ports ?? 'any';
    return (ports === 'any' || ports.includes(port)) && hostMatches(pattern, host);
  });
}

/** Names of variables and sockets: `*` and `?` are the only wildcards. */
export function matchesAny(patterns: readonly string[], name: string): boolean {
  const { plain, wild, starry } = tested(patterns);
  return plain.has(name) || (wild !== null && wild.test(name)) || starry.some((test) => test(name));
}

interface NameTest {
  readonly plain: ReadonlySet<string>;
  /** one expression for all patterns with wildcards: a start asks for each variable of the user's */
  readonly wild: RegExp | null;
  /** those that an expression would be slow for */
  readonly starry: readonly ((name: string) => boolean)[];
}

const tests = new WeakMap<readonly string[], NameTest>();

function tested(patterns: readonly string[]): NameTest {
  let test = tests.get(patterns);
  if (test === undefined) {
    const globs = patterns.filter((pattern) => /[*?]/.test(pattern));
    const wild = globs.filter((pattern) => !hasManyStars(asGlob(pattern)));
    const starry = globs.filter((pattern) => hasManyStars(asGlob(pattern))).map((pattern) => nameTest(asGlob(pattern)));
    test = { plain: new Set(patterns), wild: wild.length === 0 ? null : new RegExp(`^(?:${wild.map(nameSource).join('|')})$`, 's'), starry };
    tests.set(patterns, test);
  }
  return test;
}

/** A bracket or a backslash is no more than that here. */
function asGlob(pattern: string): string {
  return pattern.replace(/[[\\]/g, '\\$&');
}

function nameSource(pattern: string): string {
  return pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*').replace(/\?/g, '.');
}

function lazily<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}
