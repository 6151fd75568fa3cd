/** The search for names: never fewer than match, whatever the names are made of. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import fc from 'fast-check';
import { fromText, nameOf, toBuffer, type Bytes } from '../../src/bytes.js';
import { findNames } from '../../src/kernel/native.js';
import { nameFilter, nameMatcher } from '../../src/policy/match.js';
import { parsePattern, type PathPattern } from '../../src/policy/pattern.js';

let top: string;
beforeAll(() => {
  top = mkdtempSync(join(tmpdir(), 'agentfw-find-'));
});
afterAll(() => rmSync(top, { recursive: true, force: true }));

const pattern = (name: string): PathPattern => ({ text: name, base: '/', glob: `**/${name}`, tree: false });
const search = (dir: string, names: readonly string[], more: Partial<Parameters<typeof findNames>[0]> = {}): ReturnType<typeof findNames> =>
  findNames({ roots: [fromText(dir)], filter: nameFilter(names.map(pattern)), skip: [], avoid: [], limit: 1e6, ...more });

test('every name that a pattern names is told', () => {
  const pieces = ['.env', 'ENV', '.', 'pem', '.PEM', 'key', 'a', 'É', '\u212a', 'ﬁ', '\u200b', ' ', '*', '?', '[', 'secrets', 'json', '-', 'tfstate', 'id_rsa'];
  const text = fc.array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 4 }).map((parts) => parts.join(''));
  const globs = fc.array(fc.constantFrom('.env', '*', '?', '[a-k]', '[!a]', '.*', '*.pem', 'key', 'fi', 'k', '\\*', '.tfstate.', 'é', 'secrets'), { minLength: 1, maxLength: 3 }).map((parts) => parts.join('')).filter((name) => parsePattern(`**/${name}`).ok && !name.includes('**'));
  let run = 0;
  fc.assert(fc.property(fc.array(text, { minLength: 1, maxLength: 12 }), fc.array(globs, { minLength: 1, maxLength: 3 }), (names, patterns) => {
    const dir = join(top, `p${(run += 1)}`);
    mkdirSync(dir);
    const made = new Set(names.filter((name) => name !== '.' && name !== '..'));
    for (const name of made) writeFileSync(join(dir, name), '');
    const told = new Set(search(dir, patterns).paths.map(nameOf));
    const matcher = nameMatcher(patterns.map((name): [PathPattern, true] => [pattern(name), true]));

    for (const name of made) if (matcher.named(fromText(name)).length > 0) expect(told).toContain(fromText(name));
  }), { numRuns: 300 });
});

test('names that are no text, directories, and what is not entered', () => {
  const dir = join(top, 'tree');
  for (const path of ['a/b/c', 'skipped/b', 'avoided/b', '.git']) mkdirSync(join(dir, path), { recursive: true });
  for (const path of ['a/b/c/x.pem', 'skipped/x.pem', 'avoided/x.pem', 'avoided/b/x.pem', 'other.txt']) writeFileSync(join(dir, path), '');
  writeFileSync(Buffer.concat([Buffer.from(`${dir}/`), Buffer.from([0xff, 0x2e, 0x70])]), '');
  symlinkSync(join(dir, 'a'), join(dir, 'link'));
  const { paths, entries, unread } = search(dir, ['*.pem', 'c'], { skip: [fromText('skipped')], avoid: [fromText(join(dir, 'avoided'))] });

  expect(paths.map((path) => toBuffer(path).subarray(dir.length + 1).toString('latin1'))).toEqual(['a/b/c', 'a/b/c/x.pem', '\u00ff.p']);
  expect({ entries, unread }).toEqual({ entries: 10, unread: [] });
});

test('a wide tree is seen whole, by however many threads, and a limit ends the search', () => {
  const dir = join(top, 'wide');
  for (let n = 0; n < 300; n += 1) {
    mkdirSync(join(dir, `${n % 17}`, `d${n}`), { recursive: true });
    writeFileSync(join(dir, `${n % 17}`, `d${n}`, '.env'), '');
  }

  for (let n = 0; n < 20; n += 1) expect(search(dir, ['.env']).paths).toHaveLength(300);
  expect(search(dir, ['.env'], { limit: 10 }).entries).toBeLessThan(300);
  expect(search(join(dir, 'none'), ['.env'])).toEqual({ paths: [], closed: [], entries: 0, unread: [] });
});

test('no pattern finds nothing but what is beyond ASCII', () => {
  const dir = join(top, 'none');
  mkdirSync(dir);
  for (const name of ['a', '.env', 'é']) writeFileSync(join(dir, name), '');

  expect(findNames({ roots: [fromText(dir)], filter: { literals: [], endings: [], pieces: [] }, skip: [], avoid: [], limit: 10 }).paths.map(nameOf)).toEqual([fromText('é') as Bytes]);
});
