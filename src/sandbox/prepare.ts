import { constants } from 'node:fs';
import type { Bytes } from '../bytes.js';
import { joinBytes, nameOf, parentOf, toText } from '../bytes.js';
import { AgentfwError, errnoOf } from '../errors.js';
import { hostFacts } from '../kernel/facts.js';
import { AT_FDCWD, RESOLVE, type Fd, type Kernel } from '../kernel/kernel.js';
import { removeTree } from '../kernel/remove.js';
import { madeTop, makeTop } from './layer-top.js';
import { PRIVATE_WORK } from '../view/draft.js';
import type { PlannedLayer, PrivateDir, StandIn, ViewPlan } from '../view/plan.js';

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
/** A stand-in is a configuration file; what is larger is none. */
const MAX_STAND_IN = 1024 * 1024;

/** Makes in the store what the plan's steps mount: layers (returned as they were made), private directories, stand-ins, the new root. */
export function prepareView(kernel: Kernel, plan: ViewPlan, dir: Bytes): { readonly newroot: Bytes; readonly layers: readonly PlannedLayer[] } {
  const newroot = joinBytes(dir, 'root' as Bytes);
  makeDirs(kernel, newroot);
  const layers = plan.layers.map((layer) => makeLayer(kernel, layer));
  makePrivateWork(kernel, joinBytes(dir, PRIVATE_WORK), plan.privateDirs);
  for (const own of plan.privateDirs) makePrivate(kernel, joinBytes(dir, 'private' as Bytes), own);
  if (plan.standIns.length > 0) makeStandIns(kernel, joinBytes(dir, 'stand-ins' as Bytes), plan.standIns);
  return { newroot, layers };
}

/** `path` and what is missing above it, each of mode 0700 and none of them a symlink. */
function makeDirs(kernel: Kernel, path: Bytes): void {
  const stat = kernel.statOrNull(AT_FDCWD, path);
  if (stat !== null) {
    if ((stat.mode & constants.S_IFMT) === constants.S_IFDIR) return;
    throw new AgentfwError('AFW_STORE_PLACE', `${toText(path)} is not a directory.`, { status: 125, hint: 'Move it away: agentfw makes a directory of its own there' });
  }
  makeDirs(kernel, parentOf(path));
  kernel.mkdir(AT_FDCWD, path, 0o700);
}

function makeLayer(kernel: Kernel, layer: PlannedLayer): PlannedLayer {
  const room = parentOf(parentOf(layer.dir));
  if (/\/\.agentfw-\d+$/.test(room)) checkForeign(kernel, room);
  makeDirs(kernel, layer.dir);
  const at = kernel.open(AT_FDCWD, layer.dir, DIRECTORY);
  try {
    const made = kernel.statOrNull(at, 'upper' as Bytes) === null;
    if (made) makeTop(kernel, at, layer);
    // A volatile overlay leaves a mark in its work directory that forbids the next one; nothing else is in it.
    removeTree(kernel, at, 'work' as Bytes);
    kernel.mkdir(at, 'work' as Bytes, 0o700);
    if (layer.skeleton) makeSkeleton(kernel, at, layer);
    if (layer.shim && kernel.statOrNull(at, 'shim' as Bytes) === null) kernel.mkdir(at, 'shim' as Bytes, 0o700);
    return made ? { ...layer, top: madeTop(kernel, layer) } : layer;
  } finally {
    kernel.close(at);
  }
}

/** A room for layers on another filesystem must be ours alone. */
function checkForeign(kernel: Kernel, room: Bytes): void {
  makeDirs(kernel, room);
  const stat = kernel.stat(AT_FDCWD, room);
  if (stat.uid === process.geteuid?.() && (stat.mode & 0o077) === 0) return;
  throw new AgentfwError('AFW_STORE_PLACE', `Refusing to keep layers in ${toText(room)}: it is not yours alone.`, {
    status: 125,
    hint: 'Remove it, or give it to yourself with mode 0700',
  });
}

/** The directory's own entries as they are now; what the agent changed of them is in the upper. */
function makeSkeleton(kernel: Kernel, at: Fd, layer: PlannedLayer): void {
  const skeleton = freshDir(kernel, at, 'skeleton' as Bytes);
  try {
    // Of a directory that is gone by now there is nothing to copy: the mount of it says so.
    unlessGone(() => fillSkeleton(kernel, skeleton, layer));
  } finally {
    kernel.close(skeleton);
  }
  kernel.chmod(at, 'skeleton' as Bytes, layer.mode);
}

function fillSkeleton(kernel: Kernel, skeleton: Fd, layer: PlannedLayer): void {
  const base = kernel.open(AT_FDCWD, layer.base, DIRECTORY);
  try {
    for (const { name, kind, mode } of layer.skeletonEntries) {
      if (kind === 'dir') makeDirWith(kernel, skeleton, name, mode);
      else if (kind === 'point') kernel.close(kernel.open(skeleton, name, NEW_FILE, mode));
      else unlessGone(() => (kind === 'symlink' ? kernel.symlink(kernel.readlink(base, name), skeleton, name) : copyFile(kernel, { from: base, name, to: skeleton, as: name, mode })));
    }
  } finally {
    kernel.close(base);
  }
}

/** What the host removed since it was looked at is not there. */
function unlessGone(make: () => void): void {
  try {
    make();
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}

function freshDir(kernel: Kernel, at: Fd, name: Bytes): Fd {
  removeTree(kernel, at, name);
  kernel.mkdir(at, name, 0o700);
  return kernel.open(at, name, DIRECTORY);
}

function makeDirWith(kernel: Kernel, at: Fd, name: Bytes, mode: number): void {
  kernel.mkdir(at, name, 0o700);
  kernel.chmod(at, name, mode);
}

interface Copy {
  readonly from: Fd;
  readonly name: Bytes;
  readonly to: Fd;
  readonly as: Bytes;
  readonly mode: number;
}

function copyFile(kernel: Kernel, { from, name, to, as, mode }: Copy): void {
  const source = kernel.open(from, name, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  const target = kernel.open(to, as, NEW_FILE, 0o600);
  try {
    const stat = kernel.stat(source, '' as Bytes);
    kernel.copy(source, target);
    kernel.chmod(to, as, mode);
    kernel.utimes(to, as, stat.atimeNs, stat.mtimeNs);
  } finally {
    kernel.close(source);
    kernel.close(target);
  }
}

/** What the overlays of private directories need beside them: work directories as those of layers, and nothing to lie over. */
function makePrivateWork(kernel: Kernel, dirs: Bytes, owns: readonly PrivateDir[]): void {
  makeDirs(kernel, joinBytes(dirs, 'empty' as Bytes));
  const at = kernel.open(AT_FDCWD, dirs, DIRECTORY);
  try {
    for (const { name } of owns) kernel.close(freshDir(kernel, at, name));
  } finally {
    kernel.close(at);
  }
}

/** A directory that the agent writes: on a later run everything in it is the agent's, symlinks included. */
function makePrivate(kernel: Kernel, dirs: Bytes, room: PrivateDir): void {
  makeDirs(kernel, dirs);
  const at = kernel.open(AT_FDCWD, dirs, DIRECTORY);
  if (kernel.statOrNull(at, room.name) === null) makeDirWith(kernel, at, room.name, room.mode);
  const inside = kernel.open(at, room.name, DIRECTORY);
  kernel.close(at);
  try {
    for (const entry of room.inside) makePoint(kernel, inside, room, entry);
  } finally {
    kernel.close(inside);
  }
}

function makePoint(kernel: Kernel, root: Fd, room: PrivateDir, entry: PrivateDir['inside'][number]): void {
  const slash = entry.path.lastIndexOf('/');
  const parentPath = (slash < 0 ? '.' : entry.path.slice(0, slash)) as Bytes;
  const refuse = (cause?: unknown): AgentfwError =>
    new AgentfwError('AFW_VIEW', `Can't show the host at ${toText(room.dst)}/${toText(entry.path)}: the sandbox has something else there.`, {
      status: 125,
      ...(cause === undefined ? {} : { cause }),
      hint: 'Start in a new sandbox, or remove it with agentfw shell',
    });
  let parent: Fd;
  try {
    parent = kernel.open(root, parentPath, DIRECTORY, 0, RESOLVE.beneath | RESOLVE.noSymlinks | RESOLVE.noMagiclinks);
  } catch (cause) {
    throw refuse(cause);
  }
  try {
    const name = nameOf(entry.path);
    const stat = kernel.statOrNull(parent, name);
    const wanted = entry.kind === 'dir' ? constants.S_IFDIR : constants.S_IFREG;
    if (stat !== null && (stat.mode & constants.S_IFMT) !== wanted) throw refuse();
    if (stat !== null) return;
    if (entry.kind === 'dir') makeDirWith(kernel, parent, name, entry.mode);
    else kernel.close(kernel.open(parent, name, NEW_FILE, 0o600));
  } finally {
    kernel.close(parent);
  }
}

/** Copies of small configuration: a file, or the regular files that a directory's entries lead to. */
function makeStandIns(kernel: Kernel, dir: Bytes, standIns: readonly StandIn[]): void {
  makeDirs(kernel, parentOf(dir));
  const around = kernel.open(AT_FDCWD, parentOf(dir), DIRECTORY);
  const at = freshDir(kernel, around, nameOf(dir));
  kernel.close(around);
  try {
    for (const { from, name } of standIns) copyStandIn(kernel, from, at, name, 2);
  } finally {
    kernel.close(at);
  }
}

function copyStandIn(kernel: Kernel, from: Bytes, at: Fd, name: Bytes, depth: number): void {
  // The host's administrator wrote these: their symlinks are followed.
  const source = openFollowing(kernel, from);
  if (source === null) return;
  try {
    const stat = kernel.stat(source, '' as Bytes);
    const type = stat.mode & constants.S_IFMT;
    if (type === constants.S_IFREG && stat.size <= MAX_STAND_IN) {
      const target = kernel.open(at, name, NEW_FILE, 0o644);
      kernel.copy(source, target);
      kernel.close(target);
      kernel.chmod(at, name, 0o644);
    } else if (type === constants.S_IFDIR && depth > 0) {
      makeDirWith(kernel, at, name, 0o755);
      const inner = kernel.open(at, name, DIRECTORY);
      for (const child of kernel.list(source)) copyStandIn(kernel, joinBytes(from, child), inner, child, depth - 1);
      kernel.close(inner);
    }
  } finally {
    kernel.close(source);
  }
}

function openFollowing(kernel: Kernel, path: Bytes): Fd | null {
  const real = hostFacts.realpath(path);
  if (real === null) return null;
  try {
    return kernel.open(AT_FDCWD, real, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    // Unreadable to the user: then ssh could not read it either.
    return null;
  }
}
