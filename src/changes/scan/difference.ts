import { constants } from 'node:fs';
import type { WalkEntry } from '../../kernel/kernel.js';
import type { Change } from '../change.js';

/** Whose files they are, for what a one-uid map makes of owners. */
export interface Ownership {
  readonly mode: 'user' | 'root';
  readonly uid: number;
}

/** How two objects of the same type differ. */
export interface Difference {
  readonly content: boolean;
  readonly meta: Change['meta'];
}

const PERMISSIONS = 0o7777;

/** Pure: what differs between an entry of a layer and its base, which have the same type. */
export function differenceOf(entry: WalkEntry, ownership: Ownership): Difference {
  return { content: contentDiffers(entry), meta: metaOf(entry, ownership) };
}

function contentDiffers(entry: WalkEntry): boolean {
  const type = entry.upper.mode & constants.S_IFMT;
  if (type === constants.S_IFCHR || type === constants.S_IFBLK) return entry.upper.rdev !== entry.base?.rdev;
  return entry.sameContent === false;
}

function metaOf(entry: WalkEntry, ownership: Ownership): Change['meta'] {
  const { upper, base } = entry;
  if (base === null || isStandIn(entry, ownership)) return [];
  const meta: Change['meta'][number][] = [];
  const link = (upper.mode & constants.S_IFMT) === constants.S_IFLNK;
  if (!link && ((upper.mode ^ base.mode) & PERMISSIONS) !== 0) meta.push('mode');
  if (ownerDiffers(entry, ownership)) meta.push('owner');
  if (entry.sameXattrs === false) meta.push('xattr');
  if (entry.sameAcl === false) meta.push('acl');
  return meta;
}

/**
 * In user mode what the layer has over a directory of somebody else is a copy
 * of the driver's stand-in for it (shim): its metadata say nothing of the agent,
 * who could not have changed the real ones either.
 */
function isStandIn(entry: WalkEntry, { mode, uid }: Ownership): boolean {
  const isDirectory = (entry.upper.mode & constants.S_IFMT) === constants.S_IFDIR;
  return mode === 'user' && isDirectory && entry.base?.uid !== uid;
}

/**
 * In user mode the map has one uid and one gid, so all that is in a layer
 * belongs to the user: another owner of the base is no doing of the agent.
 */
function ownerDiffers({ upper, base }: WalkEntry, { mode, uid }: Ownership): boolean {
  if (base === null) return false;
  if (mode === 'user') return base.uid === uid && upper.uid !== uid;
  return upper.uid !== base.uid || upper.gid !== base.gid;
}
