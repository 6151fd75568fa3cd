import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import { canonHost, hostMatches, parseHostPattern } from '../../src/policy/host.js';
import { parsePolicy } from '../../src/policy/load.js';
import { pathMatcher } from '../../src/policy/match.js';
import { expandPattern, literalPattern, parsePattern } from '../../src/policy/pattern.js';
import { HOME, PROJECT } from './make.js';

const roots = { home: HOME, project: PROJECT };
const piece = fc.constantFrom('a', 'B', '*', '?', '[ab]', '[!a]', '**', '/', '.', '..', '~', '{', '}', ',', '(', ')', '|', '+', '@', '$', '^', '!', '"', '\\', '\\*', 'é', ' ', '.env');
const patternText = fc.array(piece, { maxLength: 12 }).chain((parts) => fc.constantFrom('~/', './', '/', '**/', '').map((start) => start + parts.join('')));
const name = fc.string({ unit: 'binary', minLength: 1, maxLength: 6 }).filter((text) => !/[/\u0000]/.test(text) && text !== '.' && text !== '..');

describe('no input breaks it', () => {
  test('a text is a policy, empty, or has problems with a place', async () => {
    const yaml = fc.oneof(fc.string(), fc.array(fc.constantFrom('version: 1\n', 'files:', ' hide:', ' - ', '{', '}', '[', ']', '"', '~', '*x', '&y', '!z', '\n', ': ', 'path', '# c', '<<: ', '\t', 'no', '0x1', '- - ', '? ', '---\n')).map((parts) => parts.join('')));

    await fc.assert(fc.asyncProperty(yaml, async (text) => {
      const parsed = await parsePolicy('p', text);
      if (parsed.kind === 'invalid') {
        expect(parsed.problems.length).toBeGreaterThan(0);
        for (const { line, col } of parsed.problems) expect(line >= 1 && col >= 1).toBe(true);
      }
    }), { numRuns: 1000 });
  });

  test('a pattern that is accepted compiles in both modes', () => {
    fc.assert(fc.property(patternText, fc.array(name, { maxLength: 4 }), (text, names) => {
      if (!parsePattern(text).ok) return;
      const entries = expandPattern(text, roots, true).map((pattern) => [pattern, true] as const);
      const path = fromText(`/${names.join('/')}`);

      for (const mode of ['exact', 'covering'] as const) pathMatcher(entries, mode).all(path);
    }), { numRuns: 3000 });
  });

  test('the literal pattern of a path stands for that path, whatever characters it has', () => {
    const odd = fc.oneof(name, fc.array(fc.constantFrom('*', '[', ']', '{', '}', ',', '!', '\\', '~', '\n', '\u202e', 'ä', 'd'), { minLength: 1, maxLength: 9 }).map((parts) => parts.join('')));
    fc.assert(fc.property(fc.array(odd, { minLength: 1, maxLength: 4 }), (names) => {
      const path = `/${names.join('/')}`;
      const text = literalPattern(path);

      expect(parsePattern(text)).toMatchObject({ ok: true });
      expect(expandPattern(text, roots, true)).toMatchObject([{ base: path, glob: '' }]);
    }), { numRuns: 1000 });
  });

  test('what a pattern covers, it covers with all below', () => {
    fc.assert(fc.property(patternText, fc.array(name, { minLength: 1, maxLength: 3 }), name, (text, names, below) => {
      if (!parsePattern(text).ok) return;
      const matcher = pathMatcher(expandPattern(text, roots, true).map((pattern) => [pattern, true] as const), 'covering');
      const path = fromText(`${PROJECT}/${names.join('/')}`);

      if (matcher.all(path).length > 0) expect(matcher.all(fromText(`${PROJECT}/${names.join('/')}/${below}`)).length).toBe(1);
    }), { numRuns: 3000 });
  });

  test('what matches exactly is also covered', () => {
    fc.assert(fc.property(patternText, fc.array(fc.oneof(name, fc.constantFrom('a', 'B', 'aB', '.env', 'é')), { minLength: 1, maxLength: 3 }), fc.constantFrom(HOME, PROJECT, ''), (text, names, start) => {
      if (!parsePattern(text).ok) return;
      const entries = expandPattern(text, roots, true).map((pattern) => [pattern, true] as const);
      const path = fromText(`${start}/${names.join('/')}`);

      if (pathMatcher(entries, 'exact').all(path).length > 0) expect(pathMatcher(entries, 'covering').all(path).length).toBe(1);
    }), { numRuns: 3000 });
  });

  test('a host is canonical once and for all, and no rule for it matches another', () => {
    fc.assert(fc.property(fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6(), fc.string()), fc.domain(), (text, other) => {
      const host = canonHost(text);
      if (host.kind === 'bad') return;
      const again = canonHost(host.kind === 'ip' ? host.ip : host.name);
      const parsed = parseHostPattern(other, null);

      expect(again).toEqual(host);
      if (parsed.ok && host.kind === 'name' && host.name !== other.toLowerCase()) expect(hostMatches(parsed.pattern, host)).toBe(false);
    }), { numRuns: 2000 });
  });
});
