import { constants } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import type { Stat, Xattr } from '../../kernel/kernel.js';
import type { ChangeKind, FileType } from '../change.js';

/** A directory that the plan works below: a base, a layer's top directory, a vault. */
export interface Root {
  readonly role: 'host' | 'layer' | 'vault';
  /** absolute, without symlinks */
  readonly dir: Bytes;
  /** overlay xattr family, for layers */
  readonly family: 'user' | 'trusted';
  /** a sandbox's layer, into which an undo puts back what was dropped from it: the host directory that its paths stand for */
  readonly as?: Bytes;
  /** a host directory as it was when the journal was written, to know it again: inode and birth time; absent in earlier journals */
  readonly object?: string;
}

/** A path below a root. */
export interface Place {
  readonly root: number;
  /** relative: `a/b` */
  readonly path: Bytes;
}

/** A directory of a layer whose mark has lost its meaning, once what is in its group landed (0: in any case). */
export interface Unmark extends Place {
  readonly group: number;
}

/** What makes an object the one that was judged; mtime and size count for files only. */
export interface Ident {
  readonly ino: bigint;
  /** S_IFMT bits */
  readonly fmt: number;
  readonly size: number;
  readonly mtimeNs: bigint;
}

/** `mode` with its type, as of stat(2); attributes without those that never land. */
export interface Meta {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly xattrs: readonly Xattr[];
}

/** An entry of a directory that moves as a whole; paths are relative to it. */
export interface Covered {
  readonly path: Bytes;
  readonly ident: Ident;
}

/** What is done to a new object, still in the layer, before it lands; undone by a roll-back. */
export interface Cleaning {
  /** relative paths of whiteouts inside a directory ('' is never one) */
  readonly whiteouts: readonly Bytes[];
  /** permission bits that lose setuid or setgid; path '' is the object itself */
  readonly modes: readonly { readonly path: Bytes; readonly from: number; readonly to: number }[];
  /** overlay marks and file capabilities that are taken off */
  readonly marks: readonly { readonly path: Bytes; readonly name: Bytes; readonly value: Buffer }[];
}

/**
 * `place` a new path · `swap` new for old · `take` away · `meta` in place ·
 * `write` content and metadata in place (host files with several names) ·
 * `drop` the agent's version: nothing on the host
 */
export type Act = 'place' | 'swap' | 'take' | 'meta' | 'write' | 'drop';

/** One durable step of a journal: every inode in it exists already. */
export interface Step {
  readonly act: Act;
  readonly kind: ChangeKind;
  readonly type: FileType;
  readonly host: Place;
  /** where the new object lies; for `write` it is read from here and stays */
  readonly from: Place | null;
  /** where the old object is right after its rename; beside the target (a host root) it is removed at the end */
  readonly hold: Place | null;
  /** where the old object ends */
  readonly keep: Place | null;
  readonly fresh: Ident | null;
  readonly old: Ident | null;
  /** the new object is a directory and all that is in it */
  readonly tree: boolean;
  /** how many entries are in it */
  readonly inside: number;
  /** how the new object is cleaned; null: it is a copy of ours, already clean */
  readonly clean: Cleaning | null;
  /** what an old directory held when it was judged */
  readonly covers: readonly Covered[];
  /** `meta` and `write` */
  readonly meta: { readonly old: Meta; readonly fresh: Meta } | null;
  /** layer entry that is of no use once the step landed, and where it goes; a whiteout is removed instead */
  readonly spent: { readonly at: Place; readonly keep: Place | null; readonly ino: bigint } | null;
  /** modes of directories that have to be opened up to be moved; null: none */
  readonly locked: { readonly fresh: number | null; readonly old: number | null } | null;
  /** the new object is a further name of this file of the host, made at `from` right before it lands */
  readonly link: Place | null;
  /** another name of the old object: the one that is taken away is not kept */
  readonly twin: Place | null;
  /** 0: on its own; steps of one group land together or not at all */
  readonly group: number;
  readonly stripped: readonly string[];
}

/** Many of them: an array, or packed (`StepTable`). */
export interface Steps extends Iterable<Step> {
  readonly length: number;
  at(index: number): Step | undefined;
}

/** With the numbers by which the journal knows them, from 0. */
export function* numbered(steps: Iterable<Step>): Generator<readonly [number, Step]> {
  let index = 0;
  for (const step of steps) {
    yield [index, step];
    index += 1;
  }
}

/** What `isIdent` says of the other's `identOf`. */
export function isSameObject(a: Stat, b: Stat): boolean {
  const fmt = a.mode & constants.S_IFMT;
  if (a.ino !== b.ino || fmt !== (b.mode & constants.S_IFMT)) return false;
  return fmt === constants.S_IFDIR || (a.size === b.size && a.mtimeNs === b.mtimeNs);
}

/** What tells that an object is still the same one; no ctime, as our own renames make that new. */
export function identOf(stat: Stat): Ident {
  return { ino: stat.ino, fmt: stat.mode & constants.S_IFMT, size: stat.size, mtimeNs: stat.mtimeNs };
}

/** I5: a directory is known by its inode, everything else by content stamps too. */
export function isIdent(stat: Stat | null, ident: Ident | null): boolean {
  if (stat === null || ident === null) return false;
  if (stat.ino !== ident.ino || (stat.mode & constants.S_IFMT) !== ident.fmt) return false;
  return ident.fmt === constants.S_IFDIR || (stat.size === ident.size && stat.mtimeNs === ident.mtimeNs);
}

/** A character device 0:0 (kernel, filesystems/overlayfs: whiteouts and opaque directories). */
export function isWhiteout(stat: Stat | null): boolean {
  return stat !== null && (stat.mode & constants.S_IFMT) === constants.S_IFCHR && stat.rdev === 0n;
}

/** `x` below the place. */
export function below(place: Place, path: Bytes): Place {
  if (path === '') return place;
  return { root: place.root, path: (place.path === '' ? path : `${place.path}/${path}`) as Bytes };
}

/** A path below `base` as the layer has it: no slash in front, '' for `base` itself. */
export function relativeTo(base: Bytes, path: Bytes): Bytes {
  return path.slice(base === '/' ? 1 : base.length + 1) as Bytes;
}

/** Splits a relative path into its directory ('' for the root) and name. */
export function splitPath(path: Bytes): { readonly dir: Bytes; readonly name: Bytes } {
  const slash = path.lastIndexOf('/');
  return { dir: path.slice(0, Math.max(slash, 0)) as Bytes, name: path.slice(slash + 1) as Bytes };
}

/** The directory part of a path relative to a root; '' at the top. */
export function dirOf(path: Bytes): Bytes {
  return path.slice(0, Math.max(path.lastIndexOf('/'), 0)) as Bytes;
}

/** The absolute path, for people and reports. */
export function absolute(roots: readonly Root[], place: Place): Bytes {
  const root = roots[place.root];
  const dir = root?.as ?? root?.dir ?? '';
  if (place.path === '') return dir as Bytes;
  return (dir === '/' ? `/${place.path}` : `${dir}/${place.path}`) as Bytes;
}
