import type * as Fs from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { resolveHides } from '../../src/policy/index.js';
import { policyOf } from './make.js';
import { tempHome } from './temp.js';

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof Fs>();
  const readdirSync = (path: Buffer, ...rest: never[]): unknown => {
    if (String(path).endsWith('/damaged')) throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO', syscall: 'scandir' });
    return fs.readdirSync(path, ...rest);
  };
  return { ...fs, readdirSync };
});

test('a directory that a wildcard looks into and the disk does not give is said, not taken for empty', async () => {
  const home = tempHome({ 'damaged/one/token': '', 'other/one/token': '' });
  const resolved = async (dir: string): Promise<string | null> => (await resolveHides(await policyOf({ home, root: join(home, 'app'), user: `version: 1\nfiles: {hide: ["~/${dir}/*/token"]}\n` }))).incomplete;

  expect(await resolved('other')).toBe(null);
  expect(await resolved('damaged')).toBe(`1 directory could not be read: ${join(home, 'damaged')}`);
});
