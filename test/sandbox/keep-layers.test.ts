import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import { dropTried, keepLayers, markBare } from '../../src/sandbox/keep-layers.js';
import type { Layer, SandboxRecord } from '../../src/sandbox/sandbox.js';
import { readRecord, type Store } from '../../src/sandbox/store.js';
import { tempDir } from '../kernel/temp.js';
import { codeOf, make, storeIn } from './made.js';

let dir: string;
let store: Store;
let record: SandboxRecord;

beforeEach(() => {
  dir = tempDir();
  store = storeIn(dir);
  record = make(store, 'a');
});

const TOP = { mode: 0o755, uid: null, gid: null };

/** One that holds nothing, its top directory as it was made. */
function layerAt(name: string, more: Partial<Layer> = {}): Layer {
  mkdirSync(`${dir}/${name}/upper`, { recursive: true });
  chmodSync(`${dir}/${name}/upper`, 0o755);
  return { id: 0, base: fromText(dir), dir: fromText(`${dir}/${name}`), family: 'user', covered: [], skeleton: false, top: TOP, ...more };
}

const kept = (...layers: readonly Layer[]): readonly string[] => {
  const names = keepLayers(store, { ...record, layers }).layers.map((layer) => layer.dir.slice(dir.length + 1));
  if (names.length < layers.length) expect(readRecord(store, 'a').layers.map((layer) => layer.dir.slice(dir.length + 1))).toEqual(names);
  return names;
};

describe('layers of an earlier run', () => {
  test('stay where they hold something, or their top directory was changed', () => {
    const layers = [layerAt('empty'), layerAt('written'), layerAt('opened'), layerAt('shut', { top: undefined })];
    writeFileSync(`${dir}/written/upper/new`, '');
    chmodSync(`${dir}/opened/upper`, 0o777);
    chmodSync(`${dir}/shut/upper`, 0);

    expect(kept(...layers)).toEqual(['written', 'opened', 'shut']);
    expect(['empty', 'written', 'opened', 'shut'].filter((name) => existsSync(`${dir}/${name}`))).toEqual(['written', 'opened', 'shut']);
  });

  test('on another filesystem stay, and go with the sandbox alone: where their base is gone they are only forgotten', () => {
    const room = '.agentfw-1/a';

    expect(kept(layerAt(`${room}/0`), layerAt(`${room}/1`, { base: fromText(`${dir}/gone`) }))).toEqual([`${room}/0`]);
    expect(existsSync(`${dir}/${room}/1/upper`)).toBe(true);
  });

  test('that held something and are missing are an error; one that held nothing is not missed', () => {
    const gone = { ...layerAt('gone'), dir: fromText(`${dir}/none`) };

    expect(codeOf(() => keepLayers(store, { ...record, layers: [gone] }))).toBe('AFW_LAYER_GONE');
    expect(kept({ ...gone, bare: true }, layerAt('empty'))).toEqual([]);
  });

  test('stay when a start is planned anew, and what it had made goes, wherever it lies', () => {
    const [old, ...made] = ['old', '1', '.agentfw-1/a.0/2', '.agentfw-1/b.0/3'].map((name) => layerAt(name));
    const before = { ...record, layers: old === undefined ? [] : [old] };
    mkdirSync(`${dir}/.agentfw-1/b.0/9`);
    mkdirSync(`${dir}/1/work/work`, { recursive: true });
    chmodSync(`${dir}/1/work/work`, 0);

    dropTried(store, { ...before, layers: [...before.layers, ...made] }, before);

    expect(readdirSync(dir).sort()).toEqual(['.agentfw-1', 'old', 'state']);
    expect(readdirSync(`${dir}/.agentfw-1`, { recursive: true }).sort()).toEqual(['b.0', 'b.0/9']);
    expect(readRecord(store, 'a').layers.map((layer) => layer.dir)).toEqual(before.layers.map((layer) => layer.dir));
  });

  test('are marked as bare where nothing is in them', () => {
    const layers = [layerAt('empty'), layerAt('written'), layerAt('shut'), { ...layerAt('gone'), dir: fromText(`${dir}/none`) }];
    writeFileSync(`${dir}/written/upper/new`, '');
    chmodSync(`${dir}/shut/upper`, 0);

    expect(markBare(store.kernel, layers).map(({ bare }) => bare === true)).toEqual([true, false, false, false]);
  });
});
