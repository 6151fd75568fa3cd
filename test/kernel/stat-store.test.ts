import { truncateSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import { AT_FDCWD, type Stat } from '../../src/kernel/kernel.js';
import { native } from '../../src/kernel/native.js';
import { StatStore } from '../../src/kernel/stat-store.js';
import { tempDir } from './temp.js';

const FIELDS = ['dev', 'ino', 'mode', 'nlink', 'uid', 'gid', 'rdev', 'size', 'blocks', 'atimeNs', 'mtimeNs', 'ctimeNs', 'btimeNs'] as const;
const valuesOf = (stat: Stat): object => Object.fromEntries(FIELDS.map((name) => [name, stat[name]]));

test('what is kept packed says the same in every field, of files of any size', () => {
  const file = `${tempDir()}/big`;
  writeFileSync(file, '');
  truncateSync(file, 2 ** 33 + 5);
  const stats = [native.stat(AT_FDCWD, fromText(file)), native.stat(AT_FDCWD, fromText('/dev/null'))];
  const before = stats.map(valuesOf);
  const store = new StatStore();

  expect(stats.map((stat) => valuesOf(store.keep(stat)))).toEqual(before);
  expect(before[0]).toMatchObject({ size: 2 ** 33 + 5 });
  expect(stats.every(({ ctimeNs, rdev }, n) => ctimeNs > 0n && (n === 0 || rdev > 0n))).toBe(true);
});
