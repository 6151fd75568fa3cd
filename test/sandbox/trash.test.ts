import { chmodSync, constants, existsSync, mkdirSync, readdirSync, renameSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import { removeTree } from '../../src/kernel/remove.js';
import { AT_FDCWD } from '../../src/kernel/kernel.js';
import type { SandboxRecord } from '../../src/sandbox/sandbox.js';
import { foreignLayerDir, listRecords, writeRecord } from '../../src/sandbox/store.js';
import { hasTrash, sweepTrash, trashSandbox } from '../../src/sandbox/trash.js';
import { testContext } from '../helpers/context.js';
import { tempDir } from '../kernel/temp.js';
import { make, storeIn } from './made.js';

describe('the trash', () => {
  /** What overlayfs leaves: a work directory of mode 000, and directories the agent closed. */
  function fill(dir: string): void {
    mkdirSync(`${dir}/work/work`, { recursive: true });
    mkdirSync(`${dir}/upper/closed/in`, { recursive: true });
    writeFileSync(`${dir}/upper/closed/in/file`, 'x');
    symlinkSync('/', `${dir}/upper/root`);
    chmodSync(`${dir}/upper/closed`, 0o500);
    chmodSync(`${dir}/work/work`, 0);
  }

  test('takes a sandbox with one rename and is emptied later', () => {
    const store = storeIn(tempDir());
    const record = make(store, 'a');
    fill(`${store.dir}/sandboxes/a/layers/0`);

    trashSandbox(store, record);

    expect(listRecords(store).records).toEqual([]);
    expect(hasTrash(store)).toBe(true);
    expect(sweepTrash(store, { stuckToo: false })).toEqual([]);
    expect(hasTrash(store)).toBe(false);
    expect(readdirSync(`${store.dir}/trash`)).toEqual(['.sweep.lock']);
  });

  test('removes layers on other filesystems too, and keeps a new sandbox of the same tag', () => {
    const dir = tempDir();
    const store = storeIn(dir);
    const layer = (record: SandboxRecord): SandboxRecord => {
      const place = foreignLayerDir(store, fromText(`${dir}/disk`), record.tag, 0);
      fill(place);
      const one = { id: 0, base: fromText('/'), dir: place, family: 'user' as const, covered: [], skeleton: false };
      const changed = { ...record, layers: [one] };
      writeRecord(store, changed);
      return changed;
    };
    const old = layer(make(store, 'a'));
    trashSandbox(store, old);
    const young = layer(make(store, 'a'));

    expect(sweepTrash(store, { stuckToo: false })).toEqual([]);

    expect(existsSync(old.layers[0]?.dir ?? '')).toBe(false);
    expect(existsSync(young.layers[0]?.dir ?? '')).toBe(true);
  });

  test('never removes a directory that agentfw did not make', () => {
    const dir = tempDir();
    const store = storeIn(dir);
    mkdirSync(`${dir}/precious/0`, { recursive: true });
    const one = { id: 0, base: fromText('/'), dir: fromText(`${dir}/precious/0`), family: 'user' as const, covered: [], skeleton: false };
    const record = { ...make(store, 'a'), layers: [one] };
    writeRecord(store, record);
    trashSandbox(store, record);

    sweepTrash(store, { stuckToo: false });

    expect(existsSync(`${dir}/precious/0`)).toBe(true);
  });

  test('takes along a draft that a crash left, never a sandbox that is being made', () => {
    const store = storeIn(tempDir());
    const [old, young] = ['old', 'young'].map((name) => `${store.dir}/sandboxes/.new-${name}`) as [string, string];
    for (const draft of [old, young]) mkdirSync(draft);
    utimesSync(young, store.context.now(), store.context.now());
    const before = new Date(store.context.now().getTime() - 2 * 3_600_000);
    utimesSync(old, before, before);

    sweepTrash(store, { stuckToo: false });

    expect([old, young].map((draft) => existsSync(draft))).toEqual([false, true]);
  });

  test('leaves what could not be removed to `prune`', () => {
    const store = storeIn(tempDir());
    mkdirSync(`${store.dir}/trash/stuck.x`);

    sweepTrash(store, { stuckToo: false });
    expect(existsSync(`${store.dir}/trash/stuck.x`)).toBe(true);
    sweepTrash(store, { stuckToo: true });
    expect(existsSync(`${store.dir}/trash/stuck.x`)).toBe(false);
  });

  test('removes all layers of a sandbox on another filesystem, and follows no link there', () => {
    const dir = tempDir();
    const store = storeIn(dir);
    const trashed = (tag: string): string => {
      const around = dirname(foreignLayerDir(store, fromText(`${dir}/disk`), tag, 0));
      for (const id of ['0', '1']) mkdirSync(`${around}/${id}`, { recursive: true });
      const layers = [0, 1].map((id) => ({ id, base: fromText('/'), dir: fromText(`${around}/${id}`), family: 'user' as const, covered: [], skeleton: false }));
      const record = { ...make(store, tag), layers };
      writeRecord(store, record);
      trashSandbox(store, record);
      return around;
    };
    const [whole, linked] = [trashed('a'), trashed('b')];
    renameSync(linked, `${dir}/precious`);
    symlinkSync(`${dir}/precious`, linked);

    sweepTrash(store, { stuckToo: false });

    expect(existsSync(whole)).toBe(false);
    expect(readdirSync(`${dir}/precious`).sort()).toEqual(['0', '1']);
  });

  test('goes on where a killed sweep stopped', () => {
    const store = storeIn(tempDir());
    trashSandbox(store, make(store, 'a'));
    spawnSync('find', [`${store.dir}/trash`, '-name', 'layers', '-delete']);

    sweepTrash(store, { stuckToo: false });

    expect(hasTrash(store)).toBe(false);
  });

  test('removes trees of any depth, whatever their modes', () => {
    const dir = tempDir();
    const made = spawnSync('python3', ['-c', `
import os
os.chdir(${JSON.stringify(dir)}); os.mkdir('t'); os.chdir('t')
for i in range(3000):
    os.mkdir('d' * 60); open('f', 'w').close(); os.chmod('d' * 60, 0o700); os.chdir('d' * 60)
`]);
    expect(made.status).toBe(0);

    const { kernel } = testContext({});
    const at = kernel.open(AT_FDCWD, fromText(dir), constants.O_RDONLY | constants.O_DIRECTORY);
    expect(removeTree(kernel, at, fromText('t'))).toBe(null);
    kernel.close(at);
    expect(readdirSync(dir)).toEqual([]);
  });
});
