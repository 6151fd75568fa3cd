import { fromText } from '../bytes.js';
import { GRANTS, type RuleText } from './document.js';
import { canonHost, hostMatches, parseHostPattern, type HostPattern } from './host.js';
import { pathMatcher } from './match.js';
import { expandPattern, parsePattern } from './pattern.js';

/** An example of a rule that doesn't hold; `index` in its list, from 0. */
export interface ExampleProblem {
  readonly key: 'match' | 'not';
  readonly index: number;
  readonly why: string;
}

/** Checks a rule's own examples with the matchers that enforcement uses. */
export function checkExamples(rule: RuleText, match: readonly string[], not: readonly string[]): ExampleProblem[] {
  if (match.length + not.length === 0) return [];
  const matches = rule.list.startsWith('network.') ? hostTest(rule) : pathTest(rule);
  const check = (key: 'match' | 'not', texts: readonly string[]): ExampleProblem[] =>
    texts.flatMap((text, index) => {
      const result = matches(text);
      if (typeof result === 'string') return [{ key, index, why: result }];
      return result === (key === 'match') ? [] : [{ key, index, why: `the rule ${result ? 'matches' : 'does not match'} its example \`${text}\`` }];
    });
  return [...check('match', match), ...check('not', not)];
}

/** Any home and project do: patterns and examples are expanded alike. */
const ROOTS = { home: '/home/user', project: '/home/user/project' };

function pathTest(rule: RuleText): (text: string) => boolean | string {
  const grants = GRANTS.has(rule.list);
  const entries = (texts: readonly string[], withholds: boolean) => texts.flatMap((text) => expandPattern(text, ROOTS, withholds)).map((pattern) => [pattern, true] as const);
  const subject = pathMatcher(entries(rule.subjects, !grants), grants ? 'exact' : 'covering');
  const holes = pathMatcher(entries(rule.except, grants), grants ? 'covering' : 'exact');
  return (text) => {
    if (!parsePattern(text).ok) return `the example \`${text}\` is not a path`;
    const path = fromText(expandPattern(text.replace(/[*?[{}]/g, '\\$&'), ROOTS, false)[0]?.base ?? '/');
    return subject.all(path).length > 0 && holes.all(path).length === 0;
  };
}

function hostTest(rule: RuleText): (text: string) => boolean | string {
  const parse = (texts: readonly string[]): HostPattern[] => texts.flatMap((text) => {
    const parsed = parseHostPattern(text, null);
    return parsed.ok ? [parsed.pattern] : [];
  });
  const [subjects, holes] = [parse(rule.subjects), parse(rule.except)];
  return (text) => {
    const host = canonHost(text);
    if (host.kind === 'bad') return host.why;
    return subjects.some((pattern) => hostMatches(pattern, host)) && !holes.some((pattern) => hostMatches(pattern, host));
  };
}
