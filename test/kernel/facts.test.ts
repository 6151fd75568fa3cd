import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Bytes } from '../../src/bytes.js';
import { hostFacts, planningFacts, readStart } from '../../src/kernel/facts.js';
import { tempDir } from './temp.js';

test('the start of a program is read, however long it is', () => {
  const program = `${tempDir()}/agent`;
  writeFileSync(program, '#!/usr/bin/env node\n');
  // More than Node reads in one piece.
  truncateSync(program, 3 * 2 ** 30);

  expect(readStart(program as Bytes, 20)).toBe('#!/usr/bin/env node\n');
});

test('of a short one all is read, and of what is no file nothing', () => {
  const dir = tempDir();
  writeFileSync(`${dir}/short`, '#!x');
  execFileSync('mkfifo', [`${dir}/fifo`]);

  expect(readStart(`${dir}/short` as Bytes, 256)).toBe('#!x');
  for (const name of ['fifo', 'none', '', 'short/below', 'long'.repeat(1000)]) expect(readStart(`${dir}/${name}` as Bytes, 256)).toBeNull();
});

test('a plan sees one host: what was looked at once is not looked at again, and a silent mount never', () => {
  const dir = tempDir();
  mkdirSync(`${dir}/silent`);
  const facts = planningFacts(new Set([`${dir}/silent` as Bytes]));

  expect([facts.lstat(`${dir}/file` as Bytes), facts.lstat(`${dir}/silent` as Bytes)]).toEqual([null, null]);
  writeFileSync(`${dir}/file`, '');
  expect([facts.lstat(`${dir}/file` as Bytes), hostFacts.lstat(`${dir}/file` as Bytes)?.type]).toEqual([null, 'file']);
  symlinkSync('silent', `${dir}/link`);
  expect([hostFacts.list(`${dir}/silent` as Bytes), hostFacts.list(`${dir}/link` as Bytes)]).toEqual([[], null]);
});
