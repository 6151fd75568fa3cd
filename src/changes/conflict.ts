import type { Bytes } from '../bytes.js';
import { joinBytes, parentOf } from '../bytes.js';
import { errnoOf, isRefusal } from '../errors.js';
import type { Fd, Kernel, Stat } from '../kernel/kernel.js';
import { attributesOf } from '../kernel/attributes.js';
import { objectAt } from '../kernel/object.js';
import { openBase, readBases, type CapturedBase } from './base.js';
import type { Change, Conflict } from './change.js';
import { isClockBehind } from './capture/clock.js';
import { keepDatabases } from './database/conflict.js';
import { keepObjects, packedConflict, saysWhatLanded } from './git/conflict.js';
import { withoutBothMade } from './conflict/both-made.js';
import { accessAround } from './conflict/closed.js';
import { conflictOf, isParentMoved } from './conflict/rule.js';
import { hasLanded, landedDir, readEpochs, tookAway } from './capture/epoch.js';
import { withFileConflicts } from './scan/hostlink.js';
import { isMachineError } from './apply/failure.js';
import { lendAccess } from './apply/lend.js';
import { isSpareOfGit, packedRefs } from './git/packed-ref.js';
import { hostPlace, isTouched, openQuietly, READ, type Judging } from './conflict/judging.js';
import { closeDirs, openDirs, rootFd, spotOf, statPlace, type OpenDirs } from './apply/open-dirs.js';
import { isBelow } from './plan/drops.js';
import { relativeTo, splitPath, type Place, type Root } from './plan/step.js';
import type { CommitContext } from './store-context.js';
import { mayBeIndex, saySame } from './git/touched-index.js';
import { isLost, withoutUntouched, type Judged } from './conflict/untouched.js';

/**
 * Fills in `conflict` by the T0 rule, epochs and captured bases, and leaves out
 * what differs by the host's doing alone. Reads the host, writes nothing.
 */
export function judgeConflicts<T extends Change>(
  ctx: CommitContext,
  changes: readonly T[],
  known: Known = knownOf(ctx),
): (T & { readonly conflict: Conflict | null })[] {
  const judging = start(ctx, changes, known);
  try {
    const all = withoutBothMade(changes.map((change) => withConflict(change, judge(judging, change))), judging.bases);
    const lost = new Set(all.filter(isLost).map(({ path }) => path));
    const judged = withoutUntouched(keepDatabases(judging, keepObjects(judging, withFileConflicts(all))), (change) => isUntouched(judging, change));
    return lost.size === 0 ? [...judged] : judged.map((change) => (isBelow(change.path, lost) ? { ...change, conflict: 'parent' } : change));
  } finally {
    closeDirs(judging.dirs);
  }
}

/**
 * The layer's entry is what was captured when it came up (the agent touched it,
 * or took its change back): the difference is the host's, and there is nothing
 * to land. Where the base's attributes are not known, one of these is taken for the agent's.
 */
function isUntouched(judging: Judging, change: Judged): boolean {
  const { upper, type, kind, conflict, meta } = change;
  const captured = judging.bases.get(change.basePath ?? change.path);
  const mayBe = conflict === 'changed' ? kind === 'modify' || kind === 'metadata' : conflict === 'deleted' && kind === 'add';
  if (!mayBe || upper === null || captured === undefined || change.opaque || captured.state !== type) return false;
  const sameOwner = judging.ctx.record.mode === 'user' || (captured.uid === upper.uid && captured.gid === upper.gid);
  if (captured.mode !== upper.mode || !sameOwner) return false;
  // Of what the host has no more no metadata was compared. What nobody looked at is taken for none.
  const base = kind === 'add' ? (captured.attributes ?? '') : captured.attributes;
  if ((kind === 'add' || meta.includes('xattr') || meta.includes('acl')) && (base === null || attributesInLayer(judging, change) !== base)) return false;
  if (type === 'symlink') return change.target === captured.detail;
  return type === 'dir' || ((captured.size === upper.size || mayBeIndex(change.path)) && layerHas(judging, change, captured));
}

/** The layer's file has the content that was captured; what can't be read is taken for changed. */
function layerHas({ dirs, sandboxDir }: Judging, change: Change, captured: CapturedBase): boolean {
  const { kernel } = dirs;
  const upper = openQuietly(dirs, { root: 2 * change.at.layer + 1, path: change.at.path });
  let stored: Fd | null = null;
  try {
    stored = upper === null ? null : openBase(kernel, sandboxDir, captured);
    return upper !== null && stored !== null && isSame(kernel, change, [upper, stored]);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return false;
  } finally {
    for (const fd of [upper, stored]) if (fd !== null) kernel.close(fd);
  }
}

function attributesInLayer({ dirs }: Judging, { at }: Change): string | null {
  return attributesAt(dirs, { root: 2 * at.layer + 1, path: at.path });
}

function attributesAt(dirs: OpenDirs, place: Place): string | null {
  try {
    const { at, name } = spotOf(dirs, place);
    return attributesOf(dirs.kernel, at, name);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return null;
  }
}

/** Byte by byte; a git index by what it says. */
function isSame(kernel: Kernel, { path }: Change, [a, b]: readonly [Fd, Fd]): boolean {
  return kernel.sameBytes(a, b) || (mayBeIndex(path) && saySame(kernel, a, b));
}

/** Most have none, and need no copy to say so. */
function withConflict<T extends Change>(change: T, conflict: Conflict | null): T & { readonly conflict: Conflict | null } {
  if ('conflict' in change && change.conflict === conflict) return change as T & { readonly conflict: Conflict | null };
  return { ...change, conflict };
}

/** What the store says of a sandbox, whatever its changes are. */
export type Known = Pick<Judging, 'bases' | 'epochs'>;

/** Reads both from the store. Throws `KernelError`. */
export function knownOf(ctx: CommitContext): Known {
  const dir = sandboxDirOf(ctx);
  return { bases: readBases(ctx.kernel, dir), epochs: readEpochs(ctx.kernel, dir) };
}

/** Where the sandbox of a commit lies in the store; the tag was checked when the record was read. */
export function sandboxDirOf({ stateDir, record }: CommitContext): Bytes {
  return joinBytes(joinBytes(stateDir, 'sandboxes' as Bytes), record.tag as Bytes);
}

function start(ctx: CommitContext, changes: readonly Change[], known: Known): Judging {
  const { kernel, record } = ctx;
  const sandboxDir = sandboxDirOf(ctx);
  const roots = record.layers.flatMap((layer): Root[] => [
    { role: 'host', dir: layer.base, family: layer.family },
    { role: 'layer', dir: joinBytes(layer.dir, 'upper' as Bytes), family: layer.family },
  ]);
  return {
    ctx,
    sandboxDir,
    ...known,
    t0: record.t0,
    clockIsBehind: isClockBehind(ctx),
    dirs: openDirs(kernel, roots),
    packed: packedRefs(kernel),
    parents: new Map(),
    access: new Map(),
    others: new Map(),
    asked: null,
    own: ownDirs(changes),
  };
}

function ownDirs(changes: readonly Change[]): ReadonlySet<Bytes> {
  const own = new Set<Bytes>();
  for (const { type, kind, base, path } of changes) if (type === 'dir' && (kind === 'add' || kind === 'type' || base === null)) own.add(path);
  return own;
}

function judge(judging: Judging, change: Change): Conflict | null {
  const own = ownConflict(judging, change);
  // What can't be looked at only seems to be gone.
  if (own !== null && (change.base !== null || accessAround(judging, change) !== 'unseen')) return own;
  if (isOtherBase(judging, change.at.layer)) return 'parent';
  if (judging.dirs.roots[2 * change.at.layer]?.dir === change.path) return null;
  if (accessAround(judging, change) !== 'open') return 'permission';
  return parentMoved(judging, change.at.layer, (change.basePath === undefined ? change.ordinaryIn : undefined) ?? parentOf(change.basePath ?? change.path)) ? 'parent' : null;
}

function ownConflict(judging: Judging, change: Change): Conflict | null {
  const path = change.basePath ?? change.path;
  const touched = change.base !== null && isTouched(judging, path, change.base);
  // An untouched base is the rule, and asks for nothing else.
  if (change.base !== null && !touched) return null;
  const captured = judging.bases.get(path) ?? null;
  const reference = change.base === null && change.type === 'file' ? packedConflict(judging, path, captured) : undefined;
  if (reference !== undefined) return reference;
  // So is what the host never had: nothing came up from there, and nothing was captured.
  const landedBefore = hasLanded(judging.epochs, path);
  if (change.base === null && change.copiedUp === false && !landedBefore && (captured === null || captured.state === 'absent')) return null;
  return conflictOf(change, {
    touched: touched && !saysWhatLanded(judging, change),
    t0: judging.t0,
    captured,
    sameContent: () => captured !== null && hasContent(judging, change, captured),
    sameAttributes: () => captured === null || captured.attributes === null || attributesAt(judging.dirs, hostPlace(judging.dirs, change)) === captured.attributes,
    copiedUp: () => change.copiedUp ?? isCopiedUp(judging, change),
    parentChanged: () => entriesChanged(judging, change.at.layer, parentOf(path)),
    landedBefore,
    landedDir: change.base === null ? null : landedDir(judging.epochs, path, change.base),
    tookAway: tookAway(judging.epochs, path),
    packed: () => isSpareOfGit(change),
  });
}

/** The layer's base is not the directory that it lay over: a mount there is gone or another one, and what was beneath it is no place for this. */
function isOtherBase({ ctx, dirs, others }: Judging, layer: number): boolean {
  const known = others.get(layer);
  if (known !== undefined) return known;
  const over = ctx.record.layers[layer]?.top?.over;
  const now = over === undefined ? null : objectAt(ctx.kernel, (dirs.roots[2 * layer] as Root).dir);
  const isOther = now !== null && now !== over;
  others.set(layer, isOther);
  return isOther;
}

/** Up to the layer's base; a loop with a memo, as paths may be thousands deep. */
function parentMoved(judging: Judging, layer: number, dir: Bytes): boolean {
  const known = judging.parents.get(dir);
  if (known !== undefined) return known;
  const base = judging.dirs.roots[2 * layer]?.dir ?? ('/' as Bytes);
  const chain: Bytes[] = [];
  let at = dir;
  for (; !judging.parents.has(at); at = parentOf(at)) {
    chain.push(at);
    if (at === base || at === '/') break;
  }
  let moved = judging.parents.get(at) ?? false;
  for (const path of chain.reverse()) {
    moved ||= !judging.own.has(path) && isMoved(judging, layer, path);
    judging.parents.set(path, moved);
  }
  return moved;
}

function isMoved(judging: Judging, layer: number, dir: Bytes): boolean {
  const base = judging.dirs.roots[2 * layer]?.dir ?? ('/' as Bytes);
  const now = statQuietly(judging.dirs, { root: 2 * layer, path: relativeTo(base, dir) });
  const captured = judging.bases.get(dir) ?? null;
  // A clock that is behind proves nothing against a directory: what is in it is judged by itself.
  const touched = now !== null && now.ctimeNs >= judging.t0 && isTouched(judging, dir, now) && landedDir(judging.epochs, dir, now) === null;
  return isParentMoved(now, { touched, t0: judging.t0, captured });
}

function entriesChanged(judging: Judging, layer: number, dir: Bytes): boolean {
  const { dirs, t0, asked } = judging;
  if (asked !== null && asked.dir === dir && asked.layer === layer) return asked.changed;
  const base = dirs.roots[2 * layer]?.dir ?? ('/' as Bytes);
  const now = statQuietly(dirs, { root: 2 * layer, path: relativeTo(base, dir) });
  const changed = now !== null && now.mtimeNs >= t0;
  judging.asked = { layer, dir, changed };
  return changed;
}

/** null for whatever stands in the way of looking. */
function statQuietly(dirs: OpenDirs, place: Place): Stat | null {
  try {
    return statPlace(dirs, place);
  } catch (error) {
    if (['ELOOP', 'EXDEV', 'EACCES'].includes(errnoOf(error) ?? '')) return null;
    throw error;
  }
}

function isCopiedUp({ dirs }: Judging, change: Change): boolean {
  if (change.implied || change.type === 'symlink') return false;
  const root = 2 * change.at.layer + 1;
  try {
    return hasOrigin(dirs, { root, path: change.at.path });
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error;
  }
  const lent = lendAccess(dirs.kernel, rootFd(dirs, root), splitPath(change.at.path).dir);
  try {
    return hasOrigin(dirs, { root, path: change.at.path });
  } finally {
    lent?.restore();
  }
}

function hasOrigin(dirs: OpenDirs, place: Place): boolean {
  const { at, name } = spotOf(dirs, place);
  const { family } = dirs.roots[place.root] as Root;
  return dirs.kernel.xattrs(at, name).some((xattr) => xattr.name === `${family}.overlay.origin`);
}

/** The host's object has the content that was captured; one that it removes or replaces just now has another. */
function hasContent(judging: Judging, change: Change, captured: CapturedBase): boolean {
  try {
    return readsAs(judging, change, captured);
  } catch (error) {
    if (isMachineError(error)) throw error;
    return false;
  }
}

function readsAs(judging: Judging, change: Change, captured: CapturedBase): boolean {
  const { dirs } = judging;
  const { kernel } = dirs;
  const { at, name } = spotOf(dirs, hostPlace(dirs, change));
  if (captured.state === 'symlink') return kernel.readlink(at, name) === captured.detail;
  if (captured.state !== 'file' || (change.base?.size !== captured.size && !mayBeIndex(change.path))) return false;
  const stored = openBase(kernel, judging.sandboxDir, captured);
  try {
    const now = kernel.open(at, name, READ);
    try {
      return isSame(kernel, change, [stored, now]);
    } finally {
      kernel.close(now);
    }
  } finally {
    kernel.close(stored);
  }
}
