import { constants } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import { errnoOf } from '../../errors.js';
import { AT_FDCWD, RENAME, RESOLVE, type Fd, type Kernel } from '../../kernel/kernel.js';
import type { Emptied } from '../journal/journal.js';
import type { StepTable } from '../journal/step-table.js';
import { lockedMode } from './locked.js';
import type { Preparing } from './preparing.js';
import { dirFd, forgetDirs, makeDirsAbove, rootFd, spotOf, statPlace, type OpenDirs, type Spot } from './open-dirs.js';
import { splitPath, type Place, type Root } from '../plan/step.js';

/**
 * A layer of which everything lands is emptied by one exchange of its top
 * directory with a prepared empty one; what the steps left in it (old objects,
 * spent whiteouts) is then in the vault at once. Only when each name in the
 * layer is accounted for: what nobody showed must not leave it (I9).
 */
export function prepareEmptied(preparing: Preparing, steps: StepTable): Emptied[] {
  const { plan, dirs } = preparing;
  if (preparing.refused.length > 0) return [];
  const emptied: Emptied[] = [];
  for (const layer of plan.emptied) {
    const names = steps.namesInLayer(3 * layer);
    if (names === null || !isAccounted(dirs, 3 * layer + 1, names)) continue;
    emptied.push({ layer, ino: makeTop(dirs, layer) });
  }
  return emptied;
}

/** Lists the layer's directories only; what lands as a whole is not looked into. */
function isAccounted(dirs: OpenDirs, root: number, names: ReadonlySet<Bytes>): boolean {
  const { kernel } = dirs;
  const open: Bytes[] = ['' as Bytes];
  for (let dir = open.pop(); dir !== undefined; dir = open.pop()) {
    const found = namesIn(dirs, dirFd(dirs, root, dir));
    if (found === null) return false;
    for (const name of found) {
      const path = (dir === '' ? name : `${dir}/${name}`) as Bytes;
      if (names.has(path)) continue;
      const stat = kernel.statOrNull(dirFd(dirs, root, dir), name);
      if (stat === null || (stat.mode & constants.S_IFMT) !== constants.S_IFDIR) return false;
      open.push(path);
    }
  }
  return true;
}

/** null: not for us to read, so not accounted for. */
function namesIn({ kernel }: OpenDirs, at: Fd): Bytes[] | null {
  let fd: Fd;
  try {
    fd = kernel.open(at, '.' as Bytes, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    if (errnoOf(error) === 'EACCES') return null;
    throw error;
  }
  try {
    return kernel.list(fd);
  } finally {
    kernel.close(fd);
  }
}

/** An empty directory like the layer's top, waiting in the vault. */
function makeTop(dirs: OpenDirs, layer: number): bigint {
  const { kernel } = dirs;
  const place = topPlace(layer);
  makeDirsAbove(dirs, place);
  const spot = spotOf(dirs, place);
  kernel.mkdir(spot.at, spot.name, 0o700);
  const top = rootFd(dirs, 3 * layer + 1);
  const { mode, uid, gid, atimeNs, mtimeNs } = kernel.stat(top, '' as Bytes);
  const made = kernel.stat(spot.at, spot.name);
  if (made.uid !== uid || made.gid !== gid) kernel.chown(spot.at, spot.name, uid, gid);
  for (const { name, value } of kernel.xattrs(top, '' as Bytes)) kernel.setXattr(spot.at, spot.name, name, value);
  kernel.chmod(spot.at, spot.name, mode & 0o7777);
  kernel.utimes(spot.at, spot.name, atimeNs, mtimeNs);
  return made.ino;
}

/** The spare directory, and after the exchange for a moment the layer's old one. */
function topPlace(layer: number): Place {
  return { root: 3 * layer + 2, path: `top/${layer}` as Bytes };
}

/** Where the layer's old top directory ends: it mirrors the layer's paths by itself. */
function oldPlace(layer: number): Place {
  return { root: 3 * layer + 2, path: `old/${layer}` as Bytes };
}

/** Empties the layer as far as that isn't done. Its top is then another directory: it is opened anew. */
export function emptyTop(dirs: OpenDirs, emptied: Emptied): void {
  if (topIno(dirs, emptied.layer) !== emptied.ino) exchange(dirs, emptied.layer, topPlace(emptied.layer));
  finishTop(dirs, emptied);
}

/** The second half: what was the layer's top directory goes to its place in the vault. */
export function finishTop(dirs: OpenDirs, emptied: Emptied): void {
  const top = topPlace(emptied.layer);
  if (topIno(dirs, emptied.layer) !== emptied.ino) return;
  const spare = statPlace(dirs, top);
  if (spare === null || spare.ino === emptied.ino) return;
  makeDirsAbove(dirs, oldPlace(emptied.layer));
  move(dirs, top, oldPlace(emptied.layer));
}

/** True when the exchange was made. */
export function isEmptied(dirs: OpenDirs, emptied: Emptied): boolean {
  return topIno(dirs, emptied.layer) === emptied.ino;
}

/** The opposite. What a sandbox that ran again wrote to the empty layer must not be lost with it. */
export function refillTop(dirs: OpenDirs, emptied: Emptied): void {
  if (!isEmptied(dirs, emptied)) return;
  if (namesIn(dirs, rootFd(dirs, 3 * emptied.layer + 1))?.length !== 0) throw new Error('the layer was written to since');
  const top = topPlace(emptied.layer);
  if (statPlace(dirs, top) === null) move(dirs, oldPlace(emptied.layer), top);
  exchange(dirs, emptied.layer, top);
}

function move(dirs: OpenDirs, from: Place, to: Place): void {
  const source = spotOf(dirs, from);
  const target = spotOf(dirs, to);
  renameTop(dirs.kernel, { from: source, to: target, flags: RENAME.noReplace });
  forgetDirs(dirs);
}

/** A layer's top has no write bit where the user may not write the base: it lends it, as its `..` changes. */
function renameTop(kernel: Kernel, { from, to, flags }: { readonly from: Spot; readonly to: Spot; readonly flags: number }): void {
  const modes = [from, to].map(({ at, name }) => lockedMode(kernel.statOrNull(at, name)));
  [from, to].forEach((spot, n) => chmodIf(kernel, spot, modes[n] === null ? null : (modes[n] ?? 0) | 0o300));
  try {
    kernel.rename(from.at, from.name, to.at, to.name, flags);
  } catch (error) {
    [from, to].forEach((spot, n) => chmodIf(kernel, spot, modes[n] ?? null));
    throw error;
  }
  [to, from].forEach((spot, n) => chmodIf(kernel, spot, modes[n] ?? null));
}

function chmodIf(kernel: Kernel, { at, name }: Spot, mode: number | null): void {
  if (mode !== null) kernel.chmod(at, name, mode);
}

/** Null: somebody removed it. */
function topIno(dirs: OpenDirs, layer: number): bigint | null {
  return dirs.kernel.statOrNull(AT_FDCWD, (dirs.roots[3 * layer + 1] as Root).dir)?.ino ?? null;
}

function exchange(dirs: OpenDirs, layer: number, spare: Place): void {
  const { kernel, roots } = dirs;
  const root = 3 * layer + 1;
  const { dir: above, name } = splitPath((roots[root] as Root).dir.slice(1) as Bytes);
  const parent = openParent(dirs, above);
  try {
    const vault = spotOf(dirs, spare);
    renameTop(kernel, { from: vault, to: { at: parent, name }, flags: RENAME.exchange });
  } finally {
    kernel.close(parent);
  }
  forgetDirs(dirs);
  const old = dirs.fds[root];
  if (old !== null && old !== undefined) kernel.close(old);
  dirs.fds[root] = null;
}

function openParent(dirs: OpenDirs, above: Bytes): number {
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
  return dirs.kernel.open(AT_FDCWD, `/${above}` as Bytes, flags, 0, RESOLVE.noSymlinks);
}
