import { mkdirSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import { KernelError, type Kernel } from '../../src/kernel/kernel.js';
import { native } from '../../src/kernel/native.js';
import type { Layer, SandboxRecord } from '../../src/sandbox/sandbox.js';
import { recordStop, syncLayers } from '../../src/sandbox/stop.js';
import { tempDir } from '../kernel/temp.js';
import type { Store } from '../../src/sandbox/store.js';
import { make, storeIn } from './made.js';

let dir: string;
let synced: string[];
let kernel: Kernel;
let record: SandboxRecord;
let store: Store;

beforeEach(() => {
  dir = tempDir();
  synced = [];
  const noted = (name: 'fsync' | 'syncfs') => (fd: number): void => {
    synced.push(name);
    native[name](fd);
  };
  kernel = { ...native, fsync: noted('fsync'), syncfs: noted('syncfs') };
  store = storeIn(dir);
  record = { ...make(store, 'a'), layers: [layerAt('one'), layerAt('two')] };
});

function layerAt(name: string): Layer {
  mkdirSync(`${dir}/${name}/upper`, { recursive: true });
  return { id: 0, base: fromText('/base'), dir: fromText(`${dir}/${name}`), family: 'user', covered: [], skeleton: false };
}

describe('what reaches the disk when an agent has ended', () => {
  test('of layers that hold nothing their own directories', () => {
    syncLayers(kernel, record);
    expect(synced).toEqual(['fsync', 'fsync']);
  });

  test('the filesystem, once, where layers hold something', () => {
    for (const name of ['one', 'two']) writeFileSync(`${dir}/${name}/upper/new`, 'written');
    syncLayers(kernel, record);
    expect(synced).toEqual(['syncfs']);
  });

  test('the filesystem where the agent took the right to look away', () => {
    const shut: Kernel['open'] = (at, path, ...how) => {
      if (path === 'upper') throw new KernelError('EACCES', 13, 'openat2', path, 'permission denied');
      return native.open(at, path, ...how);
    };
    syncLayers({ ...kernel, open: shut }, record);
    expect(synced).toEqual(['syncfs']);
  });

  test('nothing of a layer that is gone', () => {
    syncLayers(kernel, { ...record, layers: [{ ...layerAt('one'), dir: fromText(`${dir}/none`) }] });
    expect(synced).toEqual([]);
  });
});

describe('the end of a run', () => {
  const DONE = { status: 0, exit: { code: 0 }, failure: null, started: true } as const;
  const end = (more: Partial<SandboxRecord>, thrownAway = false): string => recordStop({ ...store, kernel }, { ...record, ...more }, DONE, thrownAway).state;

  test('leaves the sandbox unclean where the machine started anew meanwhile, unless it wrote with fsync', () => {
    expect([end({}), end({ bootId: 'another' }), end({ bootId: 'another', durable: true })]).toEqual(['stopped', 'unclean', 'stopped']);
  });

  test('waits for the disk, but not with fsync before or for what is thrown away', () => {
    end({ durable: true });
    end({}, true);
    expect(synced).toEqual([]);
    end({});
    expect(synced).toEqual(['fsync', 'fsync']);
  });
});
