import { joinBytes, type Bytes } from '../bytes.js';
import { errnoOf } from '../errors.js';
import { attributesOf, ownAttributes } from '../kernel/attributes.js';
import { AT_FDCWD, RENAME, type Fd, type Kernel, type Stat, type Xattr } from '../kernel/kernel.js';
import { objectAt } from '../kernel/object.js';
import { removeTree } from '../kernel/remove.js';
import type { PlannedLayer } from '../view/plan.js';
import type { Layer, LayerTop } from './sandbox.js';

const UPPER = 'upper' as Bytes;
/** What is being made, so that a top directory is there whole or not at all. */
const MADE = 'top' as Bytes;
/** The store's filesystem has none, or not of that size; the id of an ACL means nothing here. */
const CANT: ReadonlySet<string> = new Set(['EOPNOTSUPP', 'ENOSPC', 'E2BIG', 'ERANGE', 'EPERM', 'EINVAL']);

/**
 * The layer's top directory, which the view shows in place of the host's: so with
 * its owner, ACLs (a default one is for what the agent makes there), attributes
 * and mode. What it got from the store's own directories goes.
 */
export function makeTop(kernel: Kernel, at: Fd, layer: PlannedLayer): void {
  removeTree(kernel, at, MADE);
  kernel.mkdir(at, MADE, 0o700);
  if (layer.owner !== null) kernel.chown(at, MADE, layer.owner.uid, layer.owner.gid);
  const wanted = readable(kernel, layer.base);
  for (const { name } of ownAttributes(kernel, at, MADE)) kernel.removeXattr(at, MADE, name);
  for (const { name, value } of wanted) unlessImpossible(() => kernel.setXattr(at, MADE, name, value));
  // After them: an ACL sets it too, and the user may be able to write less here.
  kernel.chmod(at, MADE, layer.mode);
  kernel.rename(at, MADE, at, UPPER, RENAME.noReplace);
}

const UNSEEN: ReadonlySet<string> = new Set(['EACCES', 'ENOENT']);

/** None, of a directory that the user may enter and not read, or that the host removed just now: the mount of it says so. */
function readable(kernel: Kernel, path: Bytes): readonly Xattr[] {
  try {
    return ownAttributes(kernel, AT_FDCWD, path);
  } catch (error) {
    if (!UNSEEN.has(errnoOf(error) ?? '')) throw error;
    return [];
  }
}

function unlessImpossible(set: () => void): void {
  try {
    set();
  } catch (error) {
    if (!CANT.has(errnoOf(error) ?? '')) throw error;
  }
}

/** As it was made, with what came of its attributes, and over what. */
export function madeTop(kernel: Kernel, { base, dir, top }: Pick<Layer, 'base' | 'dir' | 'top'>): LayerTop | undefined {
  const over = objectAt(kernel, base);
  return top === undefined ? undefined : { ...top, ...(over === null ? {} : { over }), attributes: attributesOf(kernel, AT_FDCWD, joinBytes(dir, UPPER)) };
}

/** The agent has left the top directory as it was made: mode, owner, attributes. */
export function isAsMade(kernel: Kernel, { dir, top }: Pick<Layer, 'dir' | 'top'>, { mode, uid, gid }: Pick<Stat, 'mode' | 'uid' | 'gid'>): boolean {
  if (top === undefined) return false;
  const same = (mode & 0o7777) === top.mode && (top.uid === null || uid === top.uid) && (top.gid === null || gid === top.gid);
  return same && keepsAttributes(kernel, { dir, top });
}

/** These of its top directory are as it was made, as far as it is known. */
export function keepsAttributes(kernel: Kernel, { dir, top }: Pick<Layer, 'dir' | 'top'>): boolean {
  return top?.attributes === undefined || attributesOf(kernel, AT_FDCWD, joinBytes(dir, UPPER)) === top.attributes;
}
