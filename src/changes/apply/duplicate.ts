import { constants } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import { errnoOf } from '../../errors.js';
import { isOverlayMark, isSystemLabel } from '../../kernel/attributes.js';
import type { Kernel, Stat, Xattr } from '../../kernel/kernel.js';
import { makeDirsAbove, spotOf, type OpenDirs, type Spot } from './open-dirs.js';
import { identOf, isIdent, type Ident, type Meta, type Place } from '../plan/step.js';

const { S_IFMT, S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO } = constants;
const SPECIAL_BITS = 0o6000;
const GONE: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP']);

/** The object is not the one that was judged. */
export class Moved extends Error {
  override readonly name = 'Moved';
  readonly code = 'ESTALE';
}

/** How objects are copied. */
export interface Duplicating {
  readonly dirs: OpenDirs;
  /** keep setuid, setgid and file capabilities */
  readonly keepSpecial: boolean;
}

/** True for an xattr that must not leave a layer, or only when asked for. */
export function staysBehind(name: Bytes, keepSpecial: boolean): boolean {
  return isOverlayMark(name) || (name === 'security.capability' && !keepSpecial);
}

/** Setuid and setgid of a directory give no rights to whoever runs something. */
export function landingMode(stat: { readonly mode: number }, keepSpecial: boolean): number {
  const mode = stat.mode & 0o7777;
  return keepSpecial || (stat.mode & S_IFMT) !== S_IFREG ? mode : mode & ~SPECIAL_BITS;
}

/**
 * Copies one object (of a directory: itself, empty) with all its metadata to a
 * place that doesn't exist yet. `expected` null: whatever is there.
 */
export function duplicate(doing: Duplicating, from: Place, to: Place, expected: Ident | null): Stat {
  const { dirs } = doing;
  const { kernel } = dirs;
  const { source, stat } = found(dirs, from);
  if (expected !== null && !isIdent(stat, expected)) throw new Moved(`${from.path} is not what it was`);
  if (dirs.roots[to.root]?.role === 'vault') makeDirsAbove(dirs, to);
  const target = spotOf(dirs, to);
  create(kernel, { source, target, stat });
  finishCopy(doing, { source, target, stat });
  return kernel.stat(target.at, target.name);
}

/** What left a layer since it was judged is the agent's doing: the host's directories say nothing of it. */
function found(dirs: OpenDirs, from: Place): Pick<Pair, 'source' | 'stat'> {
  try {
    const source = spotOf(dirs, from);
    return { source, stat: dirs.kernel.stat(source.at, source.name) };
  } catch (error) {
    if (dirs.roots[from.root]?.role !== 'layer' || !GONE.has(errnoOf(error) ?? '')) throw error;
    throw new Moved(`${from.path} is gone`, { cause: error });
  }
}

interface Pair {
  readonly source: Spot;
  readonly target: Spot;
  readonly stat: Stat;
}

function create(kernel: Kernel, pair: Pair): void {
  const { source, target, stat } = pair;
  const type = stat.mode & S_IFMT;
  if (type === S_IFREG) copyContent(kernel, pair);
  else if (type === S_IFDIR) kernel.mkdir(target.at, target.name, 0o700);
  else if (type === S_IFLNK) kernel.symlink(kernel.readlink(source.at, source.name), target.at, target.name);
  else if (type === S_IFIFO) kernel.mknod(target.at, target.name, S_IFIFO | 0o600, 0);
  else throw new Moved(`${source.name} is a device or a socket`);
}

/** E106: a FIFO that took the file's place can't make the open wait, and is refused after it. */
function copyContent(kernel: Kernel, { source, target, stat }: Pair): void {
  const read = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const src = kernel.open(source.at, source.name, read);
  try {
    if (!isIdent(kernel.stat(src, '' as Bytes), identOf(stat))) throw new Moved(`${source.name} changed while it was opened`);
    const dst = kernel.open(target.at, target.name, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
    try {
      kernel.copy(src, dst);
    } finally {
      kernel.close(dst);
    }
    if (!isIdent(kernel.stat(src, '' as Bytes), identOf(stat))) throw new Moved(`${source.name} changed while it was read`);
  } finally {
    kernel.close(src);
  }
}

function finishCopy(doing: Duplicating, { source, target, stat }: Pair): void {
  const { kernel } = doing.dirs;
  const xattrs = kernel.xattrs(source.at, source.name).filter(({ name }) => !staysBehind(name, doing.keepSpecial));
  const mode = landingMode(stat, doing.keepSpecial);
  setMadeMeta(kernel, target, { mode: (stat.mode & S_IFMT) | mode, uid: stat.uid, gid: stat.gid, xattrs });
  kernel.utimes(target.at, target.name, stat.atimeNs, stat.mtimeNs);
}

/** Owner first, as it clears mode bits and capabilities; then mode, then xattrs and ACLs. */
export function setMeta(kernel: Kernel, spot: Spot, meta: Meta): void {
  setOwnerAndMode(kernel, spot, meta);
  setXattrs(kernel, spot, meta);
}

/**
 * The same of what we have just made. Where a filesystem has a mode of its own for all
 * files, and lets nobody choose (drives of Windows under WSL, shared folders of a virtual
 * machine), that is what it lands with.
 */
export function setMadeMeta(kernel: Kernel, spot: Spot, meta: Meta): void {
  try {
    setOwnerAndMode(kernel, spot, meta);
  } catch (error) {
    if (errnoOf(error) !== 'EPERM' || !hasGivenMode(kernel, spot)) throw error;
  }
  setXattrs(kernel, spot, meta);
}

/** It is not the one that we made it with, which is closed to others: nothing lands like that for a refusal of another kind. */
function hasGivenMode(kernel: Kernel, spot: Spot): boolean {
  return (kernel.stat(spot.at, spot.name).mode & 0o077) !== 0;
}

/** A mode that is right already is not set: some filesystems refuse that as any other. */
function setOwnerAndMode(kernel: Kernel, spot: Spot, meta: Meta): void {
  const before = kernel.stat(spot.at, spot.name);
  const isOwn = before.uid === meta.uid && before.gid === meta.gid;
  if (!isOwn) chownIfAllowed(kernel, spot, meta);
  if ((before.mode & S_IFMT) === S_IFLNK) return;
  const now = isOwn ? before : kernel.stat(spot.at, spot.name);
  if ((now.mode & 0o7777) !== (meta.mode & 0o7777)) kernel.chmod(spot.at, spot.name, meta.mode & 0o7777);
}

function setXattrs(kernel: Kernel, spot: Spot, meta: Meta): void {
  const present = kernel.xattrs(spot.at, spot.name);
  for (const { name } of present) {
    if (!meta.xattrs.some((wanted) => wanted.name === name)) dropXattr(kernel, spot, name);
  }
  for (const wanted of meta.xattrs) {
    if (!present.some(({ name, value }) => name === wanted.name && value.equals(wanted.value))) setXattr(kernel, spot, wanted);
  }
}

/** Owners land as far as the caller may give them: a plain user's files are his own. */
function chownIfAllowed(kernel: Kernel, spot: Spot, meta: Meta): void {
  try {
    kernel.chown(spot.at, spot.name, meta.uid, meta.gid);
  } catch (error) {
    if (errnoOf(error) !== 'EPERM') throw error;
  }
}

function setXattr(kernel: Kernel, spot: Spot, { name, value }: Xattr): void {
  try {
    kernel.setXattr(spot.at, spot.name, name, value);
  } catch (error) {
    if (!isSystemLabel(name)) throw error;
  }
}

function dropXattr(kernel: Kernel, spot: Spot, name: Bytes): void {
  if (isSystemLabel(name)) return;
  try {
    kernel.removeXattr(spot.at, spot.name, name);
  } catch (error) {
    if (errnoOf(error) !== 'ENODATA') throw error;
  }
}

/**
 * Mode, owner and attributes as a landed copy gets them: without overlay marks (kernel,
 * filesystems/overlayfs), labels of the system and, unless `keepSpecial`, file capabilities.
 * Throws `KernelError`.
 */
export function metaOf(kernel: Kernel, spot: Spot, keepSpecial: boolean): Meta {
  const { mode, uid, gid } = kernel.stat(spot.at, spot.name);
  const xattrs = kernel.xattrs(spot.at, spot.name).filter(({ name }) => !staysBehind(name, keepSpecial) && !isSystemLabel(name));
  return { mode, uid, gid, xattrs };
}
