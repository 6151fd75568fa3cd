import picomatch from 'picomatch';
import type { GateRule } from './control-list.js';

/** A folded path, in two. */
export interface FoldedPath {
  /** what is before the last slash; '' when there is none */
  readonly dir: string;
  readonly name: string;
}

type Match = (path: FoldedPath) => string | null;

/** One list of the gate, compiled: the reason for a path, null when no pattern matches. */
export interface GateList {
  readonly reasonFor: Match;
  /** for what stands where a pattern expects a directory, and is none: a symlink brings in anything */
  readonly reasonForDirectory: Match;
  /** a pattern may be about any path in the folded directory, whatever its name */
  readonly reachesInto: (dir: string) => boolean;
}

/** Each list is compiled when it is first asked. */
export function compileGate(rules: readonly GateRule[]): GateList {
  const dirs = (): GateRule[] => rules.flatMap(({ pattern, reason }) => directoriesOf(pattern).map((dir) => ({ pattern: dir, reason })));
  return { reasonFor: compileLate(() => rules), reasonForDirectory: compileLate(dirs), reachesInto: reachOf(rules.map(({ pattern }) => pattern)) };
}

/** True for a folded directory that patterns may reach into, whatever the name there. */
export function reachOf(patterns: readonly string[]): (dir: string) => boolean {
  let isFirst: ((name: string) => unknown) | null = null;
  return (dir) => {
    isFirst ??= compileNames(patterns.filter((pattern) => pattern.includes('/')).map((pattern) => ({ pattern: firstOf(pattern), reason: pattern })));
    return dir.split('/').some((name) => isFirst?.(name) !== null);
  };
}

/** The only name of a pattern, or the first of several: without it no pattern is about a path. */
export function firstOf(pattern: string): string {
  return pattern.split('/', 1)[0] ?? '';
}

/** True when a pattern of the list matches the folded path. */
export function compilePatterns(patterns: readonly string[]): (path: FoldedPath) => boolean {
  const match = compileLate(() => patterns.map((pattern) => ({ pattern, reason: pattern })));
  return (path) => match(path) !== null;
}

/** Compiled at first use: most commands judge nothing. */
function compileLate(rules: () => readonly GateRule[]): Match {
  let match: Match | null = null;
  return (path) => (match ??= compile(rules()))(path);
}

/** `**`, or the test of one name. */
type Part = '**' | ((name: string) => boolean);

interface Compiled {
  readonly parts: readonly Part[];
  readonly reason: string;
}

/**
 * An agent may make paths thousands of levels deep, so patterns are matched name
 * by name: one regular expression over the whole path backtracks too far.
 */
function compile(rules: readonly GateRule[]): Match {
  const byName = compileNames(rules.filter(({ pattern }) => !pattern.includes('/')));
  const led = ledBy(rules.filter(({ pattern }) => pattern.includes('/')));
  // Paths come directory by directory, and few directories lie in one that a pattern begins with.
  let last = { dir: '', begins: false };
  return ({ dir, name }) => {
    const reason = byName(name);
    if (reason !== null) return reason;
    if (dir !== last.dir) last = { dir, begins: dir.split('/').some((one) => led(one) !== null) };
    return last.begins || led(name) !== null ? reasonBelow(led, dir === '' ? [name] : [...dir.split('/'), name]) : null;
  };
}

type Led = (first: string) => readonly Compiled[] | null;

/** The patterns of several names that begin with a name. */
function ledBy(rules: readonly GateRule[]): Led {
  const plain = new Map<string, Compiled[]>();
  const globs: { readonly test: RegExp; readonly rule: Compiled }[] = [];
  for (const { pattern, reason } of rules) {
    const rule = { parts: pattern.split('/').map(partOf), reason };
    const first = firstOf(pattern);
    if (isGlob(first)) globs.push({ test: globTest(first), rule });
    else plain.set(first, [...(plain.get(first) ?? []), rule]);
  }
  const anyGlob = anyOf(globs);
  return (first) => {
    const found = plain.get(first) ?? null;
    if (anyGlob?.test(first) !== true) return found;
    return [...(found ?? []), ...globs.filter(({ test }) => test.test(first)).map(({ rule }) => rule)];
  };
}

function anyOf(globs: readonly { readonly test: RegExp }[]): RegExp | null {
  return globs.length === 0 ? null : new RegExp(globs.map(({ test }) => `(?:${test.source})`).join('|'), 's');
}

/** The reason of the first pattern that matches a name: plain ones by look-up, the others only when any of them matches. */
function compileNames(rules: readonly GateRule[]): (name: string) => string | null {
  const order = new Map(rules.map(({ pattern }, index) => [pattern, index]));
  const globs = rules.flatMap(({ pattern }, index) => (isGlob(pattern) ? [{ index, test: globTest(pattern) }] : []));
  const anyGlob = anyOf(globs);
  return (name) => {
    const plain = order.get(name) ?? rules.length;
    const glob = anyGlob?.test(name) === true ? (globs.find(({ test }) => test.test(name))?.index ?? rules.length) : rules.length;
    return rules[Math.min(plain, glob)]?.reason ?? null;
  };
}

function reasonBelow(led: Led, names: readonly string[]): string | null {
  const seen = new Set<string>();
  for (const [at, name] of names.entries()) {
    const rules = led(name);
    if (rules === null) continue;
    const reason = reasonAt(rules, names, at, !seen.has(name));
    if (reason !== null) return reason;
    seen.add(name);
  }
  return null;
}

/** From a later place a pattern that goes on with `**` matches nothing that it did not from the first. */
function reasonAt(rules: readonly Compiled[], names: readonly string[], at: number, first: boolean): string | null {
  return rules.find(({ parts }) => (first || parts[1] !== '**') && matches(parts, 0, names, at))?.reason ?? null;
}

function matches(parts: readonly Part[], from: number, names: readonly string[], start: number): boolean {
  let at = start;
  for (let index = from; index < parts.length; index++, at++) {
    const part = parts[index];
    if (part === '**') return index === parts.length - 1 || anywhere(parts, index + 1, names, at);
    const name = names[at];
    if (name === undefined || part === undefined || !part(name)) return false;
  }
  return at === names.length;
}

function anywhere(parts: readonly Part[], from: number, names: readonly string[], start: number): boolean {
  for (let at = start; at < names.length; at++) if (matches(parts, from, names, at)) return true;
  return false;
}

function partOf(pattern: string): Part {
  if (pattern === '**') return '**';
  if (!isGlob(pattern)) return (name) => name === pattern;
  let test: RegExp | null = null;
  return (name) => (test ??= globTest(pattern)).test(name);
}

function isGlob(pattern: string): boolean {
  return /[*?{[]/.test(pattern);
}

/** `s`: a name may hold a newline, which must not end the match. */
function globTest(pattern: string): RegExp {
  return new RegExp(picomatch.makeRe(pattern, { dot: true }).source, 's');
}

/** `.a/b/**` needs `.a` and `.a/b` to be directories. */
function directoriesOf(pattern: string): string[] {
  const parts = pattern.split('/');
  const dirs = parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('/'));
  return dirs.filter((dir) => !dir.endsWith('**'));
}
