/** The matcher keeps what it knows of a directory: no path may depend on which came before. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fromText, type Bytes } from '../../src/bytes.js';
import { matchesAny } from '../../src/policy/engine.js';
import { fold, pathMatcher, type MatchMode } from '../../src/policy/match.js';
import { globSource, type PathPattern } from '../../src/policy/pattern.js';
import { segmentTest } from '../../src/policy/segments.js';

const pattern = (base: string, glob: string, tree = false): PathPattern => ({ base, glob, tree }) as PathPattern;
const PATTERNS: readonly (readonly [PathPattern, number])[] = [
  pattern('/a', ''), pattern('/a/b', '', true), pattern('/', '**/c'), pattern('/', '**/c', true), pattern('/', '**/b/c'), pattern('/', '**/a/**/d', true),
  pattern('/a', '*/b'), pattern('/a/a', '**/*.d', true), pattern('/', '*'), pattern('/', '**/*.b'), pattern('/', ''),
].map((one, index) => [one, index] as const);
const sorted = (values: readonly number[]): number[] => [...values].sort((x, y) => x - y);

test.each(['exact', 'covering'] as const)('each path is judged as by a new matcher: %s', (mode) => {
  const part = fc.constantFrom('/', '/a', '/b', '/c', '/d', '/a.d', '/x.b', '/A', '/.');
  const path = fc.array(part, { minLength: 1, maxLength: 8 }).map((parts) => parts.join('') as Bytes);
  fc.assert(fc.property(fc.array(path, { maxLength: 12 }), (paths) => {
    const matcher = pathMatcher(PATTERNS, mode);
    for (const one of paths) expect(sorted(matcher.all(one))).toEqual(sorted(pathMatcher(PATTERNS, mode).all(one)));
  }), { numRuns: 500 });
});

/** One expression over the whole path: slow, and without anything that is kept. */
function matchesAlone({ base, glob, tree }: PathPattern, path: Bytes, mode: MatchMode): boolean {
  const covering = mode === 'covering';
  const test = (spell: (text: Bytes) => string): boolean => {
    const [above, whole] = [base === '/' ? '' : spell(fromText(base)), spell(path)];
    if (glob === '') return whole === above || ((covering || tree) && whole.startsWith(`${above}/`));
    return whole.startsWith(`${above}/`) && new RegExp(`^${globSource(spell(fromText(glob)))}${covering || tree ? '(?:/.*)?' : ''}$`, 's').test(whole.slice(above.length + 1));
  };
  return covering ? test(fold) || test((text) => text) : test((text) => text);
}

test.each(['exact', 'covering'] as const)('each path is matched as by an expression of its own: %s', (mode) => {
  const part = fc.constantFrom('a', 'B', '*', 'a*', '*.d', '?', '[ab]', '[!a]', '[a-c_]*', '[.-b]', '[]a]', '\\[a]', '**', '.*', 'x*y', 'É', '*é');
  const anyPattern = fc.record({ base: fc.constantFrom('/', '/a', '/a/b', '/a/A'), glob: fc.array(part, { maxLength: 3 }).map((parts) => parts.join('/')).filter((glob) => !glob.endsWith('**')), tree: fc.boolean() })
    .map(({ base, glob, tree }) => pattern(base, glob, tree));
  const path = fc.array(fc.constantFrom('a', 'b', 'B', 'ab', 'a.d', 'xy', '.a', 'é', 'É', 'ba'), { minLength: 1, maxLength: 5 }).map((parts) => fromText(`/${parts.join('/')}`));
  fc.assert(fc.property(fc.array(anyPattern, { minLength: 1, maxLength: 6 }), fc.array(path, { minLength: 1, maxLength: 12 }), (patterns, paths) => {
    const matcher = pathMatcher(patterns.map((one, index): [PathPattern, number] => [one, index]), mode);
    for (const one of paths) expect([one, sorted(matcher.all(one))]).toEqual([one, patterns.flatMap((other, index) => (matchesAlone(other, one, mode) ? [index] : []))]);
  }), { numRuns: 2000 });
});

test('a pattern for one name is done with in the directory below its own, also with a class of letters', () => {
  const within = (glob: string) => pathMatcher([[pattern('/a', glob), 'rule']], 'covering').within(fromText('/a/b'));
  for (const glob of ['.*[_-]history*', 'x[a-z0-9.]', '[xy]', 'c[~]*', '.a[-._~]*', 'b[~ ,(]*']) expect([glob, within(glob)]).toEqual([glob, []]);
  expect(within('[a-c]')).toEqual(['rule']);
  // There the class may be a slash, and what is above it another directory.
  for (const glob of ['[!_]', 'x[.-~]y', '[+-0]', '[ -~]', '[--0]', '[]/]']) expect([glob, within(glob)]).toEqual([glob, null]);
});

test('a tree of 4,000 levels is judged level by level (CW20)', () => {
  const matcher = pathMatcher([[pattern('/top', '', true), 'tree'], [pattern('/', '**/end'), 'name']], 'covering');
  let path = '/top';
  for (let level = 0; level < 4000; level += 1) {
    path += '/d';
    expect(matcher.all(fromText(path))).toEqual(['tree']);
  }
  expect(matcher.all(fromText(`${path}/end`)).sort()).toEqual(['name', 'tree']);
});

test('name by name, a pattern matches what its expression matches', () => {
  const part = fc.constantFrom('a', 'b', '*', 'a*', '?', '[ab]', '**', '.*', 'a*b', '\\*', '*a*', '*a*b', '*[!a]*b*', 'a*?*[ab]b*', '*\\**a', '*.*b');
  const glob = fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('/'));
  const path = fc.array(fc.oneof(fc.constantFrom('a', 'b', 'ab', '.a', '*', 'axb'), fc.string({ unit: fc.constantFrom('a', 'b', '.', '*'), minLength: 3, maxLength: 9 })), { maxLength: 6 }).map((names) => names.join('/'));
  fc.assert(fc.property(glob, fc.boolean(), path, (text, tree, one) => {
    fc.pre(!text.endsWith('**'));
    const expression = new RegExp(`^${globSource(text)}${tree ? '(?:/.*)?' : ''}$`, 's');
    expect(segmentTest(text, tree)(one), `${text} ${one}`).toBe(expression.test(one));
  }), { numRuns: 5000 });
});

test('many `**` take no longer than one: a project may bring such a pattern, and an agent such paths', () => {
  const matcher = pathMatcher([[pattern('/p', `${'**/a*/'.repeat(40)}x`), true]], 'covering');
  const began = performance.now();

  expect(matcher.all(fromText(`/p${'/a'.repeat(1000)}/y`))).toEqual([]);
  expect(matcher.all(fromText(`/p${'/a'.repeat(1000)}/x/y`))).toEqual([true]);
  expect(performance.now() - began).toBeLessThan(5000);
});

test('nor do many `*` in one name, of a path or of a variable', () => {
  const matcher = pathMatcher([[pattern('/p', '*a*a*a*b', true), true]], 'covering');
  const variables = [`${'*A'.repeat(30)}*B`];
  const began = performance.now();

  for (let index = 0; index < 1000; index += 1) expect(matcher.all(fromText(`/p/${index}${'a'.repeat(250)}`))).toEqual([]);
  expect(matcher.all(fromText(`/p/${'a'.repeat(250)}b/x`))).toEqual([true]);
  expect(matchesAny(variables, 'A'.repeat(1000))).toBe(false);
  expect(matchesAny(variables, `${'A'.repeat(1000)}B`)).toBe(true);
  expect(matchesAny(['*[A*B*\\C'], 'x[AyBz\\C')).toBe(true);
  expect(performance.now() - began).toBeLessThan(5000);
});

test.each([['Straße', 'STRASSE'], ['STRAẞE', 'strasse'], ['σας', 'ΣΑΣ'], ['ΟΔΌΣ', 'οδόσ'], ['ŉ', 'ʼN'], ['ᲀ', 'В']])('%s and %s are one name where case is folded in full', (one, other) => {
  expect(fold(fromText(one))).toBe(fold(fromText(other)));
  expect(pathMatcher([[pattern('/p', one), true]], 'covering').all(fromText(`/p/${other}/x`))).toEqual([true]);
});
