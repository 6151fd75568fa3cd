import { constants, lstatSync, readdirSync } from 'node:fs';
import type { Bytes } from '../bytes.js';
import { fromText, joinBytes, nameOf, parentOf, toBuffer } from '../bytes.js';
import { lendAccess } from '../changes/apply/lend.js';
import { errnoOf } from '../errors.js';
import { AT_FDCWD, type Kernel } from '../kernel/kernel.js';
import type { SandboxRecord } from './sandbox.js';

export interface LayerUse {
  /** on disk, as `du` counts */
  readonly bytes: number;
  readonly files: number;
}

/** How long the event loop may wait for us: the gate's questions go through it. */
const SLICE_MS = 8;

/** The directories that a sandbox fills: its layers and its own /tmp. */
export function filledDirs(record: SandboxRecord, dir: Bytes): readonly Bytes[] {
  return [...record.layers.map((layer) => joinBytes(layer.dir, fromText('upper'))), joinBytes(dir, fromText('private'))];
}

/** Counts what lies in these directories, in slices. The tree may be changing: what is gone when it is looked at counts nothing. */
export async function measureLayers(kernel: Kernel, dirs: readonly Bytes[]): Promise<LayerUse> {
  const sum: Sum = { bytes: 0, files: 0, linked: new Set() };
  const queue = [...dirs];
  let since = performance.now();
  for (let dir = queue.pop(); dir !== undefined; dir = queue.pop()) {
    for (const name of namesIn(kernel, dir, sum)) {
      const path = joinBytes(dir, name);
      if (count(path, sum)) queue.push(path);
      if (performance.now() - since < SLICE_MS) continue;
      await new Promise((go) => setImmediate(go));
      since = performance.now();
    }
  }
  return { bytes: sum.bytes, files: sum.files };
}

interface Sum {
  bytes: number;
  files: number;
  /** files with several names, counted once */
  readonly linked: Set<string>;
}

/** True for a directory. */
function count(path: Bytes, sum: Sum): boolean {
  const stat = lstatSync(toBuffer(path), { throwIfNoEntry: false });
  if (stat === undefined) return false;
  if (stat.nlink > 1 && !stat.isDirectory()) {
    const id = `${stat.dev}:${stat.ino}`;
    if (sum.linked.has(id)) return false;
    sum.linked.add(id);
  }
  sum.files += 1;
  sum.bytes += stat.blocks * 512;
  return stat.isDirectory();
}

function namesIn(kernel: Kernel, dir: Bytes, sum: Sum): readonly Bytes[] {
  try {
    return readdirSync(toBuffer(dir), { encoding: 'latin1' }) as Bytes[];
  } catch (error) {
    // An agent may take the permission away from itself, and so from us, who are the same user.
    if (errnoOf(error) === 'EACCES') countLocked(kernel, dir, sum);
    return [];
  }
}

function countLocked(kernel: Kernel, dir: Bytes, sum: Sum): void {
  const open: number[] = [];
  try {
    const around = kernel.open(AT_FDCWD, parentOf(dir), constants.O_RDONLY | constants.O_DIRECTORY);
    open.push(around);
    const lent = lendAccess(kernel, around, nameOf(dir));
    try {
      const fd = kernel.open(around, nameOf(dir), constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
      open.push(fd);
      for (const { path, upper } of kernel.walk(fd, null, { family: 'user', compare: false, unreadable: 'unlock' })) {
        if (path === '') continue; // counted already
        sum.files += 1;
        sum.bytes += upper.blocks * 512;
      }
    } finally {
      lent?.restore();
    }
  } catch {
    return; // gone meanwhile
  } finally {
    for (const fd of open) kernel.close(fd);
  }
}
