import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { giveUp, letFall } from '../../src/sandbox/give-up.js';
import { writeRecord } from '../../src/sandbox/store.js';
import { startTimeOf } from '../../src/kernel/process.js';
import { tempDir } from '../kernel/temp.js';
import { make, storeIn } from './made.js';

test('what fails while a run is given up is told, and throws nothing in the place of why it was', async () => {
  const dir = tempDir();
  const store = storeIn(dir);
  const record = { ...make(store, 'a'), state: 'running' } as const;
  writeRecord(store, record);
  rmSync(`${dir}/state/sandboxes/a`, { recursive: true });
  const said: string[] = [];

  await letFall(store, { record, fresh: true }, { say: (line) => said.push(line), network: { end: () => Promise.reject(new Error('the gate is stuck')) } });

  expect(said).toEqual([
    expect.stringMatching(/^agentfw: and then: .*No such file or directory|^agentfw: and then: .*ENOENT/),
    'agentfw: and then: the gate is stuck',
    'agentfw: the sandbox was ended; what the agent changed is kept: agentfw diff a',
  ]);
});

test.each([true, false])('nothing is taken from under a tree that has not ended (made for this run: %s)', async (fresh) => {
  const dir = tempDir();
  const store = storeIn(dir);
  const tree = spawn('sleep', ['1000'], { stdio: 'ignore' });
  const record = { ...make(store, 'a'), state: 'starting', driver: { pid: tree.pid!, start: startTimeOf(tree.pid!)! } } as const;
  writeRecord(store, record);
  let isOver = false;

  const over = giveUp(store, { record, fresh }).then(() => (isOver = true));
  for (let turns = 0; turns < 20; turns += 1) await turn();
  const [early, there] = [isOver, existsSync(`${dir}/state/sandboxes/a`)];
  tree.kill('SIGKILL');
  await once(tree, 'exit');
  await over;

  expect([early, there]).toEqual([false, true]);
  const left = existsSync(`${dir}/state/sandboxes/a`) ? (JSON.parse(readFileSync(`${dir}/state/sandboxes/a/sandbox.json`, 'utf8')) as object) : null;
  if (fresh) expect(left).toBeNull();
  else expect(left).toMatchObject({ state: 'stopped', driver: null, init: null });
});
