import { constants } from 'node:fs';
import type { Bytes } from '../bytes.js';
import { fromText, isWithin, joinBytes, nameOf, parentOf } from '../bytes.js';
import { AT_FDCWD, RENAME, type Fd, type Kernel } from '../kernel/kernel.js';
import { readWhole } from '../kernel/files.js';
import { removeTree, type Leftover } from '../kernel/remove.js';
import { Away, isAway, isForeign } from './foreign.js';
import { tryLock } from './lock.js';
import { decodeRecord } from './record.js';
import type { SandboxRecord } from './sandbox.js';
import { DRAFT, sandboxDir, storeDirOf, type Store } from './store.js';

/**
 * Moves a sandbox out of sight with one rename; its layers on other
 * filesystems are named by the record that moves along. The caller holds both
 * locks. Removing the bytes is the sweeper's work.
 */
export function trashSandbox(store: Store, record: SandboxRecord): void {
  moveToTrash(store, sandboxDir(store, record.tag));
}

/**
 * Moves a file or directory of the store's filesystem into the trash. Not
 * synced: a machine crash may bring it back, which loses nothing.
 */
export function moveToTrash(store: Store, path: Bytes): void {
  const { kernel } = store;
  const trash = openStoreDir(store, 'trash');
  const from = kernel.open(AT_FDCWD, parentOf(path), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const name = `${nameOf(path).slice(0, 80)}.${store.context.random(8).toString('hex')}` as Bytes;
    kernel.rename(from, nameOf(path), trash, name, RENAME.noReplace);
  } finally {
    kernel.close(from);
    kernel.close(trash);
  }
}

/** True when a sweeper has something to do. */
export function hasTrash(store: Store): boolean {
  const trash = openStoreDir(store, 'trash');
  try {
    return store.kernel.list(trash).some((name) => !KEPT.test(name));
  } finally {
    store.kernel.close(trash);
  }
}

/** `.sweep.lock`, and what an earlier sweep could not remove: only `prune` tries that again. */
const KEPT = /^(\.sweep\.lock$|stuck\.)/;

/**
 * Removes all that is in the trash. One sweeper works at a time; it can be
 * killed at any moment, and the next one goes on.
 */
export function sweepTrash(store: Store, options: { readonly stuckToo: boolean }): readonly Leftover[] {
  const lock = tryLock(store.kernel, joinBytes(storeDirOf(store, 'trash'), '.sweep.lock' as Bytes));
  if (lock === null) return [];
  const trash = openStoreDir(store, 'trash');
  try {
    const leftovers: Leftover[] = [];
    sweepDrafts(store);
    for (const name of store.kernel.list(trash)) {
      if (options.stuckToo ? name === '.sweep.lock' : KEPT.test(name)) continue;
      const left = removeEntry(store, trash, name);
      if (left === null) continue;
      leftovers.push(left);
      if (!name.startsWith('stuck.')) {
        store.kernel.rename(trash, name, trash, `stuck.${name}` as Bytes, RENAME.noReplace);
      }
    }
    return leftovers;
  } finally {
    store.kernel.close(trash);
    lock.release();
  }
}

const HOUR_NS = 3_600_000_000_000n;

/** Sandboxes that a crash left half made. One that is being made is younger. */
function sweepDrafts(store: Store): void {
  const now = BigInt(store.context.now().getTime()) * 1_000_000n;
  const room = openStoreDir(store, 'sandboxes');
  for (const name of store.kernel.list(room)) {
    if (!name.startsWith(DRAFT) || now - store.kernel.stat(room, name).mtimeNs < HOUR_NS) continue;
    removeTree(store.kernel, room, name);
  }
  store.kernel.close(room);
}

/** First the layers that lie elsewhere, last the record that names them. */
function removeEntry(store: Store, trash: Fd, name: Bytes): Leftover | null {
  try {
    const left = foreignDirs(store, name).flatMap((dir) => awayIn(store, name, dir) ?? removeLayer(store.kernel, dir) ?? []);
    return left[0] ?? removeTree(store.kernel, trash, name);
  } catch (error) {
    return { count: 1, first: error };
  }
}

/** Layer directories of a trashed sandbox outside the store, only where agentfw itself puts them. */
function foreignDirs(store: Store, name: Bytes): Bytes[] {
  const file = joinBytes(joinBytes(storeDirOf(store, 'trash'), name), 'sandbox.json' as Bytes);
  const text = readWhole(store.kernel, file);
  if (text === null) return [];
  const room = fromText(`.agentfw-${store.context.uid}`);
  return decodeRecord(text.toString('utf8'), 'sandbox.json')
    .layers.map((layer) => layer.dir)
    .filter((dir) => !isWithin(dir, store.dir) && nameOf(parentOf(parentOf(dir))) === room);
}

/** It goes when `prune` finds the filesystem mounted. */
function awayIn(store: Store, name: Bytes, dir: Bytes): Leftover | null {
  if (!isAway(store.kernel, dir)) return null;
  const kept = name.startsWith('stuck.') ? name : (`stuck.${name}` as Bytes);
  return { count: 1, first: new Away(dir, joinBytes(storeDirOf(store, 'trash'), kept)) };
}

/** Removes one layer directory; on another filesystem the sandbox's directory around it as well, if that was the last. */
export function removeLayer(kernel: Kernel, dir: Bytes): Leftover | null {
  const around = parentOf(dir);
  if (kernel.statOrNull(AT_FDCWD, around) === null) return null;
  const at = kernel.open(AT_FDCWD, around, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    const left = removeTree(kernel, at, nameOf(dir));
    if (left !== null || !isForeign({ dir }) || kernel.list(at).length > 0) return left;
  } finally {
    kernel.close(at);
  }
  kernel.rmdir(AT_FDCWD, around);
  return null;
}

function openStoreDir(store: Store, room: 'sandboxes' | 'trash'): Fd {
  return store.kernel.open(AT_FDCWD, storeDirOf(store, room), constants.O_RDONLY | constants.O_DIRECTORY);
}
