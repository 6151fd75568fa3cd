/** What `agentfw selftest` makes of what it was told; and what its attempts tell where there is no wall. */
import { execa } from 'execa';
import { mkdtempSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ATTEMPTS } from '../../src/sandbox/selftest-words.js';
import { judgeAttempts, parseAttempts, type Attempt } from '../../src/sandbox/selftest.js';
import { needs } from '../helpers/needs.js';
import { repository } from '../helpers/sandbox.js';

const names = Object.keys(ATTEMPTS);
const all = names.map((name): Attempt => ({ name, held: true, detail: '' }));
const fallen = (attempts: readonly Attempt[]): readonly string[] => attempts.filter(({ held }) => !held).map(({ name }) => name);

describe('judging', () => {
  test('all that was told to hold, and reached nothing, held', () => {
    expect(fallen(judgeAttempts(all, { reached: new Set(), looks: [] }))).toEqual([]);
  });

  test('what was not told has not held, so a climb that stops in the middle proves nothing', () => {
    const [first = '', ...rest] = names;
    expect(fallen(judgeAttempts([{ name: first, held: true, detail: '' }], { reached: new Set(), looks: [] }))).toEqual(rest);
  });

  test('what reached the host has not held, whatever the inside says', () => {
    expect(fallen(judgeAttempts(all, { reached: new Set(['files.create', 'network.loopback']), looks: [] }))).toEqual(['files.create', 'network.loopback']);
  });

  test('a look from outside counts', () => {
    const told = all.filter(({ name }) => name !== 'record.chain');
    const looks = [{ name: 'record.chain', held: false, detail: 'open' }];
    expect(fallen(judgeAttempts(told, { reached: new Set(), looks }))).toEqual(['record.chain']);
  });

  test('a line that is none is refused', () => {
    expect(() => parseAttempts('{"name":"files.create","held":"yes","detail":""}\n')).toThrow(/held/);
  });
});

describe('climbing where there is no sandbox', () => {
  needs('userns').test('finds open what nothing closes, and every attempt has its words', async () => {
    const dir = mkdtempSync('/tmp/agentfw-climb-');
    try {
      for (const name of ['keep.txt', 'gone.txt', 'secret.txt']) writeFileSync(join(dir, name), 'x');
      // A network namespace alone: no packet leaves, and the rest is the host's.
      const climb = [join(repository, 'driver/build/agentfw-driver'), '--climb', dir, '/usr', '9', readlinkSync('/proc/self/ns/pid')];
      await execa('unshare', ['--user', '--map-current-user', '--net', ...climb], { env: { SELFTEST_API_TOKEN: 'x' }, stdin: 'ignore' });
      const told = parseAttempts(readFileSync(join(dir, 'result.jsonl'), 'utf8'));
      expect(told.map(({ name }) => name)).toEqual(names.filter((name) => !name.startsWith('record.')));
      expect(fallen(told)).toEqual(expect.arrayContaining([
        'secrets.file', 'secrets.variable', 'secrets.store', 'processes.namespaces', 'kernel.clock', 'terminal.inject',
      ]));
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});
