import { constants, lstatSync, readdirSync, type Stats } from 'node:fs';
import type { Bytes } from '../bytes.js';
import { fromText, joinBytes, nameOf, parentOf, toBuffer } from '../bytes.js';
import { lendAccess } from '../changes/apply/lend.js';
import { errnoOf } from '../errors.js';
import { AT_FDCWD, type Kernel } from '../kernel/kernel.js';
import type { SandboxRecord } from './sandbox.js';

/** What layers and private directories take. */
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
      const found = count(path, sum);
      if (found === 'dir') queue.push(path);
      if (found === 'closed') {
        // It may be listed and not searched: none of its entries was counted.
        countByFd(kernel, dir, sum);
        break;
      }
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

/** `closed`: the directory keeps us from looking. */
function count(path: Bytes, sum: Sum): 'dir' | 'other' | 'closed' {
  const stat = lookAt(path);
  if (stat === null) return 'closed';
  if (stat === undefined) return 'other';
  if (stat.nlink > 1 && !stat.isDirectory()) {
    const id = `${stat.dev}:${stat.ino}`;
    if (sum.linked.has(id)) return 'other';
    sum.linked.add(id);
  }
  sum.files += 1;
  sum.bytes += stat.blocks * 512;
  return stat.isDirectory() ? 'dir' : 'other';
}

/** Undefined: it is gone. */
function lookAt(path: Bytes): Stats | null | undefined {
  try {
    return lstatSync(toBuffer(path), { throwIfNoEntry: false });
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error;
    return null;
  }
}

/** A path may have 4,095 bytes (PATH_MAX), a name 255; an agent goes deeper step by step. */
const LONG = 3800;

function namesIn(kernel: Kernel, dir: Bytes, sum: Sum): readonly Bytes[] {
  if (dir.length > LONG) {
    countByFd(kernel, dir, sum);
    return [];
  }
  try {
    return readdirSync(toBuffer(dir), { encoding: 'latin1' }) as Bytes[];
  } catch (error) {
    // An agent may take the permission away from itself, and so from us, who are the same user.
    if (errnoOf(error) === 'EACCES') countByFd(kernel, dir, sum);
    return [];
  }
}

/** All that lies in a directory that is locked, or too deep for paths. */
function countByFd(kernel: Kernel, dir: Bytes, sum: Sum): void {
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
