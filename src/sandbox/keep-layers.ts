import { constants } from 'node:fs';
import { joinBytes, type Bytes } from '../bytes.js';
import { isBare, requireThere } from '../changes/scan/layer-dirs.js';
import { AT_FDCWD, KernelError, type Kernel } from '../kernel/kernel.js';
import { isForeign } from './foreign.js';
import { isAsMade } from './layer-top.js';
import type { Layer, SandboxRecord } from './sandbox.js';
import { writeRecord, type Store } from './store.js';
import { removeLayer } from './trash.js';

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
  if (!isForeign(layer)) removeLayer(kernel, layer.dir);
}

/**
 * Removes what a start that came to nothing had made for its layers, before the
 * plan is made anew: the next one may have others in their places, whose top
 * directories are other ones, and on another filesystem nothing would name them.
 * The caller has seen its mounts gone; `before` names what earlier runs left.
 */
export function dropTried(store: Store, tried: SandboxRecord, before: SandboxRecord): void {
  const old = new Set(before.layers.map(({ dir }) => dir));
  const made = tried.layers.filter(({ dir }) => !old.has(dir));
  if (made.length > 0) writeRecord(store, { ...tried, layers: before.layers });
  for (const { dir } of made) removeLayer(store.kernel, dir);
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
