/** Which names the walk calls ordinary. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nameOf } from '../../src/bytes.js';
import { native } from '../../src/kernel/native.js';
import { isOrdinary } from '../helpers/ordinary.js';
import { openDir, tempDir } from './temp.js';

test('all but those that the filter tells of, whatever their case', () => {
  const pieces = ['.env', 'ENV', '.', 'pem', '.PEM', 'a', 'b', 'É', '\u200b', '\n', '\x7f', ' ', '*', '~'];
  const names = fc.uniqueArray(fc.array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 4 }).map((parts) => parts.join('')).filter((name) => name !== '.' && name !== '..'), { minLength: 1, maxLength: 12 });
  const list = fc.array(fc.array(fc.constantFrom('.env', 'env', 'a', 'b', '.pem', '~', ' '), { minLength: 1, maxLength: 2 }).map((parts) => parts.join('')), { maxLength: 2 });
  const endings = fc.array(fc.constantFrom('.env', '.pem', '.b', '.'), { maxLength: 2 });
  fc.assert(fc.property(names, fc.record({ literals: list, endings, pieces: list }), (made, filter) => {
    const dir = tempDir();
    for (const name of made) writeFileSync(join(dir, name), '');
    const told = [...native.walk(openDir(dir), null, { family: 'user', compare: false, names: filter })].filter(({ path }) => path !== '');

    expect(told).toHaveLength(made.length);
    for (const { path, ordinary } of told) expect([path, ordinary]).toEqual([path, isOrdinary(nameOf(path), filter)]);
  }), { numRuns: 200 });
});

test('none without a filter, and never the walked directory itself', () => {
  const dir = tempDir();
  mkdirSync(join(dir, 'd'));

  const ordinary = (names?: { literals: []; endings: []; pieces: [] }): boolean[] => [...native.walk(openDir(dir), null, { family: 'user', compare: false, ...(names && { names }) })].map((entry) => entry.ordinary);

  expect(ordinary()).toEqual([false, false]);
  expect(ordinary({ literals: [], endings: [], pieces: [] })).toEqual([false, true]);
});
