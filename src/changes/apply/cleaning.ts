import { constants } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import type { WalkEntry, WalkPiece, Xattr } from '../../kernel/kernel.js';
import type { Draft } from '../plan/draft.js';
import { Expected } from './expected.js';
import { landingMode, Moved, staysBehind, type Duplicating } from './duplicate.js';
import { lendAccess, lendBelow, lending, type Lent } from './lend.js';
import { ORIGIN_NAME, OriginMark } from '../scan/origin-mark.js';
import { rootFd, spotOf, type OpenDirs, type Spot } from './open-dirs.js';
import { TreeEntries } from '../plan/tree-entries.js';
import { below, isWhiteout, type Cleaning, type Place, type Step } from '../plan/step.js';

const ORIGIN = 'user.overlay.origin' as Bytes;
const NOTHING = Buffer.alloc(0);
const TOP = '' as Bytes;
const ORIGIN_ONLY: Cleaning['marks'] = [{ path: TOP, name: ORIGIN, value: NOTHING }];
export const CLEAN: Cleaning = { whiteouts: [], modes: [], marks: [] };
export const COPIED_UP: Cleaning = { whiteouts: [], modes: [], marks: ORIGIN_ONLY };

/** What has to be taken off a new object that moves, and how to put it back after a roll-back (I8, I9). */
export function cleaningOf(doing: Duplicating, draft: Draft): Cleaning {
  if (draft.source === null || draft.fresh === null) throw new Moved('there is nothing to move');
  if (draft.entries !== null) return treeCleaning(doing, draft, draft.source);
  const known = knownCleaning(doing, draft);
  if (known !== null) return known;
  const mode = draft.fresh.mode & 0o7777;
  const to = landingMode(draft.fresh, doing.keepSpecial);
  const marks = marksOf(doing, draft, draft.source);
  if (mode === to && marks.length === 0) return CLEAN;
  return { whiteouts: [], modes: mode === to ? [] : [{ path: TOP, from: mode, to }], marks };
}

/** The same of what is no directory and keeps its mode, as far as the scan saw enough of it; else null. Most are one of three, and there may be a million. */
export function knownCleaning(doing: Duplicating, draft: Draft): Cleaning | null {
  const { fresh, source, copiedUp } = draft;
  if (fresh === null || source === null || draft.type === 'dir' || (fresh.mode & 0o7777) !== landingMode(fresh, doing.keepSpecial)) return null;
  if (isOriginMark(doing, draft)) return new OriginMark(draft.origin ?? '');
  if (doing.dirs.roots[source.root]?.family !== 'trusted' && copiedUp !== null) return copiedUp ? COPIED_UP : CLEAN;
  return draft.plain ? CLEAN : null;
}

/** The scan saw the one attribute that it has. */
function isOriginMark({ dirs, keepSpecial }: Duplicating, { plain, origin, source }: Draft): boolean {
  return !plain && origin !== null && source !== null && dirs.roots[source.root]?.family === 'trusted' && staysBehind(ORIGIN_NAME, keepSpecial);
}

/** What is put back after a roll-back. A user-mode layer has no mark on a file but an empty origin, which the scan saw. */
function marksOf(doing: Duplicating, draft: Draft, source: Place): Cleaning['marks'] {
  const { family } = doing.dirs.roots[source.root] ?? { family: 'user' };
  if (family === 'user' && draft.type !== 'dir' && draft.copiedUp !== null) {
    return draft.copiedUp ? ORIGIN_ONLY : [];
  }
  if (draft.plain) return [];
  if (isOriginMark(doing, draft)) return new OriginMark(draft.origin ?? '').marks;
  return leaving(doing, spotOf(doing.dirs, source)).map(({ name, value }) => ({ path: '' as Bytes, name, value }));
}

function leaving(doing: Duplicating, spot: Spot): Xattr[] {
  return doing.dirs.kernel.xattrs(spot.at, spot.name).filter(({ name }) => staysBehind(name, doing.keepSpecial));
}

/** Walks the tree that is going to land: each entry must be one that was shown, and nothing else may be in it. */
function treeCleaning(doing: Duplicating, draft: Draft, source: Place): Cleaning {
  const { dirs, keepSpecial } = doing;
  const expected = new Expected(draft.entries ?? new TreeEntries([]));
  const whiteouts: Bytes[] = [];
  const modes: { path: Bytes; from: number; to: number }[] = [];
  const marks: { path: Bytes; name: Bytes; value: Buffer }[] = [];
  const { family } = dirs.roots[source.root] ?? { family: 'user' as const };
  const paths: Bytes[] = [];
  for (const piece of treePieces(dirs, source, family)) {
    for (let at = 0; at < piece.end; at = piece.after(at)) {
      if (piece.whiteout(at)) {
        whiteouts.push(piece.path(at));
        continue;
      }
      const isTop = piece.name(at) === '';
      if (!isTop && !expected.meet(piece, at)) throw new Moved(`${piece.path(at)} changed`);
      const upper = piece.upper(at);
      const mode = upper.mode & 0o7777;
      const to = landingMode(upper, keepSpecial);
      if (to !== mode) modes.push({ path: piece.path(at), from: mode, to });
      if (!piece.plain(at)) paths.push(piece.path(at));
    }
  }
  if (!expected.isWhole) throw new Moved('something in it is gone');
  // After the walk, which lends itself permissions as it goes.
  for (const path of paths) noteMarks(doing, below(source, path), path, marks);
  return { whiteouts, modes, marks };
}

function noteMarks(doing: Duplicating, place: Place, path: Bytes, marks: { path: Bytes; name: Bytes; value: Buffer }[]): void {
  inside(doing.dirs, place, (spot) => {
    for (const { name, value } of leaving(doing, spot)) marks.push({ path, name, value });
  });
}

/** The entries of a tree of the layer in pre-order, the tree itself first. Throws `KernelError` where it can't be read. */
export function* treeWalk(dirs: OpenDirs, tree: Place, family: 'user' | 'trusted'): Generator<WalkEntry> {
  for (const piece of treePieces(dirs, tree, family)) {
    for (let at = 0; at < piece.end; at = piece.after(at)) yield piece.entry(at);
  }
}

function* treePieces(dirs: OpenDirs, tree: Place, family: 'user' | 'trusted'): Generator<WalkPiece> {
  const { at, name } = spotOf(dirs, tree);
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
  const lent = lendTop(dirs, tree);
  const fd = dirs.kernel.open(at, name, flags);
  try {
    yield* dirs.kernel.walkPieces(fd, null, { family, compare: false, unreadable: 'unlock', origins: false });
  } finally {
    dirs.kernel.close(fd);
    lent?.restore();
  }
}

/** The walk opens up what is in the tree, not its top. */
function lendTop(dirs: OpenDirs, tree: Place): Lent | null {
  const { at, name } = spotOf(dirs, tree);
  if ((dirs.kernel.stat(at, name).mode & 0o500) === 0o500) return null;
  // On the host only an undo walks: what it takes away, and has landed like that.
  if (dirs.roots[tree.root]?.role === 'host') return lendBelow(dirs.kernel, at, name);
  return lendAccess(dirs.kernel, rootFd(dirs, tree.root), tree.path);
}

/** What taking overlay marks off new objects goes by. */
export interface Washing {
  readonly dirs: OpenDirs;
  readonly keepSpecial: boolean;
  /** the object is as it was prepared: what is to be taken off is known */
  readonly isFresh: boolean;
}

/** Takes off all that must not reach the host. Repeating it does nothing. */
export function clean({ dirs, keepSpecial, isFresh }: Washing, step: Step): void {
  if (step.clean === null || step.from === null) return;
  const { from } = step;
  for (const path of step.clean.whiteouts) {
    inside(dirs, below(from, path), ({ at, name }) => {
      if (isWhiteout(dirs.kernel.statOrNull(at, name))) dirs.kernel.unlink(at, name);
    });
  }
  for (const { path, to } of step.clean.modes) inside(dirs, below(from, path), ({ at, name }) => dirs.kernel.chmod(at, name, to));
  const marked = step.tree && isFresh ? new Set(step.clean.marks.map(({ path }) => path)) : step.tree ? entriesOf(dirs, from) : [TOP];
  for (const path of marked) {
    inside(dirs, below(from, path), (spot) => strip(dirs, spot, keepSpecial));
  }
}

/** Below directories, too, that the agent may not search any more. */
function inside(dirs: OpenDirs, place: Place, act: (spot: Spot) => void): void {
  lending(dirs, [place], () => act(spotOf(dirs, place)));
}

function entriesOf(dirs: OpenDirs, tree: Place): Bytes[] {
  const paths: Bytes[] = [];
  for (const { path } of treeWalk(dirs, tree, 'user')) paths.push(path);
  return paths.includes('' as Bytes) ? paths : ['' as Bytes, ...paths];
}

function strip(dirs: OpenDirs, spot: Spot, keepSpecial: boolean): void {
  for (const { name } of dirs.kernel.xattrs(spot.at, spot.name)) {
    if (staysBehind(name, keepSpecial)) dirs.kernel.removeXattr(spot.at, spot.name, name);
  }
}

/** The opposite of `clean`, for a new object that is back in the layer. */
export function soil(dirs: OpenDirs, step: Step): void {
  if (step.clean === null || step.from === null) return;
  const { kernel } = dirs;
  const { from: home } = step;
  for (const path of step.clean.whiteouts) {
    inside(dirs, below(home, path), ({ at, name }) => {
      if (kernel.statOrNull(at, name) === null) kernel.mknod(at, name, constants.S_IFCHR, 0);
    });
  }
  for (const { path, name: mark, value } of step.clean.marks) {
    inside(dirs, below(home, path), ({ at, name }) => {
      if (!kernel.xattrs(at, name).some((xattr) => xattr.name === mark)) kernel.setXattr(at, name, mark, value);
    });
  }
  for (const { path, from } of step.clean.modes) inside(dirs, below(home, path), ({ at, name }) => kernel.chmod(at, name, from));
}
