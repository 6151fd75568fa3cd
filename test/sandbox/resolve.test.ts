import { writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import { absolutePath, refuseMistyped, resolveOnly, resolveTag } from '../../src/sandbox/resolve.js';
import { writeRecord } from '../../src/sandbox/store.js';
import { tempDir } from '../kernel/temp.js';
import { codeOf, make, storeIn } from './made.js';

describe('resolveTag', () => {
  const loose = { certain: false };
  const just = (...words: string[]) => ({ tag: null, words: words.map(fromText), after: [] });

  test('takes the newest sandbox of this directory or one above', () => {
    const dir = tempDir();
    const store = storeIn(dir, `${dir}/project/src`);
    writeRecord(store, { ...make(store, 'old', `${dir}/project`), created: '2025-01-01T00:00:00.000Z' });
    writeRecord(store, { ...make(store, 'new', `${dir}/project/src`), created: '2025-01-02T00:00:00.000Z' });
    writeRecord(store, { ...make(store, 'other', `${dir}/pro`), created: '2025-01-03T00:00:00.000Z' });

    const { record, paths } = resolveTag(store, just('a.c', '../b'), loose);

    expect(record.tag).toBe('new');
    expect(paths).toEqual([`${dir}/project/src/a.c`, `${dir}/project/b`]);
    expect(codeOf(() => resolveTag(store, just(), { certain: true }))).toBe('AFW_USAGE');
  });

  test('takes the one that runs, where only those are meant', () => {
    const dir = tempDir();
    const store = storeIn(dir, dir);
    for (const tag of ['one', 'two', 'three']) writeRecord(store, { ...make(store, tag, dir), state: tag === 'two' ? 'running' : 'stopped' });
    const none = storeIn(tempDir(), dir);

    expect(resolveOnly(store, just(), { certain: true, running: true }).tag).toBe('two');
    expect(codeOf(() => resolveOnly(none, just(), { certain: true, running: true }))).toBe('AFW_NO_SANDBOX');
  });

  test('takes the first word as a tag, unless a file has that name', () => {
    const dir = tempDir();
    const store = storeIn(dir, dir);
    make(store, 'fix');
    expect(resolveTag(store, just('fix', 'x'), loose)).toMatchObject({ record: { tag: 'fix' }, paths: [`${dir}/x`] });

    writeFileSync(`${dir}/fix`, '');

    expect(codeOf(() => resolveTag(store, just('fix'), loose))).toBe('AFW_USAGE');
    expect(resolveTag(store, { tag: 'fix', words: [fromText('fix')], after: [] }, loose)).toMatchObject({ record: { tag: 'fix' }, paths: [`${dir}/fix`] });
  });

  test('says that there is none', () => {
    const dir = tempDir();

    expect(() => resolveTag(storeIn(dir, dir), just('fixx'), loose)).toThrow('no sandbox fixx');
  });

  test('says of a mistyped tag that there is none, and which is near', () => {
    const dir = tempDir();
    const store = storeIn(dir, dir);
    make(store, 'fix-login', dir);
    const resolved = resolveTag(store, just('fix-logn'), loose);

    expect(() => refuseMistyped(resolved, resolved.paths)).toThrow(expect.objectContaining({ hint: 'Did you mean fix-login?' }));
    expect(() => resolveOnly(store, just('fix-logn'), loose)).toThrow(expect.objectContaining({ code: 'AFW_NO_SANDBOX', hint: 'Did you mean fix-login?' }));
    expect(() => resolveOnly(store, just('elsewhere'), loose)).toThrow(expect.objectContaining({ hint: 'List them: agentfw list' }));

    make(store, 'other', dir);
    writeFileSync(`${dir}/file`, '');

    expect(() => resolveTag(store, just('fix-logn'), { certain: true })).toThrow(/^There is no sandbox fix-logn, and several sandboxes were started here: /);
    expect(() => resolveTag(store, just('file'), { certain: true })).toThrow(/^Several sandboxes were started here: /);
  });
});

test('CW22: `absolutePath` resolves `..` by words and never leaves the root', () => {
  expect(absolutePath(fromText('/a/b'), fromText('../../../etc/./x//y'))).toBe('/etc/x/y');
  expect(absolutePath(fromText('/a'), fromText('/'))).toBe('/');
  expect(absolutePath(fromText('/a'), fromText('.'))).toBe('/a');
  expect(() => absolutePath(fromText('/a'), fromText(''))).toThrow('A path is empty.');
});
