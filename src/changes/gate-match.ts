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
  return { reasonFor: firstReason(rules), reasonForDirectory: firstReason(dirs) };
}

/** True when a pattern of the list matches the folded path. */
export function compilePatterns(patterns: readonly string[]): (folded: string) => boolean {
  const any = union(patterns);
  return (folded) => any.test(folded);
}

function firstReason(rules: readonly GateRule[]): (folded: string) => string | null {
  // Nearly every path matches nothing: one test says so.
  const any = union(rules.map((rule) => rule.pattern));
  const each = rules.map((rule) => ({ test: union([rule.pattern]), reason: rule.reason }));
  return (folded) => (any.test(folded) ? (each.find(({ test }) => test.test(folded))?.reason ?? null) : null);
}

/** `s`: a name may hold a newline, which must not end the match. */
function union(patterns: readonly string[]): RegExp {
  const sources = patterns.map((pattern) => picomatch.makeRe(`**/${pattern}`, { dot: true }).source);
  return new RegExp(sources.length === 0 ? '$.' : sources.map((source) => `(?:${source})`).join('|'), 's');
}

/** `.a/b/**` needs `.a` and `.a/b` to be directories. */
function directoriesOf(pattern: string): string[] {
  const parts = pattern.split('/');
  const dirs = parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('/'));
  return dirs.filter((dir) => !dir.endsWith('**'));
}
