/** The matcher keeps what it knows of a directory: no path may depend on which came before. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fromText, type Bytes } from '../../src/bytes.js';
import { pathMatcher } from '../../src/policy/match.js';
import type { PathPattern } from '../../src/policy/pattern.js';

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

test('a tree of 4,000 levels is judged level by level (CW20)', () => {
  const matcher = pathMatcher([[pattern('/top', '', true), 'tree'], [pattern('/', '**/end'), 'name']], 'covering');
  let path = '/top';
  for (let level = 0; level < 4000; level += 1) {
    path += '/d';
    expect(matcher.all(fromText(path))).toEqual(['tree']);
  }
  expect(matcher.all(fromText(`${path}/end`)).sort()).toEqual(['name', 'tree']);
});
