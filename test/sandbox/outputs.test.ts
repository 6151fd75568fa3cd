import { chmodSync, closeSync, openSync, statSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { watchOutputs } from '../../src/sandbox/outputs.js';
import { tempDir } from '../kernel/temp.js';

const modeOf = (path: string): string => (statSync(path).mode & 0o7777).toString(8);

test('a file that output went to loses the set-id bits that it gained, and keeps its own', () => {
  const dir = tempDir();
  const [plain, own, other] = [`${dir}/plain`, `${dir}/own`, `${dir}/other`];
  for (const path of [plain, own, other]) writeFileSync(path, '');
  chmodSync(plain, 0o644);
  chmodSync(own, 0o4755);
  const fds = [openSync(plain, 'w'), openSync(own, 'a'), openSync(other, 'w')];
  const settle = watchOutputs(fds);

  chmodSync(plain, 0o6755);
  chmodSync(own, 0o6711);
  settle();

  expect([modeOf(plain), modeOf(own)]).toEqual(['755', '4711']);
  for (const fd of fds) closeSync(fd);
});

test('what is at a descriptor by then is left alone if it is another file, or closed', () => {
  const dir = tempDir();
  writeFileSync(`${dir}/other`, '');
  const fd = openSync(`${dir}/first`, 'w');
  const settle = watchOutputs([fd]);

  closeSync(fd);
  settle();
  expect(openSync(`${dir}/other`, 'r')).toBe(fd);
  chmodSync(`${dir}/other`, 0o4755);
  settle();

  expect(modeOf(`${dir}/other`)).toBe('4755');
  closeSync(fd);
});
