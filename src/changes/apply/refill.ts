import { constants } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import { errnoOf } from '../../errors.js';
import type { Plan } from '../plan/draft.js';
import type { Journal } from '../journal/journal.js';
import { OWNER_WRITES } from './locked.js';
import { dirFd, rootFd, spotOf, statPlace, type OpenDirs } from './open-dirs.js';
import { numbered, splitPath, type Place, type Root, type Step } from '../plan/step.js';

/**
 * What a commit dropped from a layer (`--take host`, `discard PATH`, a policy)
 * goes back into it by an undo. There the layer is what the host is for other
 * steps: a root `as` the base that it lies over.
 */
export interface Refill {
  /** the commit's roots and, behind them, three more for each layer that gets something back */
  readonly roots: readonly Root[];
  /** number of a layer among the commit's to its number as one that is refilled */
  readonly layers: ReadonlyMap<number, number>;
}

/** Whether a step is about a layer alone: it took something out, or an undo put something in. */
export function isOfLayer(roots: readonly Root[], { act, host, spent }: Step): boolean {
  return roots[host.root]?.as !== undefined || (act === 'drop' && spent !== null && spent.keep !== null);
}

/** `undone` are the roots of the undo. Refused steps, and those that took nothing out of a layer, ask for nothing. */
export function refillOf(journal: Journal, undone: readonly Root[]): Refill {
  const given = journal.header.roots;
  const roots = [...undone];
  const layers = new Map<number, number>();
  for (const [index, step] of numbered(journal.steps)) {
    const layer = Math.floor(step.host.root / 3);
    if (step.act !== 'drop' || layers.has(layer) || journal.refused.has(index) || !isOfLayer(given, step)) continue;
    const [host, upper] = [given[3 * layer] as Root, given[3 * layer + 1] as Root];
    layers.set(layer, roots.length / 3);
    roots.push({ role: 'host', dir: upper.dir, family: upper.family, as: host.dir }, undone[3 * layer + 1] as Root, undone[3 * layer + 2] as Root);
  }
  return { roots, layers };
}

/**
 * The directories above what goes back may have left the layer since: they are
 * made again as the base has them, which is no change. What can't be made is
 * missing, and is refused as such.
 */
export function makeParents(dirs: OpenDirs, { steps, roots, undoes }: Plan): void {
  if (undoes === null) return;
  for (const { host, act } of steps) {
    const root = roots[host.root];
    if (root?.as === undefined || act === 'take') continue;
    const base = roots.findIndex(({ role, dir, as }) => role === 'host' && as === undefined && dir === root.as);
    if (base >= 0) makeAbove(dirs, host, base);
  }
}

function makeAbove(dirs: OpenDirs, { root, path }: Place, base: number): void {
  const missing: Bytes[] = [];
  for (let at = splitPath(path).dir; at !== ''; at = splitPath(at).dir) {
    if (statPlace(dirs, { root, path: at }) !== null) break;
    missing.push(at);
  }
  try {
    const [first, ...below] = missing.reverse();
    if (first !== undefined) withWriting(dirs, { root, path: splitPath(first).dir }, () => makeLike(dirs, { root, path: first }, { root: base, path: first }));
    for (const dir of below) makeLike(dirs, { root, path: dir }, { root: base, path: dir });
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES', 'EPERM', 'EEXIST'].includes(errnoOf(error) ?? '')) throw error;
  }
}

/** A layer's top has the mode of its base, which its owner may not be allowed to write. */
function withWriting(dirs: OpenDirs, { root, path }: Place, act: () => void): void {
  const { kernel } = dirs;
  const dir = path === '' ? rootFd(dirs, root) : dirFd(dirs, root, path);
  const mode = kernel.stat(dir, '' as Bytes).mode & 0o7777;
  if ((mode & OWNER_WRITES) === OWNER_WRITES) return act();
  kernel.chmod(dir, '' as Bytes, mode | OWNER_WRITES);
  try {
    act();
  } finally {
    kernel.chmod(dir, '' as Bytes, mode);
  }
}

function makeLike(dirs: OpenDirs, place: Place, model: Place): void {
  const { kernel } = dirs;
  const like = statPlace(dirs, model);
  if (like === null || (like.mode & constants.S_IFMT) !== constants.S_IFDIR) return;
  const { at, name } = spotOf(dirs, place);
  kernel.mkdir(at, name, 0o700);
  const made = kernel.stat(at, name);
  if (made.uid !== like.uid || made.gid !== like.gid) kernel.chown(at, name, like.uid, like.gid);
  const source = spotOf(dirs, model);
  for (const xattr of kernel.xattrs(source.at, source.name)) {
    if (/^(user\.(?!overlay\.)|system\.)/.test(xattr.name)) kernel.setXattr(at, name, xattr.name, xattr.value);
  }
  kernel.chmod(at, name, like.mode & 0o7777);
}
