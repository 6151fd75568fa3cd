import { parentOf, type Bytes } from '../../bytes.js';
import type { Change } from '../change.js';
import type { Side } from '../content.js';

/** Renames for display, and the changes that each stands for. */
export interface Renames<T extends Change> {
  /** the input with each pair (or pair of trees) replaced by one `rename` */
  readonly changes: readonly T[];
  readonly parts: ReadonlyMap<T, readonly T[]>;
}

/** How much is read to find renames; beyond it the pairs stay an addition and a deletion. */
export interface RenameLimits {
  readonly files: number;
  readonly bytes: number;
}

/** Content of one side of a change as a digest; null where it is not to be read. */
export type DigestOf = (change: Change, side: Side) => string | null;

/** A file of the host as the agent saw it. */
export interface Seen {
  readonly size: number;
  /** null: it can't be read */
  readonly digest: () => string | null;
}

/** How a search is carried out. */
export interface RenameOptions<T extends Change> {
  readonly digestOf: DigestOf;
  /** of a deletion; null: as the host has it */
  readonly seenOf?: (change: T) => Seen | 'unknown' | null;
  /** gives the rename what is to be said of all its parts, such as the strictest class */
  readonly join?: (rename: T, parts: readonly T[]) => T;
  readonly limits?: RenameLimits;
}

export const MOST_TO_COMPARE: RenameLimits = { files: 2000, bytes: 256 * 1024 * 1024 };
export const NO_PAIRS: RenameLimits = { files: 0, bytes: 0 };

/**
 * Pairs deletions and additions of equal content. An overlay remembers no
 * identity across a rename, so equality is all there is: a pair is made only
 * where exactly one deletion and one addition fit. A directory counts when all
 * that was in the old one is in the new one, at the same places.
 */
export function detectRenames<T extends Change>(changes: readonly T[], options: RenameOptions<T>): Renames<T> {
  const left = { ...(options.limits ?? MOST_TO_COMPARE) };
  const gone = changes.filter((change) => change.kind === 'delete');
  const seen = seenIn(gone, options);
  const digestOf = within(left, seen, (change, side) => {
    const other = side === 'base' ? seen.get(change) : undefined;
    return other === undefined || other === 'unknown' ? options.digestOf(change, side) : other.digest();
  });
  const join = options.join ?? ((rename: T): T => rename);
  const search: Search<T> = { digestOf, left, join, seen, used: new Set(), renames: new Map(), parts: new Map() };
  const come = gone.length === 0 ? [] : changes.filter((change) => change.kind === 'add');
  pairTrees(search, gone, come);
  pairFiles(search, gone, come);
  if (search.used.size === 0) return { changes, parts: search.parts };
  const result = changes.flatMap((change) => {
    const rename = search.renames.get(change);
    if (rename !== undefined) return [rename];
    return search.used.has(change) ? [] : [change];
  });
  return { changes: result, parts: search.parts };
}

/** What may still be read. */
interface Left {
  files: number;
  bytes: number;
}

interface Search<T extends Change> {
  readonly digestOf: DigestOf;
  readonly left: Left;
  readonly join: (rename: T, parts: readonly T[]) => T;
  /** of the deletions of what the host has changed since */
  readonly seen: SeenAll;
  readonly used: Set<T>;
  /** by the addition whose place in the list it takes */
  readonly renames: Map<T, T>;
  readonly parts: Map<T, readonly T[]>;
}

type SeenAll = ReadonlyMap<Change, Seen | 'unknown'>;

function seenIn<T extends Change>(gone: readonly T[], { seenOf }: RenameOptions<T>): SeenAll {
  const all = new Map<Change, Seen | 'unknown'>();
  if (seenOf === undefined) return all;
  for (const change of gone) {
    const seen = seenOf(change);
    if (seen !== null) all.set(change, seen);
  }
  return all;
}

/** Null once the limits are reached: unknown, so never equal. */
function within(left: Left, seen: SeenAll, digestOf: DigestOf): DigestOf {
  return (change, side) => {
    left.files -= 1;
    left.bytes -= sizeOf(change, seen);
    return left.files < 0 || left.bytes < 0 ? null : digestOf(change, side);
  };
}

function sizeOf(change: Change, seen?: SeenAll): number {
  const other = seen?.get(change);
  return other === undefined || other === 'unknown' ? ((change.upper ?? change.base)?.size ?? 0) : other.size;
}

function accept<T extends Change>(search: Search<T>, gone: T, come: T, parts: readonly T[]): void {
  const modes = ((gone.base?.mode ?? 0) ^ (come.upper?.mode ?? 0)) & 0o7777;
  const plain: T = {
    ...come,
    kind: 'rename',
    from: gone.path,
    base: gone.base,
    basePath: gone.basePath ?? gone.path,
    content: false,
    meta: modes === 0 ? [] : ['mode'],
  };
  const rename = search.join(plain, parts);
  for (const part of parts) search.used.add(part);
  search.renames.set(come, rename);
  search.parts.set(rename, parts);
}

/** A directory and all changes below it, by relative path. */
interface Tree<T extends Change> {
  readonly top: T;
  readonly below: Map<Bytes, T>;
}

function pairTrees<T extends Change>(search: Search<T>, deletions: readonly T[], additions: readonly T[]): void {
  if (!additions.some(isDirectory)) return;
  const deleted = treesOf(deletions);
  if (deleted.length === 0) return;
  const added = treesOf(additions);
  for (const [gone, come] of onlyPairs(deleted, added, (tree) => shapeOf(tree, search.seen))) {
    if (sameTree(search, gone, come)) acceptTree(search, gone, come);
  }
  pairEdited(search, deleted, added);
}

function acceptTree<T extends Change>(search: Search<T>, gone: Tree<T>, come: Tree<T>): void {
  accept(search, gone.top, come.top, [gone.top, come.top, ...gone.below.values(), ...come.below.values()]);
}

const MOST_TREES = 1000;

/** Directories in which the host edited a file that nobody kept for comparison: by all else that is in them. */
function pairEdited<T extends Change>(search: Search<T>, deleted: readonly Tree<T>[], added: readonly Tree<T>[]): void {
  const edited = deleted.filter(({ top, below }) => !search.used.has(top) && [...below.values()].some((change) => search.seen.get(change) === 'unknown'));
  const free = added.filter(({ top }) => !search.used.has(top));
  if (edited.length * free.length > MOST_TREES) return;
  const found = edited.map((gone) => [gone, free.filter((come) => isEdited(search, gone, come))] as const);
  for (const [gone, [come, ...others]] of found) {
    if (come === undefined || others.length > 0 || found.some(([other, its]) => other !== gone && its.includes(come))) continue;
    acceptTree(search, gone, come);
  }
}

/** The same names, and what is known of the old ones has the same content; there is some. */
function isEdited<T extends Change>(search: Search<T>, gone: Tree<T>, come: Tree<T>): boolean {
  if (gone.below.size !== come.below.size) return false;
  const known = [...gone.below].filter(([, { type }]) => type === 'file').filter(([, change]) => search.seen.get(change) !== 'unknown' && sizeOf(change, search.seen) > 0);
  const isAlike = ([path, old]: [Bytes, T]): boolean => {
    const fresh = come.below.get(path);
    if (fresh?.type !== old.type || (fresh.target ?? '') !== (old.target ?? '')) return false;
    return old.type !== 'file' || search.seen.get(old) === 'unknown' || sizeOf(fresh) === sizeOf(old, search.seen);
  };
  return known.length > 0 && [...gone.below].every(isAlike) && known.every(([path, old]) => sameFile(search, old, come.below.get(path) as T));
}

/** The topmost directories among changes of one kind. */
function treesOf<T extends Change>(changes: readonly T[]): Tree<T>[] {
  const tops = new Map<Bytes, Tree<T>>();
  const dirs = new Set(changes.filter(isDirectory).map((change) => change.path));
  if (dirs.size === 0) return [];
  for (const change of changes) {
    if (isDirectory(change) && !dirs.has(parentOf(change.path))) tops.set(change.path, { top: change, below: new Map() });
  }
  for (const change of changes) {
    const top = topOf(change.path, tops);
    if (top !== null) tops.get(top)?.below.set(change.path.slice(top.length + 1) as Bytes, change);
  }
  return [...tops.values()];
}

function isDirectory({ type }: Change): boolean {
  return type === 'dir';
}

function topOf(path: Bytes, tops: ReadonlyMap<Bytes, unknown>): Bytes | null {
  for (let at = parentOf(path); at !== '/'; at = parentOf(at)) if (tops.has(at)) return at;
  return null;
}

/** Names, types, sizes and targets; null for a tree without content, which tells nothing. */
function shapeOf(tree: Tree<Change>, seen: SeenAll): string | null {
  let bytes = 0;
  const lines: string[] = [];
  for (const [path, change] of tree.below) {
    const size = change.type === 'file' ? sizeOf(change, seen) : 0;
    bytes += size;
    lines.push(`${path}\0${change.type}\0${size}\0${change.target ?? ''}`);
  }
  return bytes === 0 ? null : lines.sort().join('\0\0');
}

function sameTree<T extends Change>(search: Search<T>, gone: Tree<T>, come: Tree<T>): boolean {
  for (const [path, old] of gone.below) {
    const fresh = come.below.get(path);
    if (fresh === undefined) return false;
    if (old.type === 'file' && sizeOf(old, search.seen) > 0 && !sameFile(search, old, fresh)) return false;
  }
  return true;
}

function sameFile({ digestOf }: { digestOf: DigestOf }, gone: Change, come: Change): boolean {
  const digest = digestOf(gone, 'base');
  return digest !== null && digest === digestOf(come, 'upper');
}

function pairFiles<T extends Change>(search: Search<T>, deletions: readonly T[], additions: readonly T[]): void {
  // Only what has a counterpart of its size is worth reading.
  const sizes = commonSizes(sizesOf(search, deletions), sizesOf(search, additions), search.left);
  if (sizes === 'many' || sizes.size === 0) return;
  const isWorth = (change: T): boolean => !search.used.has(change) && sizes.has(fileSizeOf(change, search.seen));
  const [gone, come] = [deletions.filter(isWorth), additions.filter(isWorth)];
  const digest = (change: Change): string | null => search.digestOf(change, change.kind === 'delete' ? 'base' : 'upper');
  for (const [old, fresh] of onlyPairs(gone, come, digest)) accept(search, old, fresh, [old, fresh]);
}

/**
 * Sizes that are in both lists. `many`: more files, or more in them, than is
 * read. A part would be read for nothing: whether a pair is the only one shows at the end.
 */
export function commonSizes(gone: Iterable<number>, come: Iterable<number>, limits: RenameLimits): ReadonlySet<number> | 'many' {
  const counts = new Map<number, number>();
  for (const size of gone) if (size > 0) counts.set(size, (counts.get(size) ?? 0) + 1);
  const common = new Set<number>();
  if (counts.size === 0) return common;
  let [files, bytes] = [0, 0];
  for (const size of come) {
    const count = counts.get(size);
    if (count === undefined) continue;
    const more = common.has(size) ? 1 : count + 1;
    common.add(size);
    files += more;
    bytes += more * size;
    if (files > limits.files || bytes > limits.bytes) return 'many';
  }
  return common;
}

function* sizesOf({ used, seen }: { readonly used: ReadonlySet<Change>; readonly seen: SeenAll }, changes: readonly Change[]): Generator<number> {
  for (const change of changes) if (!used.has(change)) yield fileSizeOf(change, seen);
}

/** Nothing for what is no file; a further name of a file of the host was never another one's. */
export function fileSizeOf(change: Change, seen?: SeenAll): number {
  return change.type === 'file' && change.link === undefined ? sizeOf(change, seen) : 0;
}

/** What has the same key as exactly one of the other list, and is alone with it in its own. */
function onlyPairs<T>(left: readonly T[], right: readonly T[], keyOf: (one: T) => string | null): [T, T][] {
  if (left.length === 0 || right.length === 0) return [];
  const [lefts, rights] = [byKey(left, keyOf), byKey(right, keyOf)];
  const pairs: [T, T][] = [];
  for (const [key, one] of lefts) {
    const other = rights.get(key);
    if (one.length === 1 && other?.length === 1) pairs.push([one[0] as T, other[0] as T]);
  }
  return pairs;
}

function byKey<T>(list: readonly T[], keyOf: (one: T) => string | null): Map<string, T[]> {
  const map = new Map<string, T[]>();
  for (const one of list) {
    const key = keyOf(one);
    if (key === null) continue;
    const same = map.get(key);
    if (same === undefined) map.set(key, [one]);
    else same.push(one);
  }
  return map;
}
