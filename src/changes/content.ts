import { createHash } from 'node:crypto';
import { constants, readSync } from 'node:fs';
import { isWithin, nameOf, parentOf, toBuffer, type Bytes } from '../bytes.js';
import { isShortage } from '../errors.js';
import { type Fd, type Kernel, KernelError, type Stat } from '../kernel/kernel.js';
import type { Layer } from '../sandbox/sandbox.js';
import type { Change } from './change.js';
import { fileTypeOf } from './scan/filetype.js';
import { lendAccess, type Lent } from './apply/lend.js';
import { closeLayer, type LayerDirs, openBelow, openLayer } from './scan/layer-dirs.js';

/** The agent's version of a path, or the host's. */
export type Side = 'upper' | 'base';

/**
 * Contents of regular files and targets of symlinks. A side that has neither,
 * or that can't be read (any more), gives null. Give it back with `close`.
 */
export interface ContentReader {
  /** all of it, unless it is longer than `limit` bytes */
  readonly read: (change: Change, side: Side, limit: number) => Buffer | null;
  /** its first bytes */
  readonly head: (change: Change, side: Side, length: number) => Buffer | null;
  /** piece by piece, however long; nothing when there is no content */
  readonly chunks: (change: Change, side: Side) => Generator<Buffer>;
  /** SHA-256 in hex */
  readonly digest: (change: Change, side: Side) => string | null;
  readonly close: () => void;
}

const CHUNK = 128 * 1024;

/** A reader that opens layers when first asked, and that the caller closes. What is gone or may not be read has no content (null). */
export function openContents(kernel: Kernel, layers: readonly Layer[]): ContentReader {
  const opened = new Map<number, LayerDirs>();
  const dirsOf = (index: number): LayerDirs | null => {
    const layer = layers[index];
    if (layer === undefined) return null;
    const dirs = opened.get(index) ?? openLayer(kernel, layer);
    opened.set(index, dirs);
    return dirs;
  };
  const source: Source = { kernel, parents: new Map() };
  const place = (change: Change, side: Side): Place | null => placeOf(layers, dirsOf(change.at.layer), change, side);
    return {
    read: (change, side, limit) => collect(source, place(change, side), limit, false),
    head: (change, side, length) => collect(source, place(change, side), length, true),
    chunks: (change, side) => chunksOf(source, place(change, side)),
    digest: (change, side) => digestOf(source, place(change, side)),
    close: () => {
      forget(source);
      for (const dirs of opened.values()) closeLayer(kernel, dirs);
      opened.clear();
    },
  };
}

interface Source {
  readonly kernel: Kernel;
  /** by side, the directory that was read from last: changes come directory by directory */
  readonly parents: Map<Fd, Parent>;
}

interface Parent {
  readonly path: Bytes;
  readonly fd: Fd | null;
  readonly lent: Lent | null;
}

function forget({ kernel, parents }: Source): void {
  for (const parent of parents.values()) leave(kernel, parent);
  parents.clear();
}

function leave(kernel: Kernel, { fd, lent }: Parent): void {
  if (fd !== null) kernel.close(fd);
  lent?.restore();
}

function parentFd({ kernel, parents }: Source, place: Place): Fd | null {
  const path = parentOf(`/${place.path}` as Bytes).slice(1) as Bytes;
  const last = parents.get(place.top);
  if (last?.path === path) return last.fd;
  if (last !== undefined) leave(kernel, last);
  parents.delete(place.top);
  const parent = openParent(kernel, place, path);
  parents.set(place.top, parent);
  return parent.fd;
}

/** Readable, and searchable for as long as it is open. */
function openParent(kernel: Kernel, { top, ours }: Place, path: Bytes): Parent {
  const fd = openBelow(kernel, top, path);
  if (!ours || (fd !== null && (kernel.stat(fd, '' as Bytes).mode & 0o500) === 0o500)) return { path, fd, lent: null };
  if (fd !== null) kernel.close(fd);
  const lent = lendAccess(kernel, top, path);
  return { path, fd: openBelow(kernel, top, path), lent };
}

/** A path below an open directory, and what was there at the scan. */
interface Place {
  readonly top: Fd;
  readonly path: Bytes;
  readonly stat: Stat;
  /** it lies in a layer, where everything is ours */
  readonly ours: boolean;
}

function placeOf(layers: readonly Layer[], dirs: LayerDirs | null, change: Change, side: Side): Place | null {
  // What moved along with a renamed directory is still the host's own file.
  const inLayer = side === 'upper' && !change.implied;
  const stat = side === 'upper' ? change.upper : change.base;
  const top = inLayer ? dirs?.upper : dirs?.base;
  if (stat === null || top === null || top === undefined) return null;
  if (inLayer) return { top, path: change.at.path, stat, ours: true };
  const base = layers[change.at.layer]?.base ?? ('/' as Bytes);
  const host = change.basePath ?? (change.kind === 'rename' ? change.from : null) ?? change.path;
  if (!isWithin(host, base)) return null;
  return { top, path: host.slice(base === '/' ? 1 : base.length + 1) as Bytes, stat, ours: false };
}

function collect(source: Source, place: Place | null, limit: number, cut: boolean): Buffer | null {
  if (place === null || (!cut && place.stat.size > limit)) return null;
  const small = readSmall(source, place, limit);
  if (small !== null) return small;
  const pieces: Buffer[] = [];
  let length = 0;
  let found = false;
  for (const piece of chunksOf(source, place, () => (found = true), limit + 1)) {
    pieces.push(piece);
    length += piece.length;
    if (length >= limit) break;
  }
  // A file that grew since the scan is as unreadable as one that was too long.
  if (!found || (!cut && length > limit)) return null;
  return (pieces.length === 1 && pieces[0] !== undefined ? pieces[0] : Buffer.concat(pieces)).subarray(0, limit);
}

/** Small files in one call; null for what needs more than that. */
function readSmall(source: Source, place: Place, limit: number): Buffer | null {
  // One byte more than was there at the scan tells whether it grew.
  const most = Math.min(limit, place.stat.size) + 1;
  if (most > CHUNK || fileTypeOf(place.stat) !== 'file') return null;
  const dir = parentFd(source, place);
  if (dir === null) return null;
  const into = room(most);
  const length = attempt(() => source.kernel.readFile(dir, nameOf(place.path), into));
  return length === null || length > place.stat.size ? null : into.subarray(0, Math.min(length, limit));
}

const SLAB = 1024 * 1024;
let slab = Buffer.alloc(0);

/** Part of a big buffer: one for each file would cost more than reading it. */
function room(size: number): Buffer {
  if (slab.length < size) slab = Buffer.allocUnsafeSlow(SLAB);
  const part = slab.subarray(0, size);
  slab = slab.subarray(size);
  return part;
}

function digestOf(source: Source, place: Place | null): string | null {
  const hash = createHash('sha256');
  let found = false;
  for (const piece of chunksOf(source, place, () => (found = true))) hash.update(piece);
  return found ? hash.digest('hex') : null;
}

function* chunksOf(source: Source, place: Place | null, onFound?: () => void, most = CHUNK): Generator<Buffer> {
  if (place === null) return;
  const type = fileTypeOf(place.stat);
  if (type !== 'file' && type !== 'symlink') return;
  const dir = parentFd(source, place);
  if (dir === null) return;
  try {
    if (type === 'symlink') yield* target(source.kernel, dir, place, onFound);
    // One byte more than was there at the scan tells whether it grew.
    else yield* file(source.kernel, dir, place, Math.min(CHUNK, most, place.stat.size + 1), onFound);
  } finally {
    giveBack(source, place.top);
  }
}

/** Permissions that were lent are given back at once: a commit reads the modes of these directories. */
function giveBack({ kernel, parents }: Source, top: Fd): void {
  const last = parents.get(top);
  if (last === undefined || last.lent === null) return;
  leave(kernel, last);
  parents.delete(top);
}

function* target(kernel: Kernel, dir: Fd, place: Place, onFound?: () => void): Generator<Buffer> {
  const found = attempt(() => kernel.readlink(dir, nameOf(place.path)));
  if (found === null) return;
  onFound?.();
  yield toBuffer(found);
}

function* file(kernel: Kernel, dir: Fd, place: Place, size: number, onFound?: () => void): Generator<Buffer> {
  const fd = openFile(kernel, dir, place);
  if (fd === null) return;
  try {
    // Never a FIFO or device that took the name meanwhile (E106).
    if (fileTypeOf(kernel.stat(fd, '' as Bytes)) !== 'file') return;
    onFound?.();
    for (;;) {
      const piece = Buffer.allocUnsafe(size);
      const length = readSync(fd, piece, 0, size, null);
      if (length > 0) yield piece.subarray(0, length);
      if (length < size) return;
    }
  } finally {
    kernel.close(fd);
  }
}

function openFile(kernel: Kernel, dir: Fd, place: Place): Fd | null {
  const name = nameOf(place.path);
  const open = (): Fd => kernel.open(dir, name, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  const fd = attempt(open);
  if (fd !== null || !place.ours || (place.stat.mode & 0o6400) !== 0) return fd;
  // The agent took its own permission away (chmod 000): lent for the open, as
  // the layer is ours. Set-id files are left alone, as chmod could cost the bit.
  return attempt(() => {
    kernel.chmod(dir, name, (place.stat.mode & 0o7777) | 0o400);
    try {
      return open();
    } finally {
      kernel.chmod(dir, name, place.stat.mode & 0o7777);
    }
  });
}

function attempt<T>(call: () => T): T | null {
  try {
    return call();
  } catch (error) {
    if (error instanceof KernelError && !isShortage(error)) return null;
    throw error;
  }
}
