import { rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import { letFall } from '../../src/sandbox/give-up.js';
import { writeRecord } from '../../src/sandbox/store.js';
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
