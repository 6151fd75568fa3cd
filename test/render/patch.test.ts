import { chmodSync, constants, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Bytes } from '../../src/bytes.js';
import { detectRenames } from '../../src/changes/scan/rename.js';
import { native } from '../../src/kernel/native.js';
import { quotePath } from '../../src/render/quote.js';
import { countLines, textDiff } from '../../src/render/text-diff.js';
import { changesOf, isRoot, layerOf, mark, mountedLayer, type Planted } from '../changes/layers.js';
import type { Tree } from '../kernel/plant.js';
import { b, openDir } from '../kernel/temp.js';
import { secondsOf } from '../helpers/effort.js';
import { applied, patchOf, treeOf, viewOf, withContents } from './trees.js';

const numbers = (count: number): string => Array.from({ length: count }, (_, i) => `${i}\n`).join('');

/** The patch turns the host into the view, and `-R` back again. */
function roundTrip(planted: Planted): string {
  const { text, omitted } = patchOf(planted);
  const { after, back } = applied(planted, text);

  expect(omitted).toEqual([]);
  expect(after).toEqual(viewOf(planted));
  expect(back).toEqual(treeOf(planted.base));
  return text;
}

describe('git applies and reverts', () => {
  test.each<[string, Tree, Tree]>([
    ['a new file', { f: 'one\ntwo\n' }, {}],
    ['a new empty file', { f: '' }, {}],
    ['a file that becomes empty', { f: '' }, { f: 'x\n' }],
    ['an empty file that gets content', { f: 'x\n' }, { f: '' }],
    ['a deletion', { f: null }, { f: 'x\n' }],
    ['a deletion of an empty file', { f: null }, { f: '' }],
    ['a change at the start', { f: `new\n${numbers(30)}` }, { f: numbers(30) }],
    ['a change at the end', { f: `${numbers(30)}new\n` }, { f: numbers(30) }],
    ['changes far apart', { f: numbers(90).replace('\n5\n', '\nfive\n').replace('\n80\n', '\n') }, { f: numbers(90) }],
    ['no newline before', { f: 'a\nb\n' }, { f: 'a\nb' }],
    ['no newline after', { f: 'a\nb' }, { f: 'a\nb\n' }],
    ['no newline on either side', { f: 'a\nc' }, { f: 'a\nb' }],
    ['a new file without newline', { f: 'a' }, {}],
    ['a deleted file without newline', { f: null }, { f: 'a' }],
    ['CRLF', { f: 'a\r\nc\r\n' }, { f: 'a\r\nb\r\n' }],
    ['CRLF to LF', { f: 'a\nb\n' }, { f: 'a\r\nb\r\n' }],
    ['carriage returns alone', { f: 'a\rb\rd\n' }, { f: 'a\rb\rc\n' }],
    ['trailing space and tabs', { f: 'a \t\n\t\n' }, { f: 'a\n\n' }],
    ['lines that look like a patch', { f: '--- a/x\n+++ b/x\n@@ -1 +1 @@\n-x\ndiff --git a/x b/x\n' }, { f: '-- x\n' }],
    ['UTF-8', { f: 'größe\n日本\n' }, { f: 'große\n' }],
    ['form feed and vertical tab', { f: 'a\fb\v\n' }, { f: 'a\n' }],
    ['U+2028, which is no end of line', { f: 'a\u2028b\n' }, { f: 'a\u2028c\n' }],
    ['binary', { f: 'a\0b' }, { f: 'a\0c\0\0' }],
    ['new binary', { f: 'a\0b' }, {}],
    ['deleted binary', { f: null }, { f: 'a\0b' }],
    ['text to binary', { f: 'a\0b' }, { f: 'text\n' }],
    ['binary to empty', { f: '' }, { f: '\0' }],
    ['a new symlink', { s: '-> to/there' }, {}],
    ['a changed symlink', { s: '-> b' }, { s: '-> a' }],
    ['a deleted symlink', { s: null }, { s: '-> dangling' }],
    ['file to symlink', { f: '-> x' }, { f: 'text\n' }],
    ['symlink to file', { f: 'text\n' }, { f: '-> x' }],
    ['file to directory', { 'f/in': 'x\n' }, { f: 'text\n' }],
    ['directory to file', { d: 'x\n' }, { 'd/a': '1\n', 'd/b/c': '2\n' }],
    ['directory to symlink', { d: '-> /etc' }, { 'd/a': '1\n' }],
    ['a deleted directory', { d: null }, { 'd/a': '1\n', 'd/b/c': '2\n', 'd/s': '-> a' }],
    ['new directories', { 'a/b/c/f': 'x\n' }, {}],
    ['space in names', { 'a b/c d': 'x\n', 'old name': 'y\n' }, { 'old name': 'z\n' }],
    ['quotes and backslashes', { 'a"b': 'x\n', 'c\\d': 'y\n', "e'f": 'z\n' }, {}],
    ['newline and tab in names (E101)', { 'a\nb': 'x\n', 'c\td': 'y\n', 'e f\tg': '1\n' }, {}],
    ['non-ASCII names', { 'größe/日本': 'x\n', '\u202egpj.exe': 'y\n' }, {}],
    ['names like options and headers', { '-rf': 'x\n', 'b/b': 'y\n', 'dev/null': 'z\n', ' lead': '1\n', 'trail ': '2\n' }, {}],
    ['many at once', { a: '1\n', b: null, 'c/d': '3\n', e: '\0' }, { a: '0\n', b: '2\n', e: 'e\n' }],
  ])('%s', (_, upper, base) => {
    roundTrip(layerOf(upper, base));
  });

  test.each<[string, number, number]>([['gained', 0o644, 0o755], ['lost', 0o755, 0o644]])('an executable bit %s', (_, before, after) => {
    const planted = layerOf({ f: 'x\n', g: 'new\n' }, { f: 'x\n', g: 'old\n' });
    for (const name of ['f', 'g']) {
      chmodSync(join(planted.base, name), before);
      chmodSync(join(planted.upper, name), after);
    }

    expect(roundTrip(planted)).toContain(`old mode 100${before.toString(8)}\nnew mode 100${after.toString(8)}\n`);
  });

  test('a new executable', () => {
    const planted = layerOf({ run: '#!/bin/sh\n' }, {});
    chmodSync(join(planted.upper, 'run'), 0o755);

    expect(roundTrip(planted)).toContain('new file mode 100755\n');
  });

  test('names that are no UTF-8 (E101)', () => {
    const planted = layerOf({}, {});
    native.symlink(b('t'), openDir(planted.upper), 'n\xff\xfe' as Bytes);

    expect(roundTrip(planted)).toContain('"b/n\\377\\376"');
  });

  test('all byte values, as text and as binary', () => {
    const bytes = Buffer.from(Array.from({ length: 1024 }, (_, i) => i % 256));
    const planted = layerOf({}, { text: 'x', binary: 'x' });
    writeFileSync(join(planted.upper, 'binary'), bytes);
    writeFileSync(join(planted.upper, 'text'), bytes.filter((byte) => byte !== 0));

    roundTrip(planted);
  });

  test('renames, with and without a changed mode', () => {
    const planted = layerOf({ old: null, 'new name': 'text\n', o2: null, n2: 'other\n' }, { old: 'text\n', o2: 'other\n' });
    chmodSync(join(planted.upper, 'n2'), 0o755);
    const found = withContents(planted, (contents) => detectRenames(changesOf(planted), { digestOf: contents.digest }));

    const { text } = patchOf(planted, found.changes, { parts: found.parts });

    expect(text).toContain('similarity index 100%\nrename from old\nrename to new name\n');
    expect(applied(planted, text).after).toEqual(viewOf(planted));
  });

  test('renamed trees, file by file', () => {
    const planted = layerOf({ old: null, 'new/a': '1\n', 'new/b/c': '2\n', 'new/s': '-> a' }, { 'old/a': '1\n', 'old/b/c': '2\n', 'old/s': '-> a' });
    const found = withContents(planted, (contents) => detectRenames(changesOf(planted), { digestOf: contents.digest }));

    const { text } = patchOf(planted, found.changes, { parts: found.parts });

    expect(found.changes).toHaveLength(1);
    expect(text.match(/^rename to /gm)).toHaveLength(3);
    expect(applied(planted, text).after).toEqual(viewOf(planted));
  });

  test.runIf(isRoot)('a directory that the kernel renamed (needs root)', () => {
    const planted = mountedLayer({ 'old/f': '1\n', 'old/g/h': '2\n' }, 'mv old new; echo 3 >new/f', 'trusted');

    const { after } = applied(planted, patchOf(planted).text);

    expect(after).toEqual({ 'new/f': 'file 3\n', 'new/g/h': 'file 2\n' });
  });

  test('an opaque directory (CW08)', () => {
    const planted = layerOf({ 'd/kept': '2\n' }, { 'd/kept': '1\n', 'd/gone': 'g\n', 'd/e/f': 'f\n' });
    mark(planted.upper, 'd', 'user.overlay.opaque', 'y');

    expect(applied(planted, patchOf(planted).text).after).toEqual({ 'd/kept': 'file 2\n' });
  });

  test('directories that come or go without a file in them are left out by name; others come and go with their files', () => {
    const planted = layerOf(
      { 'new/sub/': '', 'full/sub/f': 'f\n', 'full/lone/': '', turned: null, gone: null, moved: null, 'there/f': 'moved\n', 'there/lone/': '' },
      { turned: 'file\n', 'gone/f': 'f\n', 'gone/lone/': '', 'moved/f': 'moved\n', 'moved/lone/': '' },
    );
    rmSync(join(planted.upper, 'turned'));
    mkdirSync(join(planted.upper, 'turned'));

    const { text, omitted } = patchOf(planted);
    const [come, stays] = ['git knows no directory without files', 'git apply leaves directories without files'];
    expect(omitted.sort()).toEqual([`full/lone: ${come}`, `gone/lone: ${stays}`, `moved/lone: ${stays}`, `new/sub: ${come}`, `new: ${come}`, `there/lone: ${come}`, `turned: ${come}`]);
    expect(applied(planted, text).after).toEqual({ 'full/sub/f': 'file f\n', 'there/f': 'file moved\n' });
  });

  test('a file in the place of directories without files is left out by name: git would stop half-way', () => {
    const planted = layerOf({ d: 'x\n', e: '-> a', g: 'x\n', z: 'new\n' }, { 'd/a': '1\n', 'd/sub/b': '2\n', 'e/f': '1\n', 'g/sub/f': '1\n', z: 'old\n' });
    for (const dir of ['d/sub/empty', 'e/empty/deep']) mkdirSync(join(planted.base, dir), { recursive: true });

    const { text, omitted } = patchOf(planted);

    const why = 'git apply leaves directories without files standing in its place';
    expect(omitted).toEqual([`d: ${why}`, `e: ${why}`]);
    expect(applied(planted, text).after).toEqual({ g: 'file x\n', z: 'file new\n' });
  });

  test('random pairs of texts', () => {
    const line = fc.constantFrom('', 'a', 'b', 'c', 'a', '\r', '-', '+x', ' ', '\\', '\u00e9', '@@');
    const text = fc.tuple(fc.array(line, { maxLength: 40 }), fc.boolean()).map(([lines, ended]) => lines.join('\n') + (ended ? '\n' : ''));
    const pairs = fc.array(fc.tuple(text, text), { minLength: 60, maxLength: 60 });

    fc.assert(
      fc.property(pairs, (list) => {
        const planted = layerOf({}, {});
        for (const [index, [before, after]] of list.entries()) {
          writeFileSync(join(planted.base, `f${index}`), before);
          writeFileSync(join(planted.upper, `f${index}`), after);
        }
        roundTrip(planted);
        rmSync(planted.dir, { recursive: true });
      }),
      { numRuns: 15 },
    );
  });

  test('random bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 200 })), { minLength: 20, maxLength: 20 }), (list) => {
        const planted = layerOf({}, {});
        for (const [index, [before, after]] of list.entries()) {
          writeFileSync(join(planted.base, `f${index}`), before);
          writeFileSync(join(planted.upper, `f${index}`), after);
        }
        roundTrip(planted);
        rmSync(planted.dir, { recursive: true });
      }),
      { numRuns: 10 },
    );
  });
});

describe('huge texts', () => {
  const words = (count: number, seed: number): string => Array.from({ length: count }, (_, i) => `${(i * seed) % 7919}\n`).join('');

  test('that share nothing are one hunk, in bounded time', () => {
    const planted = layerOf({ f: words(40_000, 31) }, { f: words(40_000, 17) });
    let text = '';

    const seconds = secondsOf(() => { text = roundTrip(planted); });

    expect(text.match(/^@@ /gm)?.length).toBe(1);
    expect(seconds).toBeLessThan(80);
  });

  test('with a thousand places that changed have as many hunks', () => {
    const lines = Array.from({ length: 20_000 }, (_, at) => `line ${at}\n`);
    const edited = lines.map((line, at) => (at % 20 === 10 ? `changed ${at}\n` : line));
    const planted = layerOf({ f: edited.join(''), g: `${edited.slice(9000).join('')}${edited.slice(0, 9000).join('')}` }, { f: lines.join(''), g: lines.join('') });

    const text = roundTrip(planted);

    expect(text.match(/^@@ /gm)?.length).toBeGreaterThanOrEqual(1500);
    expect(textDiff(lines.join(''), edited.join(''))).toHaveLength(1000);
  });

  test('beyond what is compared line by line keep what is equal at both ends', () => {
    const base = words(1_200_000, 13);
    const planted = layerOf({ f: base.replace('\n1300\n', '\nchanged\n') }, { f: base });

    const text = roundTrip(planted);

    expect(text.length).toBeLessThan(1000);
  });

  test.each([
    ['', 'a\nb\n'], ['a\nb\n', ''], ['a', 'b'], ['a\nx\nb\n', 'a\ny\nb\n'], ['a\n', 'a'], ['same\n', 'same\nmore\n'], ['a\na\n', 'a\na\na\n'],
  ])('the one-hunk form of %j and %j applies', (before, after) => {
    const filler = words(1_100_000, 3);
    const planted = layerOf({ f: filler + after }, { f: filler + before });

    roundTrip(planted);
  });
});

describe('what a patch can not hold', () => {
  test('is said, not dropped', () => {
    const planted = layerOf({ big: 'x'.repeat(100), f: 'x\n', 'd/': '', g: 'x\n' }, { f: 'x\n', 'd/': '' });
    native.mknod(openDir(planted.upper), b('fifo'), constants.S_IFIFO | 0o600, 0);
    chmodSync(join(planted.upper, 'f'), 0o600);
    chmodSync(join(planted.base, 'f'), 0o644);
    chmodSync(join(planted.upper, 'd'), 0o700);

    expect(patchOf(planted, undefined, { limit: 50 }).omitted).toEqual([
      'big: too large for a patch',
      'd: metadata of a directory',
      'f: only metadata differ (mode)',
      "fifo: a patch can't hold a fifo",
    ]);
  });

  test('outside the root', () => {
    const planted = layerOf({ f: 'x' }, {});
    const { text, omitted } = patchOf({ ...planted, layer: { ...planted.layer, base: b(`${planted.base}/sub`) } }, changesOf(planted));

    expect(text).toBe('');
    expect(omitted).toEqual(['f: outside the directory of the patch']);
  });
});

test.each([
  ['plain', 'plain'], ['with space', 'with space'], ['a"b', '"a\\"b"'], ['a\\b', '"a\\\\b"'], ['a\nb\tc', '"a\\nb\\tc"'], ['\x01\x7f\xff', '"\\001\\177\\377"'],
])('quotePath(%j) is %s', (path, quoted) => {
  expect(quotePath(path as Bytes)).toBe(quoted);
});

test('textDiff is pure: equal texts have no hunks, counts are of lines', () => {
  expect(textDiff('a\n', 'a\n')).toEqual([]);
  expect(countLines(textDiff('a\nb\nc\n', 'a\nB\nc\nd\n'))).toEqual({ added: 2, removed: 1 });
});
