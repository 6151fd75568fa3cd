import { execFileSync } from 'node:child_process';
import { truncateSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Bytes } from '../../src/bytes.js';
import { readStart } from '../../src/kernel/facts.js';
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
