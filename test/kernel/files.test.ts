import { execFileSync } from 'node:child_process';
import { constants, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import { openOwn, readWhole, replaceFile } from '../../src/kernel/files.js';
import { native as kernel } from '../../src/kernel/native.js';
import { tempDir } from './temp.js';

describe('a file of the store', () => {
  test.each<[string, (path: string, dir: string) => void]>([
    ['a link to a file', (path, dir) => symlinkSync(`${dir}/target`, path)],
    ['a link to nothing', (path) => symlinkSync('nothing', path)],
    ['a FIFO that nobody writes to', (path) => void execFileSync('mkfifo', [path])],
    ['a directory', (path) => mkdirSync(path)],
    ['a device', (path) => symlinkSync('/dev/zero', path)],
  ])('is not %s, and nobody waits for it', (_name, plant) => {
    const dir = tempDir();
    writeFileSync(`${dir}/target`, 'target');
    plant(`${dir}/file`, dir);

    for (const flags of [constants.O_RDONLY, constants.O_RDWR | constants.O_CREAT]) {
      expect(() => openOwn(kernel, fromText(`${dir}/file`), flags, 0o600)).toThrow(expect.objectContaining({ code: 'AFW_STORE_FILE' }));
    }
    expect(() => readWhole(kernel, fromText(`${dir}/file`))).toThrow(expect.objectContaining({ code: 'AFW_STORE_FILE' }));
    expect(readdirSync(dir).sort()).toEqual(['file', 'target']);
  });

  test('is replaced whole, whatever an earlier try left, and through no link', () => {
    const dir = tempDir();
    const path = fromText(`${dir}/file`);
    writeFileSync(`${dir}/.file.new`, 'a longer rest of one that was killed');

    replaceFile(kernel, path, 'text');

    expect(readFileSync(`${dir}/file`, 'utf8')).toBe('text');
    expect(readdirSync(dir)).toEqual(['file']);
    writeFileSync(`${dir}/target`, 'target');
    symlinkSync('target', `${dir}/.file.new`);
    expect(() => replaceFile(kernel, path, 'other')).toThrow('ELOOP');
    expect([readFileSync(`${dir}/file`, 'utf8'), readFileSync(`${dir}/target`, 'utf8')]).toEqual(['text', 'target']);
  });

  test('is on the disk before it has its name, and its name before that is told', () => {
    const dir = tempDir();
    const calls: string[] = [];
    const spy = { ...kernel, fsync: (fd: Parameters<typeof kernel.fsync>[0]) => (calls.push('fsync'), kernel.fsync(fd)), rename: (...args: Parameters<typeof kernel.rename>) => (calls.push('rename'), kernel.rename(...args)) };

    replaceFile(spy, fromText(`${dir}/file`), 'text');

    expect(calls).toEqual(['fsync', 'rename', 'fsync']);
  });
});
