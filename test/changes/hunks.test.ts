import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Bytes } from '../../src/bytes.js';
import { composeHunks, hunksOf, splitHunk } from '../../src/changes/hunks.js';

const PATH = '/p' as Bytes;
const raw = (text: string): Buffer => Buffer.from(text, 'latin1');
const numbered = (changes: Readonly<Record<number, string>>): string =>
  Array.from({ length: 30 }, (_none, line) => `${changes[line] ?? `line ${line}`}\n`).join('');
const lines = fc.array(fc.constantFrom('a', 'b', 'c', '\xff', '\r'), { maxLength: 40 });
const file = fc.tuple(lines, fc.boolean()).map(([all, newline]) => all.join('\n') + (newline && all.length > 0 ? '\n' : ''));

test('all hunks give the agent\'s version, none the host\'s, byte for byte', () => {
  fc.assert(fc.property(file, file, (before, after) => {
    const { hunks } = hunksOf(PATH, raw(before), raw(after));

    expect(composeHunks(raw(before), hunks).toString('latin1')).toBe(after);
    expect(composeHunks(raw(before), []).toString('latin1')).toBe(before);
  }));
});
test('some hunks land, and what is left are the other ones', () => {
  const before = numbered({});
  const after = numbered({ 2: 'two', 15: 'fifteen', 28: 'twenty-eight' });
  const { hunks } = hunksOf(PATH, raw(before), raw(after));
  const [, middle] = hunks;

  const landed = composeHunks(raw(before), hunks.filter(({ id }) => id === middle?.id));

  expect(landed.toString('latin1')).toBe(numbered({ 15: 'fifteen' }));
  expect(hunksOf(PATH, landed, raw(after)).hunks.map(({ id }) => id)).toEqual([hunks[0]?.id, hunks[2]?.id]);
});
test('ids stay the same while their own lines do, differ between files and between equal hunks', () => {
  const ids = (path: string, changes: Readonly<Record<number, string>>): string[] => hunksOf(path as Bytes, raw(numbered({})), raw(numbered(changes))).hunks.map(({ id }) => id);

  expect(ids('/p', { 2: 'x', 20: 'y' })[1]).toBe(ids('/p', { 20: 'y' })[0]);
  expect(ids('/p', { 2: 'x' })).not.toEqual(ids('/q', { 2: 'x' }));
  const twice = hunksOf(PATH, raw(numbered({ 1: 'a', 29: 'a' })), raw(numbered({ 1: 'b', 29: 'b' }))).hunks.map(({ id }) => id);
  expect(new Set(twice).size).toBe(2);
});
test('a hunk splits where unchanged lines lie between, and the parts compose like the whole', () => {
  fc.assert(fc.property(file, file, (before, after) => {
    const { hunks } = hunksOf(PATH, raw(before), raw(after));
    const parts = hunks.flatMap((hunk) => splitHunk(PATH, hunk) ?? [hunk]);

    expect(composeHunks(raw(before), parts).toString('latin1')).toBe(after);
  }));
  const { hunks } = hunksOf(PATH, raw(numbered({})), raw(numbered({ 10: 'x', 12: 'y' })));
  expect(hunks).toHaveLength(1);
  const [first] = splitHunk(PATH, hunks[0]!) ?? [];
  expect(composeHunks(raw(numbered({})), [first!]).toString('latin1')).toBe(numbered({ 10: 'x' }));
});
test('a hunk of another version is refused, not fitted in', () => {
  const { hunks } = hunksOf(PATH, raw(numbered({})), raw(numbered({ 5: 'x' })));

  expect(() => composeHunks(raw(numbered({ 5: 'other' })), hunks)).toThrow("doesn't fit");
});
test('the parts of a hunk say where they are, also those that only add or take away', () => {
  const [hunk] = hunksOf(PATH, raw('1\n2\n3\n4\n5\n6\n'), raw('0\n1\n3\n4\n5\nx\n6\n')).hunks;
  const parts = splitHunk(PATH, hunk!) ?? [];
  expect(parts.map(({ oldStart, oldLines, newStart, newLines, lines: its }) => [oldStart, oldLines, newStart, newLines, its])).toEqual([
    [0, 0, 1, 1, ['+0']],
    [2, 1, 2, 0, ['-2']],
    [5, 0, 6, 1, ['+x']],
  ]);
  expect(() => composeHunks(raw('1\n2\n3\n4\n5\n6\n'), [hunk!, ...parts])).toThrow('two chosen hunks overlap');
});
