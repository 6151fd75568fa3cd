import { constants } from 'node:fs';
import { errnoOf } from '../../errors.js';
import type { Stat } from '../../kernel/kernel.js';
import { lendAccess } from './lend.js';
import { move, type Move } from './rename.js';
import { rootFd, spotOf, statPlace, type OpenDirs } from './open-dirs.js';
import { splitPath, type Place, type Step } from '../plan/step.js';

/**
 * A directory of a layer that its owner may not write (the agent took the bit
 * away last) must give its entries out all the same: it lends the permission
 * while a commit runs. The journal has its mode.
 */
export interface Lend extends Place {
  readonly mode: number;
}

export const OWNER_WRITES = 0o300;

/** The layer's directories that their owner can't write and search, with their modes: a commit opens them for its steps, and puts the mode back. Each once. */
export function findLends(dirs: OpenDirs, steps: Iterable<Step>): Lend[] {
  const seen = new Set<string>();
  const lends: Lend[] = [];
  for (const { from, hold, spent } of steps) {
    for (const place of [from, hold, spent === null ? null : spent.at]) {
      if (place !== null && dirs.roots[place.root]?.role === 'layer') lends.push(...lockedAbove(dirs, place, seen));
    }
  }
  return lends;
}

/** Upwards until a directory that was seen before: what is above it was seen with it. */
function lockedAbove(dirs: OpenDirs, { root, path }: Place, seen: Set<string>): Lend[] {
  const lends: Lend[] = [];
  for (let at = splitPath(path).dir; !seen.has(`${root}/${at}`); at = splitPath(at).dir) {
    seen.add(`${root}/${at}`);
    const stat = statLocked(dirs, { root, path: at });
    if (stat !== null && (stat.mode & OWNER_WRITES) !== OWNER_WRITES) lends.push({ root, path: at, mode: stat.mode & 0o7777 });
    if (at === '') break;
  }
  return lends;
}

/** What is above may be locked as well: that is opened up for the look. */
function statLocked(dirs: OpenDirs, place: Place): Stat | null {
  try {
    return statPlace(dirs, place);
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error;
  }
  const lent = lendAccess(dirs.kernel, rootFd(dirs, place.root), splitPath(place.path).dir);
  try {
    return statPlace(dirs, place);
  } finally {
    lent?.restore();
  }
}

/** Outer directories first, as inner ones may not be reachable before. */
export function lend(dirs: OpenDirs, lends: readonly Lend[]): void {
  for (const { root, path, mode } of [...lends].sort((a, b) => a.path.length - b.path.length)) {
    setMode(dirs, { root, path }, mode | OWNER_WRITES);
  }
}

/** Inner directories first. */
export function giveBack(dirs: OpenDirs, lends: readonly Lend[]): void {
  for (const { root, path, mode } of [...lends].sort((a, b) => b.path.length - a.path.length)) setMode(dirs, { root, path }, mode);
}

/** What is gone (to the vault, with all of its layer) needs nothing. */
function setMode(dirs: OpenDirs, place: Place, mode: number): void {
  const stat = statPlace(dirs, place);
  if (stat === null || (stat.mode & 0o7777) === mode) return;
  const { at, name } = spotOf(dirs, place);
  dirs.kernel.chmod(at, name, mode);
}

/** Modes of directories that a rename can move only while their owner may write them (their `..` changes). */
export function lockedMode(stat: { readonly mode: number } | null): number | null {
  if (stat === null || (stat.mode & constants.S_IFMT) !== constants.S_IFDIR || (stat.mode & 0o200) !== 0) return null;
  return stat.mode & 0o7777;
}

/** A rename that opens up a directory which is in the way by its own mode; the step's modes are settled afterwards. */
export function renameUnlocked(dirs: OpenDirs, step: Pick<Step, 'locked'>, { from, to, flags }: Move): void {
  const { kernel } = dirs;
  try {
    move(kernel, { from, to, flags });
  } catch (error) {
    if (step.locked === null || errnoOf(error) !== 'EACCES') throw error;
    for (const { at, name } of [from, to]) {
      const mode = lockedMode(kernel.statOrNull(at, name));
      if (mode !== null) kernel.chmod(at, name, mode | OWNER_WRITES);
    }
    move(kernel, { from, to, flags });
  }
}

/** Gives both objects of a step their own modes again, wherever they are by now. */
export function settleModes(dirs: OpenDirs, step: Step): void {
  if (step.locked === null) return;
  for (const place of [step.host, step.from, step.hold, step.keep]) {
    const stat = place === null ? null : statPlace(dirs, place);
    if (place === null || stat === null) continue;
    const mode = stat.ino === step.fresh?.ino ? step.locked.fresh : stat.ino === step.old?.ino ? step.locked.old : null;
    if (mode !== null && (stat.mode & 0o7777) !== mode) setMode(dirs, place, mode);
  }
}
