import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { expect } from 'vitest';
import type { Bytes } from '../../src/bytes.js';
import { native } from '../../src/kernel/native.js';
import { removeTree } from '../../src/kernel/remove.js';
import { needs } from '../helpers/needs.js';
import { openDir, tempDir } from './temp.js';

needs('root').test('what is mounted in a tree is not removed along with it, and is counted once', () => {
  const dir = tempDir();
  const point = `${dir}/tree/d/mounted`;
  mkdirSync(point, { recursive: true });
  writeFileSync(`${dir}/tree/file`, '');
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', point]);
  try {
    writeFileSync(`${point}/kept`, '');

    expect(removeTree(native, openDir(dir), 'tree' as Bytes)).toMatchObject({ count: 1 });
    expect([existsSync(`${point}/kept`), existsSync(`${dir}/tree/file`)]).toEqual([true, false]);
  } finally {
    execFileSync('umount', [point]);
  }
  expect(removeTree(native, openDir(dir), 'tree' as Bytes)).toBeNull();
});
