import { constants } from 'node:fs';
import { joinBytes, nameOf, parentOf, type Bytes } from '../bytes.js';
import { isBare, requireThere } from '../changes/scan/layer-dirs.js';
import { AT_FDCWD, KernelError, type Kernel } from '../kernel/kernel.js';
import { removeTree } from '../kernel/remove.js';
import { isForeign } from './foreign.js';
import { isAsMade } from './layer-top.js';
import type { Layer, SandboxRecord } from './sandbox.js';
import { writeRecord, type Store } from './store.js';

/**
 * The sandbox with those layers of an earlier run that hold something, or lie
 * on another filesystem. An empty one binds nobody: what it lay over may be
 * gone or mounted otherwise by now. It is none if the agent changed its top
 * directory. The record names it no more before it goes: all that a record
 * names must be there.
 */
export function keepLayers(store: Store, record: SandboxRecord): SandboxRecord {
  const { kernel } = store;
  const layers = record.layers.filter((layer) => holdsSomething(kernel, layer));
  if (layers.length === record.layers.length) return record;
  const kept = { ...record, layers };
  writeRecord(store, kept);
  for (const layer of record.layers) if (!layers.includes(layer)) dropLayer(kernel, layer);
  return kept;
}

function holdsSomething(kernel: Kernel, layer: Layer): boolean {
  const { dir, base, top } = layer;
  const upper = joinBytes(dir, 'upper' as Bytes);
  const stat = kernel.statOrNull(AT_FDCWD, upper);
  if (stat === null) requireThere(kernel, layer);
  if (stat === null) return false;
  if ((stat.mode & 0o500) !== 0o500 || !isEmpty(kernel, upper) || (top !== undefined && !isAsMade(kernel, layer, stat))) return true;
  return isForeign(layer) && kernel.statOrNull(AT_FDCWD, base) !== null;
}

function isEmpty(kernel: Kernel, dir: Bytes): boolean {
  const fd = kernel.open(AT_FDCWD, dir, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return kernel.list(fd).length === 0;
  } finally {
    kernel.close(fd);
  }
}

/** One on another filesystem goes with the sandbox: its room there is shared by all of them. */
function dropLayer(kernel: Kernel, layer: Layer): void {
  if (isForeign(layer) || kernel.statOrNull(AT_FDCWD, layer.dir) === null) return;
  const around = kernel.open(AT_FDCWD, parentOf(layer.dir), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    removeTree(kernel, around, nameOf(layer.dir));
  } finally {
    kernel.close(around);
  }
}

/** The layers at the end of a run, each with whether anything is in it: one that holds something can't just be missing later. */
export function markBare(kernel: Kernel, layers: readonly Layer[]): readonly Layer[] {
  return layers.map((layer) => (isBareNow(kernel, layer) ? { ...layer, bare: true } : layer));
}

/** What can't be looked at may hold something. */
function isBareNow(kernel: Kernel, layer: Layer): boolean {
  try {
    return isBare(kernel, layer);
  } catch (error) {
    if (error instanceof KernelError || (error as { code?: unknown }).code === 'AFW_LAYER_GONE') return false;
    throw error;
  }
}
