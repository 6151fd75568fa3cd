import { chmodSync, chownSync, lstatSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type ContentReader, openContents, type Side } from '../../src/changes/content.js';
import { native } from '../../src/kernel/native.js';
import { openDir } from '../kernel/temp.js';
import { changesOf, isRoot, layerOf, mountedLayer, type Planted } from './layers.js';

function read(planted: Planted, name: string, side: Side, limit = 100): string | null {
  const change = changesOf(planted).find((one) => one.path === `${planted.base}/${name}`);
  if (change === undefined) throw new Error(`no change ${name}`);
  return using(planted, (contents) => contents.read(change, side, limit)?.toString('latin1') ?? null);
}

function using<T>(planted: Planted, call: (contents: ContentReader) => T): T {
  const contents = openContents(native, [planted.layer]);
  try {
    return call(contents);
  } finally {
    contents.close();
  }
}

describe('both sides', () => {
  test('files and targets, null where there is none', () => {
    const planted = layerOf({ f: 'new', s: '-> new', gone: null, add: 'a', 'd/': '' }, { f: 'old', s: '-> old', gone: 'g' });

    expect([read(planted, 'f', 'upper'), read(planted, 'f', 'base')]).toEqual(['new', 'old']);
    expect([read(planted, 's', 'upper'), read(planted, 's', 'base')]).toEqual(['new', 'old']);
    expect([read(planted, 'gone', 'upper'), read(planted, 'gone', 'base')]).toEqual([null, 'g']);
    expect([read(planted, 'add', 'upper'), read(planted, 'add', 'base')]).toEqual(['a', null]);
    expect(read(planted, 'd', 'upper')).toBeNull();
  });

  test('`read` refuses what is longer than the limit, `head` cuts it', () => {
    const planted = layerOf({ f: '0123456789', empty: '' }, {});
    const change = changesOf(planted).find((one) => one.path.endsWith('/f'));

    expect(read(planted, 'f', 'upper', 10)).toBe('0123456789');
    expect(read(planted, 'f', 'upper', 9)).toBeNull();
    expect(read(planted, 'empty', 'upper', 0)).toBe('');
    using(planted, (contents) => {
      expect(change && contents.head(change, 'upper', 4)?.toString()).toBe('0123');
      expect(change && contents.digest(change, 'upper')).toBe('84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882');
    });
  });

  test('a path that became a symlink or another type since the scan has no content (E105)', () => {
    const planted = layerOf({ 'd/f': 'new' }, { 'd/f': 'old' });
    const [change] = changesOf(planted);
    renameSync(join(planted.base, 'd'), join(planted.base, 'e'));
    native.symlink('e' as never, openDir(planted.base), 'd' as never);
    mkdirSync(join(planted.upper, 'd/g'));
    renameSync(join(planted.upper, 'd/f'), join(planted.upper, 'd/old'));
    mkdirSync(join(planted.upper, 'd/f'));

    using(planted, (contents) => {
      expect(change && contents.read(change, 'base', 100)).toBeNull();
      expect(change && contents.read(change, 'upper', 100)).toBeNull();
    });
  });

  test.runIf(isRoot)('below a renamed directory the base is under the old name (needs root)', () => {
    const planted = mountedLayer({ 'old/f': '1', 'old/g': '2' }, 'mv old new; echo 3 >new/f', 'trusted');

    expect([read(planted, 'new/f', 'upper'), read(planted, 'new/f', 'base')]).toEqual(['3\n', '1']);
    expect([read(planted, 'new/g', 'upper'), read(planted, 'new/g', 'base')]).toEqual(['2', '2']);
  });
});

test.runIf(isRoot)('what the agent made unreadable is read, and its modes stay (E61; needs root)', () => {
  const planted = layerOf({ 'd/e/f': 'deep', 'd/g': 'g', top: 't' }, {});
  for (const path of ['', 'd', 'd/e', 'd/e/f', 'd/g', 'top']) chownSync(join(planted.upper, path), 65534, 65534);
  chmodSync(dirname(planted.upper), 0o755);
  const modes = [['d/e/f', 0], ['top', 0], ['d/e', 0o300], ['d', 0]] as const;
  for (const [path, mode] of modes) chmodSync(join(planted.upper, path), mode);
  writeFileSync(join(planted.dir, 'other'), '');

  process.setegid?.(65534);
  process.seteuid?.(65534);
  let found: (string | null)[];
  try {
    found = ['d/e/f', 'd/g', 'top'].map((name) => read(planted, name, 'upper'));
  } finally {
    process.seteuid?.(0);
    process.setegid?.(0);
  }

  expect(found).toEqual(['deep', 'g', 't']);
  for (const [path, mode] of modes) expect(lstatSync(join(planted.upper, path)).mode & 0o777).toBe(mode);
});
