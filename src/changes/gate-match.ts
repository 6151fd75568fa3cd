import picomatch from 'picomatch';
import type { GateRule } from './control-list.js';

/** One list of the gate, compiled: the reason for a folded path, null when no pattern matches. */
export interface GateList {
  readonly reasonFor: (folded: string) => string | null;
  /** for what stands where a pattern expects a directory, and is none: a symlink brings in anything */
  readonly reasonForDirectory: (folded: string) => string | null;
}

export function compileGate(rules: readonly GateRule[]): GateList {
  const dirs = rules.flatMap(({ pattern, reason }) => directoriesOf(pattern).map((dir) => ({ pattern: dir, reason })));
  return { reasonFor: compile(rules), reasonForDirectory: compile(dirs) };
}

/** True when a pattern of the list matches the folded path. */
export function compilePatterns(patterns: readonly string[]): (folded: string) => boolean {
  const match = compile(patterns.map((pattern) => ({ pattern, reason: pattern })));
  return (folded) => match(folded) !== null;
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
function compile(rules: readonly GateRule[]): (folded: string) => string | null {
  const byName: Compiled[] = [];
  const byFirst = new Map<string, Compiled[]>();
  for (const { pattern, reason } of rules) {
    const names = pattern.split('/');
    const compiled = { parts: names.map(partOf), reason };
    if (names.length === 1) byName.push(compiled);
    // A pattern of several names begins with a plain one, by which it is found.
    else byFirst.set(names[0] ?? '', [...(byFirst.get(names[0] ?? '') ?? []), compiled]);
  }
  return (folded) => {
    const names = folded.split('/');
    const last = names.slice(-1);
    return reasonAt(byName, last, 0, true) ?? reasonBelow(byFirst, names);
  };
}

function reasonBelow(byFirst: ReadonlyMap<string, readonly Compiled[]>, names: readonly string[]): string | null {
  const seen = new Set<string>();
  for (const [at, name] of names.entries()) {
    const rules = byFirst.get(name);
    if (rules === undefined) continue;
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
  if (!/[*?{[]/.test(pattern)) return (name) => name === pattern;
  // `s`: a name may hold a newline, which must not end the match.
  const test = new RegExp(picomatch.makeRe(pattern, { dot: true }).source, 's');
  return (name) => test.test(name);
}

/** `.a/b/**` needs `.a` and `.a/b` to be directories. */
function directoriesOf(pattern: string): string[] {
  const parts = pattern.split('/');
  const dirs = parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('/'));
  return dirs.filter((dir) => !dir.endsWith('**'));
}
