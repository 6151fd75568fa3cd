import { constants } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import { errnoOf } from '../../errors.js';
import { KernelError, RENAME, type Stat } from '../../kernel/kernel.js';
import { clean, soil } from './cleaning.js';
import type { Conflict } from '../change.js';
import type { Disk } from './disk.js';
import { metaOf, Moved, setMeta } from './duplicate.js';
import { conflicted, isMachineError, refusalFor } from './failure.js';
import { isBegun, isSame, writeInPlace } from './inplace.js';
import { lending } from './lend.js';
import { renameUnlocked, settleModes } from './locked.js';
import { isBetween } from './meta-state.js';
import { refused } from '../plan/refusal.js';
import type { Refused } from '../result.js';
import { settleAside } from './rename.js';
import { spotOf, statPlace, type OpenDirs } from './open-dirs.js';
import { absolute, below, dirOf, isIdent, isWhiteout, type Place, type Step } from '../plan/step.js';

/** What steps are landed with, one after the other. */
export interface Landing {
  readonly dirs: OpenDirs;
  readonly keepSpecial: boolean;
  readonly disk: Disk;
  /** straight from its preparation, not after a crash: nobody can have written to layers and vaults since */
  readonly isFresh: boolean;
}

/**
 * Carries out one step as far as it isn't done yet (I4). Returns why not, when
 * the path is refused; throws what concerns the machine. A refused step leaves
 * the host's object in place; `revertStep` brings the rest back.
 */
export function landStep(landing: Landing, step: Step): Refused | null {
  const path = absolute(landing.dirs.roots, step.host);
  try {
    if (!landing.isFresh && step.act === 'swap') settleAside(landing.dirs, step);
    const conflict = ACTS[step.act](landing, step);
    settleModes(landing.dirs, step);
    return conflict === null ? null : conflicted(path, conflict);
  } catch (error) {
    if (error instanceof Moved) return refused({ path }, 'failed', { text: `the layer changed: ${error.message}`, code: 'ESTALE' });
    if (isMachineError(error)) throw error;
    return refusalFor(path, error);
  }
}

const ACTS: Readonly<Record<Step['act'], (landing: Landing, step: Step) => Conflict | null>> = {
  place: landNew,
  swap: landSwap,
  take: landTake,
  meta: landMeta,
  write: landWrite,
  drop: () => null,
};

/** What is on the host instead of what was judged. */
export function surprise(step: Pick<Step, 'old'>, now: Stat | null): Conflict {
  if (now === null) return 'deleted';
  if (step.old === null) return 'created';
  return (now.mode & constants.S_IFMT) === step.old.fmt ? 'changed' : 'type';
}

function landNew(landing: Landing, step: Step): Conflict | null {
  const { dirs } = landing;
  const now = statPlace(dirs, step.host);
  if (isIdent(now, step.fresh)) return null;
  if (now !== null) return 'created';
  if (!linkUp(dirs, step)) return 'changed';
  freshSpot(dirs, step);
  clean(landing, step);
  // Only now: cleaning a large tree opens more directories than are kept open.
  const from = spotOf(dirs, step.from as Place);
  const target = spotOf(dirs, step.host);
  renameUnlocked(dirs, step, { from, to: target, flags: RENAME.noReplace });
  return null;
}

/** A new name of a file of the host is made only now: it changes that file's link count (I1). False: the file is another one. */
function linkUp(dirs: OpenDirs, { link, from, fresh }: Step): boolean {
  if (link === null || from === null || statPlace(dirs, from) !== null) return true;
  if (!isIdent(statPlace(dirs, link), fresh)) return false;
  const file = spotOf(dirs, link);
  const target = spotOf(dirs, from);
  dirs.kernel.link(file.at, file.name, target.at, target.name);
  return true;
}

/** The other name of what is not to be kept is gone: the content would go with this one. */
function isLastName(dirs: OpenDirs, { twin, old }: Step): boolean {
  return twin !== null && statPlace(dirs, twin)?.ino !== old?.ino;
}

function freshSpot(dirs: OpenDirs, step: Step): ReturnType<typeof spotOf> {
  if (step.from === null) throw new Moved('it has no source');
  const spot = spotOf(dirs, step.from);
  if (!isIdent(dirs.kernel.statOrNull(spot.at, spot.name), step.fresh)) throw new Moved(`${step.from.path} is another object`);
  return spot;
}

function landSwap(landing: Landing, step: Step): Conflict | null {
  const { dirs } = landing;
  const { kernel } = dirs;
  const now = statPlace(dirs, step.host);
  if (isIdent(now, step.fresh)) return null;
  if (!isIdent(now, step.old)) return surprise(step, now);
  if (isLastName(dirs, step) || !linkUp(dirs, step)) return 'changed';
  freshSpot(dirs, step);
  clean(landing, step);
  const from = spotOf(dirs, step.from as Place);
  const target = spotOf(dirs, step.host);
  renameUnlocked(dirs, step, { from, to: target, flags: RENAME.exchange });
  const held = kernel.statOrNull(from.at, from.name);
  if (isIdent(held, step.old) && isCovered(dirs, step, step.from as Place)) return null;
  // I5: somebody was faster. What we took goes back to its place.
  renameUnlocked(dirs, step, { from, to: target, flags: RENAME.exchange });
  return surprise(step, held);
}

/** What the directory held when it was judged is what it holds now: nobody added or changed anything (E109). */
function isCovered(dirs: OpenDirs, step: Step, held: Place): boolean {
  if (step.old?.fmt !== constants.S_IFDIR) return true;
  // In our hands by now: what is in it can be looked at although it landed without permissions.
  let lent = false;
  return lending(dirs, [below(held, '-' as Bytes), ...step.covers.map(({ path }) => below(held, path))], () => {
    const unreadable = lent ? 'empty' : 'refused';
    lent = true;
    return coversAll(dirs, step, held, unreadable);
  });
}

/** `refused`: a directory that can't be listed is an error, so that the permission can be lent. */
type Unreadable = 'refused' | 'empty';

function coversAll(dirs: OpenDirs, step: Step, held: Place, unreadable: Unreadable): boolean {
  const counts = new Map<Bytes, number>([['' as Bytes, 0]]);
  for (const { path, ident } of step.covers) {
    if (!isIdent(statPlace(dirs, below(held, path)), ident)) return false;
    const slash = path.lastIndexOf('/');
    const dir = path.slice(0, Math.max(slash, 0)) as Bytes;
    counts.set(dir, (counts.get(dir) ?? 0) + 1);
    if (ident.fmt === constants.S_IFDIR && !counts.has(path)) counts.set(path, 0);
  }
  for (const [dir, count] of counts) if (countIn(dirs, below(held, dir), unreadable) !== count) return false;
  return true;
}

function countIn(dirs: OpenDirs, dir: Place, unreadable: Unreadable): number {
  const { at, name } = spotOf(dirs, dir);
  try {
    const fd = dirs.kernel.open(at, name, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    try {
      return dirs.kernel.list(fd).length;
    } finally {
      dirs.kernel.close(fd);
    }
  } catch (error) {
    // Of a directory that we may not read nothing was listed either.
    if (errnoOf(error) === 'EACCES' && unreadable === 'empty') return 0;
    throw error;
  }
}

function landTake({ dirs }: Landing, step: Step): Conflict | null {
  const { kernel } = dirs;
  if (step.hold === null) return null;
  const now = statPlace(dirs, step.host);
  // Gone: taken by us before a crash, or by the host itself. Both is what was wanted.
  if (now === null) return null;
  if (!isIdent(now, step.old)) return surprise(step, now);
  if (isLastName(dirs, step)) return 'changed';
  const target = spotOf(dirs, step.host);
  const hold = spotOf(dirs, step.hold);
  const replaces = isWhiteout(kernel.statOrNull(hold.at, hold.name));
  renameUnlocked(dirs, step, { from: target, to: hold, flags: replaces ? RENAME.replace : RENAME.noReplace });
  const held = kernel.statOrNull(hold.at, hold.name);
  if (isIdent(held, step.old) && isCovered(dirs, step, step.hold)) return null;
  renameUnlocked(dirs, step, { from: hold, to: target, flags: RENAME.noReplace });
  if (replaces) kernel.mknod(hold.at, hold.name, constants.S_IFCHR, 0);
  return surprise(step, held);
}

function landMeta({ dirs }: Landing, step: Step): Conflict | null {
  const { kernel } = dirs;
  const now = statPlace(dirs, step.host);
  if (!isIdent(now, step.old) || step.meta === null) return surprise(step, now);
  if (!isOnItsWay(dirs, step)) return 'changed';
  setMeta(kernel, spotOf(dirs, step.host), step.meta.fresh);
  const then = statPlace(dirs, step.host);
  if (!isIdent(then, step.old)) return 'changed';
  // With an access list the bits are what that says.
  const isListed = step.meta.fresh.xattrs.some(({ name }) => name === 'system.posix_acl_access');
  if (!isListed && ((then?.mode ?? 0) & 0o777) !== (step.meta.fresh.mode & 0o777)) throw new KernelError('ENOTSUP', 95, 'fchmodat2', step.host.path, 'its filesystem takes no such mode');
  return null;
}

/** Nobody but us gave it another mode, owner or attribute since it was prepared (I5, I13). */
function isOnItsWay({ kernel, ...dirs }: OpenDirs, { host, meta, act }: Step): boolean {
  const { at, name } = spotOf({ kernel, ...dirs }, host);
  return meta !== null && isBetween(metaOf(kernel, { at, name }, true), meta, act === 'write');
}

/** I12. Not atomic for a reader, but for a crash: it is done again from the start. */
function landWrite({ dirs, disk, isFresh }: Landing, step: Step): Conflict | null {
  const now = statPlace(dirs, step.host);
  if (step.meta === null || now === null || now.ino !== step.old?.ino) return surprise(step, now);
  const source = freshPlace(dirs, step);
  if (source === null) throw new Moved('the new content is gone');
  // Untouched, or what we wrote before a crash: what somebody saved there since stays.
  const isOurs = isFresh ? isSame : isBegun;
  if (!isOnItsWay(dirs, step) || (!isIdent(now, step.old) && !isOurs(dirs, source, step.host))) return 'changed';
  writeInPlace({ dirs, disk }, source, step.host);
  setMeta(dirs.kernel, spotOf(dirs, step.host), step.meta.fresh);
  const stamp = dirs.kernel.stat(spotOf(dirs, source).at, spotOf(dirs, source).name);
  const target = spotOf(dirs, step.host);
  dirs.kernel.utimes(target.at, target.name, stamp.atimeNs, stamp.mtimeNs);
  return null;
}

/** Where the new content of a `write` lies. */
function freshPlace(dirs: OpenDirs, { from, spent, fresh }: Step): Place | null {
  return [from, spent?.keep ?? null].find((place) => place !== null && isIdent(statPlace(dirs, place), fresh)) ?? null;
}

/** Brings back what `landStep` did, in whatever state it is; leaves alone what somebody else put there (I13). */
export function revertStep(landing: Landing, step: Step): void {
  const { dirs } = landing;
  restoreSpent(dirs, step);
  if (step.act === 'meta' && isIdent(statPlace(dirs, step.host), step.old)) revertMeta(dirs, step);
  if (step.act === 'write') revertWrite(landing, step);
  if (step.act === 'place') revertNew(landing, step);
  if (step.act === 'swap') {
    settleAside(dirs, step);
    revertSwap(landing, step);
  }
  if (step.act === 'take') revertTake(dirs, step);
  settleModes(dirs, step);
}

function restoreSpent({ kernel, ...dirs }: OpenDirs, step: Step): void {
  if (step.spent === null) return;
  const all = { kernel, ...dirs };
  const { at, keep } = step.spent;
  if (statPlace(all, at) !== null || !hasDir(all, at)) return;
  const target = spotOf(all, at);
  if (keep === null) {
    kernel.mknod(target.at, target.name, constants.S_IFCHR, 0);
    return;
  }
  if (statPlace(all, keep) === null) return;
  const kept = spotOf(all, keep);
  kernel.rename(kept.at, kept.name, target.at, target.name, RENAME.noReplace);
}

function revertMeta(dirs: OpenDirs, step: Step): void {
  if (step.meta !== null && isOnItsWay(dirs, step)) setMeta(dirs.kernel, spotOf(dirs, step.host), step.meta.old);
}

function revertWrite({ dirs, disk }: Landing, step: Step): void {
  const now = statPlace(dirs, step.host);
  if (step.keep === null || step.meta === null || now === null || now.ino !== step.old?.ino) return;
  const source = freshPlace(dirs, step);
  // Not begun, but perhaps opened up for it.
  if (isIdent(now, step.old)) return revertMeta(dirs, step);
  if (source === null || !isBegun(dirs, source, step.host)) return;
  writeInPlace({ dirs, disk }, step.keep, step.host);
  revertMeta(dirs, step);
  const target = spotOf(dirs, step.host);
  dirs.kernel.utimes(target.at, target.name, now.atimeNs, step.old.mtimeNs);
}

/** Null as well where we may not look any more: what is still in its first place has not landed. After a crash nobody knows. */
function landedAt({ dirs, isFresh }: Landing, { host, from, fresh }: Step): Stat | null {
  try {
    return statPlace(dirs, host);
  } catch (error) {
    if (!isFresh || errnoOf(error) !== 'EACCES' || from === null || !isIdent(statPlace(dirs, from), fresh)) throw error;
    return null;
  }
}

function revertNew(landing: Landing, step: Step): void {
  const { dirs } = landing;
  if (step.from === null) return;
  if (isIdent(landedAt(landing, step), step.fresh)) {
    const target = spotOf(dirs, step.host);
    const from = spotOf(dirs, step.from);
    renameUnlocked(dirs, step, { from: target, to: from, flags: RENAME.noReplace });
  }
  if (isIdent(statPlace(dirs, step.from), step.fresh)) soil(dirs, step);
}

function revertSwap(landing: Landing, step: Step): void {
  const { dirs } = landing;
  if (step.from === null) return;
  if (isIdent(landedAt(landing, step), step.fresh)) {
    const held = [step.hold, step.keep].find((place) => place !== null && isIdent(statPlace(dirs, place), step.old));
    if (held === null || held === undefined) throw new Moved('the old object is gone from the undo store');
    const at = spotOf(dirs, held);
    const target = spotOf(dirs, step.host);
    renameUnlocked(dirs, step, { from: at, to: target, flags: RENAME.exchange });
  }
  bringHome(dirs, step);
  if (isIdent(statPlace(dirs, step.from), step.fresh)) soil(dirs, step);
}

/** After tidying the exchange leaves the new object in the vault. */
function bringHome(dirs: OpenDirs, step: Step): void {
  const { from, keep, fresh } = step;
  if (from === null || keep === null || statPlace(dirs, from) !== null || !isIdent(statPlace(dirs, keep), fresh)) return;
  const kept = spotOf(dirs, keep);
  const home = spotOf(dirs, from);
  renameUnlocked(dirs, step, { from: kept, to: home, flags: RENAME.noReplace });
}

/** Whoever removed a sandbox's directory must not hold up its commit for ever. */
function hasDir(dirs: OpenDirs, { root, path }: Place): boolean {
  return statPlace(dirs, { root, path: dirOf(path) }) !== null;
}

function revertTake(dirs: OpenDirs, step: Step): void {
  const held = [step.hold, step.keep].find((place) => place !== null && isIdent(statPlace(dirs, place), step.old));
  if (held !== null && held !== undefined && statPlace(dirs, step.host) === null) {
    const at = spotOf(dirs, held);
    const target = spotOf(dirs, step.host);
    renameUnlocked(dirs, step, { from: at, to: target, flags: RENAME.noReplace });
  }
  if (step.hold === null || dirs.roots[step.hold.root]?.role !== 'layer' || !hasDir(dirs, step.hold) || statPlace(dirs, step.hold) !== null) return;
  const hold = spotOf(dirs, step.hold);
  dirs.kernel.mknod(hold.at, hold.name, constants.S_IFCHR, 0);
}
