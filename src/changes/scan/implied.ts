import { isWithin, joinBytes, nameOf, parentOf, type Bytes } from '../../bytes.js';
import { errnoOf } from '../../errors.js';
import type { Fd, Kernel, Stat, WalkOptions } from '../../kernel/kernel.js';
import type { Change, LayerRef } from '../change.js';
import { fileTypeOf } from './filetype.js';
import { openBelow } from './layer-dirs.js';

/**
 * A directory of the base whose entries are not where they were: `deleted` with
 * all that is in it, `replaced` by something else or an opaque directory
 * (`merged` false: what the layer doesn't have is gone), or `moved` by a rename
 * of it or of a directory above (`merged` true: what the layer doesn't have
 * moved along).
 */
export interface Displaced {
  readonly how: 'deleted' | 'replaced' | 'opaque' | 'moved';
  /** in the layer, relative */
  readonly path: Bytes;
  /** in the base, relative */
  readonly basePath: Bytes;
  /** the change of what is there now, unless it was told already */
  readonly self: Change | null;
  /** `opaque` and `moved`: the names that the layer's directory has there */
  readonly present: ReadonlySet<Bytes>;
  readonly ref: LayerRef;
}

/** A replaced directory, and what of the host lies below it. */
export interface ImpliedInput {
  readonly kernel: Kernel;
  readonly base: Fd;
  /** absolute */
  readonly top: Bytes;
  readonly covered: readonly Bytes[];
  /** base directories that a rename took elsewhere: not deleted, whatever lies over them */
  readonly moved: ReadonlySet<Bytes>;
}

/** An entry of the base that is no longer at its place. */
interface Gone {
  readonly basePath: Bytes;
  readonly stat: Stat;
  readonly target: Bytes | null;
}

/** The changes that `displaced` stands for, its own first. The only place where the base is listed. */
export function* impliedBy(input: ImpliedInput, displaced: Displaced): Generator<Change> {
  const { how, basePath } = displaced;
  if (how !== 'moved' && input.moved.has(basePath)) {
    if (how !== 'deleted' && displaced.self !== null) yield inFreedPlace(displaced.self);
    return;
  }
  let self = displaced.self;
  const whole = how === 'deleted' || how === 'replaced';
  for (const one of whole ? subtree(input, basePath) : missing(input, displaced)) {
    if (self !== null) yield self;
    self = null;
    yield implied(input, displaced, one);
  }
  if (self === null) return;
  if (how !== 'opaque') yield self;
  // An opaque directory that hides nothing differs by metadata at most.
  else if (self.meta.length > 0) yield { ...self, kind: 'metadata' };
}

/** What was there before has moved, so this replaces nothing. */
function inFreedPlace(change: Change): Change {
  return { ...change, kind: 'add', oldType: null, base: null, opaque: false, meta: [] };
}

function implied(input: ImpliedInput, displaced: Displaced, gone: Gone): Change {
  const moved = displaced.how === 'moved';
  const below = gone.basePath.slice(displaced.basePath.length) as Bytes;
  const host = joinBytes(input.top, gone.basePath);
  const path = joinBytes(input.top, `${displaced.path}${below}` as Bytes);
  return {
    path,
    kind: moved ? 'rename' : 'delete',
    from: moved ? host : null,
    type: fileTypeOf(gone.stat),
    oldType: null,
    upper: moved ? gone.stat : null,
    base: gone.stat,
    at: displaced.ref,
    ...(path === host ? {} : { basePath: host }),
    opaque: false,
    implied: true,
    target: gone.target,
    meta: [],
    content: false,
  };
}

/** What the base directory has and the layer's of the same place has not, with all below it. */
function* missing(input: ImpliedInput, displaced: Displaced): Generator<Gone> {
  const { kernel } = input;
  const fd = openBelow(kernel, input.base, displaced.basePath);
  if (fd === null) return;
  try {
    for (const name of kernel.list(fd).sort()) {
      if (displaced.present.has(name)) continue;
      const stat = statIn(kernel, fd, name);
      if (stat !== null) yield* entry(input, fd, joinBytes(displaced.basePath, name), stat);
    }
  } finally {
    kernel.close(fd);
  }
}

function* entry(input: ImpliedInput, dir: Fd, basePath: Bytes, stat: Stat): Generator<Gone> {
  if (isElsewhere(input, basePath)) return;
  const type = fileTypeOf(stat);
  const target = type === 'symlink' ? readlinkOrNull(input.kernel, dir, nameOf(basePath)) : null;
  if (type === 'symlink' && target === null) return;
  yield { basePath, stat, target };
  if (type === 'dir') yield* subtree(input, basePath);
}

/** All below a base directory, not the directory itself. */
function* subtree(input: ImpliedInput, root: Bytes): Generator<Gone> {
  const { kernel } = input;
  const fd = openBelow(kernel, input.base, root);
  if (fd === null) return;
  // The family is of no account: marks in the base are files like any other.
  const options: WalkOptions = { family: 'user', compare: false, unreadable: 'skip' };
  let skipped: Bytes | null = null;
  try {
    for (const { path, upper, target } of kernel.walk(fd, null, options)) {
      if (path === '' || (skipped !== null && isWithin(path, skipped))) continue;
      const basePath = joinBytes(root, path);
      skipped = isElsewhere(input, basePath) ? path : null;
      if (skipped === null) yield { basePath, stat: upper, target };
    }
  } finally {
    kernel.close(fd);
  }
}

/** Another layer's place, or moved away by a rename. */
function isElsewhere({ covered, moved }: ImpliedInput, basePath: Bytes): boolean {
  return moved.has(basePath) || covered.includes(basePath);
}

/** Null also in a directory that may be listed and not searched (r--): of that no more can be told than of one that can't be read. */
function statIn(kernel: Kernel, dir: Fd, name: Bytes): Stat | null {
  try {
    return kernel.statOrNull(dir, name);
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error;
    return null;
  }
}

/** Null: the host has removed or replaced it since it was looked at. */
function readlinkOrNull(kernel: Kernel, dir: Fd, name: Bytes): Bytes | null {
  try {
    return kernel.readlink(dir, name);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'EINVAL') throw error;
    return null;
  }
}

/** The target of a symlink of the base that a whiteout deletes; null for other types, and for what is gone by now. */
export function targetInBase(kernel: Kernel, base: Fd, path: Bytes, stat: Stat): Bytes | null {
  if (fileTypeOf(stat) !== 'symlink') return null;
  const parent = parentOf(`/${path}` as Bytes).slice(1) as Bytes;
  const dir = openBelow(kernel, base, parent);
  if (dir === null) return null;
  try {
    return readlinkOrNull(kernel, dir, nameOf(path));
  } finally {
    kernel.close(dir);
  }
}
