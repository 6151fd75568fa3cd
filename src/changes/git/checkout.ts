import { isWithin, joinBytes, nameOf, normalised, parentOf, type Bytes } from '../../bytes.js';
import type { Kernel } from '../../kernel/kernel.js';
import type { Layer } from '../../sandbox/sandbox.js';
import type { Change } from '../change.js';
import { readHostFile } from '../conflict/host-file.js';
import { unitNeeds } from '../database/units.js';
import { packedRefs, referenceOf } from './packed-ref.js';
import { removalNeeds, unfinishedNeeds } from './unfinished.js';

const LONGEST_HEAD = 4096;

/** Both sides of a change can be read. */
export interface Seeing {
  readonly kernel: Kernel;
  readonly layers: readonly Layer[];
}

/** What of a repository, or of another store of several files, lands only with something else of it, by path. */
export function checkoutNeeds(changes: readonly Change[], seeing: Seeing): ReadonlyMap<Bytes, readonly Bytes[]> {
  const heads = headNeeds(changes, seeing);
  const inGit = changes.filter(({ path }) => path.includes('.git/') || path.endsWith('/.git'));
  const others = [...pointerNeeds(inGit, seeing), ...packedNeeds(inGit), ...tableNeeds(inGit), ...unfinishedNeeds(inGit), ...removalNeeds(inGit, seeing.kernel), ...unitNeeds(changes)];
  if (others.length === 0) return heads;
  const all = new Map(heads);
  for (const [path, needed] of others) all.set(path, all.has(path) ? [...(all.get(path) ?? []), ...needed] : needed);
  return all;
}

/** A branch or tag that the agent's git packed loses its own file: without the packed ones it would be gone. */
function packedNeeds(changes: readonly Change[]): (readonly [Bytes, readonly Bytes[]])[] {
  const packed = new Set(changes.filter(({ path, upper }) => upper !== null && path.endsWith('/packed-refs')).map(({ path }) => path));
  if (packed.size === 0) return [];
  return changes.flatMap(({ path, kind }) => {
    const file = kind === 'delete' ? referenceOf(path)?.file : undefined;
    return file === undefined || !packed.has(file) ? [] : [[path, [file]] as const];
  });
}

const TABLE = /^(.*\/reftable)\/(.+)\.ref$/s;

/** References in tables: the list of them comes with the new ones, and the old ones go with it. */
function tableNeeds(changes: readonly Change[]): (readonly [Bytes, readonly Bytes[]])[] {
  const tables = new Map<Bytes, Bytes[]>();
  const gone: (readonly [Bytes, Bytes])[] = [];
  for (const { path, kind } of changes) {
    // Tried on each of a million paths, the pattern alone would take seconds.
    const dir = path.endsWith('.ref') ? TABLE.exec(path)?.[1] : undefined;
    if (dir === undefined) continue;
    const list = `${dir}/tables.list` as Bytes;
    if (kind === 'delete') gone.push([path, list]);
    else tables.set(list, [...(tables.get(list) ?? []), path]);
  }
  return [...tables, ...gone.map(([path, list]) => [path, [list]] as const)];
}

/** The `.git` file of a work tree or a submodule, and the new git directory that it leads to: without that it would lead nowhere. */
function pointerNeeds(changes: readonly Change[], { kernel, layers }: Seeing): (readonly [Bytes, readonly Bytes[]])[] {
  const pointers = changes.filter(({ path, type, upper }) => type === 'file' && upper !== null && path.endsWith('/.git'));
  if (pointers.length === 0) return [];
  const added = new Set(changes.filter(({ kind }) => kind === 'add').map(({ path }) => path));
  return pointers.flatMap((pointer) => {
    const to = /^gitdir: ([^\n]+)\n?$/.exec(readUpper(pointer, { kernel, layers }) ?? '')?.[1];
    const dir = to === undefined ? null : normalised(to.startsWith('/') ? to : `${parentOf(pointer.path)}/${to}`);
    return dir === null || !added.has(dir) ? [] : [[pointer.path, [dir]] as const];
  });
}

/**
 * By a `HEAD` that the agent changed, where the branch is that it names: without
 * that the host would have a branch without a commit checked out. The branch
 * itself can do without being checked out.
 */
function headNeeds(changes: readonly Change[], seeing: Seeing): ReadonlyMap<Bytes, readonly Bytes[]> {
  const heads = changes.filter(({ path, type, upper }) => path.endsWith('/HEAD') && type === 'file' && upper !== null && /\.git(\/|$)/.test(parentOf(path)) && !path.includes('/logs/'));
  if (heads.length === 0) return NONE;
  const kinds = new Map(changes.map(({ path, kind }) => [path, kind]));
  return new Map(heads.flatMap((head) => {
    const dir = parentOf(head.path);
    const isNew = kinds.get(dir) === 'add';
    const needed = neededBy(head, seeing, kinds).filter((path) => kinds.has(path) && !(isNew && isWithin(path, dir)));
    if (needed.length === 0) return [];
    // A git directory without what is checked out in it is none: a new one stays as a whole.
    const places = isNew ? changes.map(({ path }) => path).filter((path) => isWithin(path, dir)) : [head.path];
    return places.map((path) => [path, needed] as const);
  }));
}

const NONE: ReadonlyMap<Bytes, readonly Bytes[]> = new Map();

/** The agent's version. */
function readUpper({ at }: Change, { kernel, layers }: Seeing): string | null {
  const upper = joinBytes(layers[at.layer]?.dir ?? ('/' as Bytes), 'upper' as Bytes);
  return readHostFile(kernel, joinBytes(upper, at.path), LONGEST_HEAD);
}

function neededBy(head: Change, seeing: Seeing, kinds: ReadonlyMap<Bytes, Change['kind']>): readonly Bytes[] {
  const { kernel } = seeing;
  const name = /^ref: (refs\/heads\/[^\n]+)\n?$/.exec(readUpper(head, seeing) ?? '')?.[1] as Bytes | undefined;
  if (name === undefined) return [];
  const dir = parentOf(head.path);
  // Of a further work tree the branches are in the git directory of the main one.
  const main = nameOf(parentOf(dir)) === 'worktrees' ? parentOf(parentOf(dir)) : dir;
  const [branch, packed] = [joinBytes(main, name), joinBytes(main, 'packed-refs' as Bytes)];
  const kind = kinds.get(branch);
  if (kind !== undefined) return kind === 'delete' ? [branch, packed] : [branch];
  const isHosts = readHostFile(kernel, branch, LONGEST_HEAD) !== null || packedRefs(kernel)(branch).value !== null;
  return isHosts ? [] : [packed];
}
