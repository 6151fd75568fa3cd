import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runProgram } from '../../src/kernel/driver.js';
import { eventually, ownSleep, processesWith } from '../helpers/sandbox.js';

let dir = '';
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), 'agentfw-program-'))));
afterEach(() => rmSync(dir, { recursive: true }));

const run = (script: string, timeoutMs = 600_000, signal = new AbortController().signal): Promise<string> =>
  runProgram(['/bin/sh', '-c', script], { input: 'the question\n', timeoutMs, signal, cwd: dir, env: { PATH: '/usr/bin:/bin' } });

describe('a program of the user’s that answers for him', () => {
  test('is asked on its stdin and heard on its stdout; it need not read', async () => {
    expect(await run('read -r word; echo "heard $word"')).toBe('heard the question\n');
    expect(await run('exec <&-; echo yes')).toBe('yes\n');
  });

  test.each([
    ['ends with a failure', 'echo "{}"; exit 3', 'ended with 3'],
    ['is ended by a signal', 'echo "{}"; kill -9 $$', 'ended with SIGKILL'],
    ['prints without end', 'while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done', 'said too much'],
  ])('one that %s has not answered', async (_, script, why) => {
    await expect(run(script)).rejects.toThrow(why);
  });

  test('one that is not there has not answered', async () => {
    await expect(runProgram([join(dir, 'none')], { input: '', timeoutMs: 600_000, signal: new AbortController().signal, cwd: dir, env: {} })).rejects.toThrow('ENOENT');
  });

  test('one that takes too long ends with all that it started, and so does one that is called off', async () => {
    const nap = ownSleep();
    await expect(run(`${nap} & ${nap}`, 50)).rejects.toThrow('took too long');
    await eventually('it has ended', () => processesWith(nap).length === 0);

    const off = new AbortController();
    const called = run(`echo '{"verdict":"allow"}'; ${nap} & exit 0`, 600_000, off.signal);
    await eventually('it runs', () => processesWith(nap).length > 0);
    off.abort();
    await expect(called).rejects.toThrow('is not wanted any more');
    await eventually('it has ended', () => processesWith(nap).length === 0);
  });

  test('one that took too long holds nothing up with what it left in a session of its own', async () => {
    await expect(run("setsid sh -c 'trap : PIPE; while echo still; do sleep 0.05; done; : > gone' & sleep 600", 500)).rejects.toThrow('took too long');
    await eventually('nobody reads it any more', () => existsSync(join(dir, 'gone')));
  });
});
