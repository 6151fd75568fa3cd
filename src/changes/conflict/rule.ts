import { constants } from 'node:fs';
import type { Stat } from '../../kernel/kernel.js';
import type { CapturedBase } from '../base.js';
import type { Change, Conflict } from '../change.js';
import type { Owner } from '../capture/epoch.js';

/** All that is known of one change's base. */
export interface Evidence {
  /** the base was changed at or after T0, and not by agentfw */
  readonly touched: boolean;
  /** T0 says nothing: the clock runs behind it */
  readonly t0: bigint;
  /** null: not captured */
  readonly captured: CapturedBase | null;
  /** the base has the captured content; only asked when it is captured */
  readonly sameContent: () => boolean;
  /** the base has the captured attributes, as far as these are known */
  readonly sameAttributes: () => boolean;
  /** the layer's entry was copied up from a base; only asked when nothing was captured */
  readonly copiedUp: () => boolean;
  /** entries of the host's directory above changed at or after T0 */
  readonly parentChanged: () => boolean;
  /** agentfw itself landed something at this path before: not what is there now */
  readonly landedBefore: boolean;
  /** a directory that agentfw landed, and that is still the same one: what it landed with */
  readonly landedDir: Owner | null;
  /** agentfw itself took the base away */
  readonly tookAway: boolean;
  /** git put what it said or held elsewhere */
  readonly packed: () => boolean;
}

/** The T0 rule for one change, its ancestors aside (docs/commit.md, Conflicts). Pure but for what it asks. */
export function conflictOf(change: Change, evidence: Evidence): Conflict | null {
  if (change.kind === 'rename' && change.implied) return null;
  if (change.base === null) return deletedByHost(change, evidence) ? 'deleted' : null;
  if (!evidence.touched) return null;
  return isDir(change.base) ? directoryConflict(change, change.base, evidence) : objectConflict(change, change.base, evidence);
}

/** A file that came up from a base may have been renamed to here by the agent; a deletion by the host shows above it. */
function deletedByHost({ type }: Change, { captured, copiedUp, parentChanged, landedBefore, tookAway, packed }: Evidence): boolean {
  if (tookAway) return false;
  if (landedBefore && type !== 'dir') return !packed();
  // A directory of a base can't be renamed inside: it came up here, and was gone by the time that the capture looked.
  if (captured?.state === 'absent') return type === 'dir' && parentChanged() && copiedUp() && !packed();
  const isCertain = captured !== null && captured.state !== 'unknown';
  return (isCertain || (parentChanged() && copiedUp())) && !packed();
}

function isDir(stat: Stat): boolean {
  return (stat.mode & constants.S_IFMT) === constants.S_IFDIR;
}

function objectConflict(change: Change, base: Stat, evidence: Evidence): Conflict | null {
  const { captured } = evidence;
  if (evidence.landedBefore) return 'changed';
  if (captured === null || captured.state === 'unknown') return uncaptured(change, base, evidence);
  if (captured.state === 'absent') return 'created';
  if ((captured.mode & constants.S_IFMT) !== (base.mode & constants.S_IFMT)) return 'type';
  return sameOwner(captured, base) && evidence.sameContent() && evidence.sameAttributes() ? null : 'changed';
}

function uncaptured(change: Change, base: Stat, { t0, copiedUp }: Evidence): Conflict {
  if (change.kind === 'type') return 'type';
  if (!isNew(base, t0)) return 'uncaptured';
  // The host made it, and the agent too, or never saw it: not an edit of one file by both.
  return change.implied || (change.upper !== null && !copiedUp()) ? 'created' : 'uncaptured';
}

function isNew({ btimeNs }: Stat, t0: bigint): boolean {
  return btimeNs !== 0n && btimeNs >= t0;
}

/**
 * What is in a directory is judged entry by entry. The directory itself
 * conflicts when it is another one or its own metadata changed; that its
 * entries changed (mtime too) proves neither.
 */
function directoryConflict(change: Change, base: Stat, { captured, landedDir, t0, sameAttributes, copiedUp }: Evidence): Conflict | null {
  if (landedDir !== null) return sameOwner(landedDir, base) ? null : 'changed';
  if (captured?.state === 'dir') {
    if (captured.ino !== base.ino || captured.btimeNs !== base.btimeNs || !sameOwner(captured, base) || !sameAttributes()) return 'changed';
    // Not looked at where entries had come and gone before the agent came.
    return captured.attributes === null && (change.meta.includes('xattr') || change.meta.includes('acl')) ? 'uncaptured' : null;
  }
  if (captured?.state === 'absent') return 'created';
  if (captured !== null && captured.state !== 'unknown') return 'type';
  if (change.kind === 'metadata') return isNew(base, t0) && !copiedUp() ? 'created' : 'uncaptured';
  if (isNew(base, t0)) return change.kind === 'type' ? 'type' : 'created';
  // Its own metadata would land as well: nobody can say whether these changed, too.
  return base.mtimeNs >= t0 && change.meta.length === 0 ? null : 'uncaptured';
}

function sameOwner(a: Omit<Owner, 'btimeNs'>, b: Omit<Owner, 'btimeNs'>): boolean {
  return a.mode === b.mode && a.uid === b.uid && a.gid === b.gid;
}

/** A directory above a change: was it renamed or replaced? */
export function isParentMoved(now: Stat | null, { touched, t0, captured }: Pick<Evidence, 'touched' | 't0' | 'captured'>): boolean {
  if (now === null || !isDir(now)) return true;
  if (!touched) return false;
  if (captured?.state === 'dir') return captured.ino !== now.ino || captured.btimeNs !== now.btimeNs;
  // A rename changes a directory's ctime only; new entries change both times.
  return now.mtimeNs < t0;
}
