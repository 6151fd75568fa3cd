import { expect, test } from 'vitest';
import { age, plural, size, table } from '../../src/ui/table.js';

test('table aligns columns and leaves no blanks at the end', () => {
  expect(table([['a', 'running', '/x'], ['long-tag', '-', '']])).toBe('a         running  /x\nlong-tag  -\n');
  expect(table([])).toBe('');
});

test('a cell that is longer than any terminal is wide sets no other one apart', () => {
  const long = 'x'.repeat(201);
  expect(table([['a', '1'], [long, '2'], ['bbb', '3']])).toBe(`a    1\n${long}  2\nbbb  3\n`);
  expect(table([[long, '1']])).toBe(`${long}  1\n`);
});

test.each([
  [0, '0s'], [59, '59s'], [61, '1min'], [3600, '1h'], [47 * 3600, '47h'], [49 * 3600, '2d'],
])('age of %i seconds is %s', (seconds, shown) => {
  expect(age(new Date(1e12 - seconds * 1000).toISOString(), new Date(1e12))).toBe(shown);
});

test.each([[0, '0 B'], [999, '999 B'], [1400, '1.4 kB'], [123_456, '123 kB'], [4.2e9, '4.2 GB']])('size %d is %s', (bytes, shown) => {
  expect(size(bytes)).toBe(shown);
});

test('plural', () => {
  expect([plural(1, 'file'), plural(2, 'file'), plural(0, 'entry', 'entries')]).toEqual(['1 file', '2 files', '0 entries']);
});
