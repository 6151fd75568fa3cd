import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import { beginAnew } from '../../src/sandbox/begin-anew.js';
import type { SandboxRecord } from '../../src/sandbox/sandbox.js';
import { tempDir } from '../kernel/temp.js';
import { make, storeIn } from './made.js';

test('a look that finds something left has let go of host and layer', () => {
  const dir = tempDir();
  const store = storeIn(dir);
  for (const path of ['base', 'layer/upper']) mkdirSync(`${dir}/${path}`, { recursive: true });
  for (let n = 0; n < 3; n += 1) writeFileSync(`${dir}/layer/upper/${n}`, 'new');
  const record: SandboxRecord = {
    ...make(store, 'a'), state: 'stopped',
    layers: [{ id: 0, base: fromText(`${dir}/base`), dir: fromText(`${dir}/layer`), family: 'user', covered: [], skeleton: false }],
  };
  const open = (): number => readdirSync('/proc/self/fd').length;
  const before = open();

  expect(beginAnew(store, record)).toBe(record);
  expect(open()).toBe(before);
});
