import { chmodSync, lstatSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { closeLayer, isBare, openLayer } from '../../../src/changes/scan/layer-dirs.js';
import { native } from '../../../src/kernel/native.js';
import { b, tempDir } from '../../kernel/temp.js';

/** A layer as a run leaves it where its agent changed nothing. */
function bareLayer(): { upper: string; layer: Parameters<typeof isBare>[1] } {
  const dir = tempDir();
  const upper = join(dir, 'upper');
  mkdirSync(upper, { mode: 0o750 });
  const { mode, uid, gid } = lstatSync(upper);
  return { upper, layer: { base: b('/base'), dir: b(dir), top: { mode: mode & 0o7777, uid, gid } } };
}

test('an empty layer with its directory as it was made holds no change, nor does one that had none and is gone', () => {
  const { upper, layer } = bareLayer();
  expect(isBare(native, layer)).toBe(true);
  rmSync(upper, { recursive: true });
  expect(isBare(native, { ...layer, bare: true })).toBe(true);
});

test('a layer holds a change where anything is in it, or its own directory is another', () => {
  const { upper, layer } = bareLayer();
  writeFileSync(join(upper, '.x'), '');
  expect(isBare(native, layer)).toBe(false);
  rmSync(join(upper, '.x'));
  expect(isBare(native, layer)).toBe(true);
  chmodSync(upper, 0);
  expect(isBare(native, layer)).toBe(false);
  chmodSync(upper, 0o750);
  expect(isBare(native, { ...layer, top: undefined })).toBe(false);
});

test('a missing layer is named, with what to do, unless it held nothing', () => {
  const dir = tempDir();
  const layer = { id: 0, base: b(dir), dir: b(join(dir, 'layers/0')), family: 'user' as const, covered: [], skeleton: false };
  const said = (one: typeof layer): string => `What was changed below ${dir} lies in ${one.dir}, which isn't there.`;
  expect(() => openLayer(native, layer)).toThrow(said(layer));
  const bare = openLayer(native, { ...layer, bare: true });
  expect(bare.upper).toBeNull();
  closeLayer(native, bare);

  // Nor is one that a symlink stands for without changes.
  const elsewhere = join(dir, 'elsewhere');
  mkdirSync(join(elsewhere, '0/upper'), { recursive: true });
  symlinkSync(elsewhere, join(dir, 'layers'));
  expect(() => openLayer(native, layer)).toThrow(`lies in ${layer.dir}, which is not a directory or behind a symlink.`);
  closeLayer(native, openLayer(native, { ...layer, bare: true }));

  const foreign = { ...layer, dir: b(join(dir, '.agentfw-0/box.abc/0')) };
  expect(() => openLayer(native, foreign)).toThrow(said(foreign));
  mkdirSync(join(foreign.dir, 'upper'), { recursive: true });
  closeLayer(native, openLayer(native, foreign));
});
