import picomatch from 'picomatch';
import type { Bytes } from '../bytes.js';
import { isWithin, parentOf, toText } from '../bytes.js';
import type { Change } from './change.js';

/** What a user named. Nothing named means all. */
export interface Selection {
  /** absolute paths: that path and all below it */
  readonly paths: readonly Bytes[];
  /** absolute picomatch patterns */
  readonly globs: readonly Bytes[];
}

/** The changes that words and paths chose, with what can't be parted from them. */
export interface Selected<T extends Change> {
  /** in the order of the input */
  readonly changes: readonly T[];
  readonly paths: ReadonlySet<Bytes>;
  /** new parent directories and other halves of renames that came along unasked */
  readonly added: readonly Bytes[];
  /** words of the selection that match no change */
  readonly unmatched: readonly Bytes[];
}

/**
 * Renames are never taken by half; new parents of what is taken come along
 * (E97), unless nothing is to land (`alone`). `renames` has old and new paths of
 * files as `detectRenames` pairs them.
 */
export function selectChanges<T extends Change>(
  changes: readonly T[],
  selection: Selection,
  renames: ReadonlyMap<Bytes, Bytes> = new Map(),
  parents: 'parents' | 'alone' = 'parents',
): Selected<T> {
  const { paths, globs } = selection;
  if (paths.length + globs.length === 0) {
    return { changes, paths: new Set(changes.map(({ path }) => path)), added: [], unmatched: [] };
  }
  const named = matching(changes, selection);
  const taken = new Set(named.taken);
  const added = complete(taken, { changes, renames, parents });
  return { changes: changes.filter(({ path }) => taken.has(path)), paths: taken, added, unmatched: named.unmatched };
}

/** What words match, before anything comes along. */
export interface Matched {
  readonly taken: ReadonlySet<Bytes>;
  readonly unmatched: readonly Bytes[];
}

/** What the words themselves name, and nothing that comes along. No words name nothing. */
export function matching(changes: readonly Change[], { paths, globs }: Selection): Matched {
  const roots = new Set(paths);
  const hits = new Set<Bytes>();
  const patterns = globs.map((glob) => ({ glob, test: picomatch(toText(glob), { dot: true }) }));
  const taken = new Set<Bytes>();
  for (const { path, from } of changes) {
    const root = rootAbove(path, roots) ?? (from === null ? null : rootAbove(from, roots));
    if (root !== null) hits.add(root);
    let matched = root !== null;
    for (const { glob, test } of patterns) {
      if (!test(toText(path))) continue;
      matched = true;
      hits.add(glob);
    }
    if (matched) taken.add(path);
  }
  return { taken, unmatched: [...paths, ...globs].filter((word) => !hits.has(word)) };
}

function rootAbove(path: Bytes, roots: ReadonlySet<Bytes>): Bytes | null {
  for (let at = path; ; at = parentOf(at)) {
    if (roots.has(at)) return at;
    if (at === '/') return null;
  }
}

interface Completing {
  readonly changes: readonly Change[];
  readonly renames: ReadonlyMap<Bytes, Bytes>;
  readonly parents: 'parents' | 'alone';
}

/** Adds what the taken can't land without, until nothing is missing. */
function complete(taken: Set<Bytes>, { changes, renames, parents: needs }: Completing): Bytes[] {
  const partners = partnersIn(renames);
  const parents = new Map((needs === 'alone' ? [] : changes).filter(isNeeded).map((change) => [change.path, change]));
  const added: Bytes[] = [];
  const queue = [...taken];
  const add = (path: Bytes): void => {
    if (taken.has(path)) return;
    taken.add(path);
    added.push(path);
    queue.push(path);
  };
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    for (const partner of partners.get(path) ?? []) for (const below of withContent([partner, path], changes)) add(below);
    for (let at = parentOf(path); at !== '/'; at = parentOf(at)) if (parents.has(at)) add(at);
  }
  return added;
}

type Partners = ReadonlyMap<Bytes, readonly Bytes[]>;

function partnersIn(renames: ReadonlyMap<Bytes, Bytes>): Partners {
  const partners = new Map<Bytes, readonly Bytes[]>();
  const note = (path: Bytes, other: Bytes): void => void partners.set(path, [...(partners.get(path) ?? []), other]);
  for (const [from, to] of renames) {
    note(from, to);
    note(to, from);
  }
  return partners;
}

/** A renamed directory is renamed with all that is in it. */
function withContent([top, other]: readonly [Bytes, Bytes], changes: readonly Change[]): Bytes[] {
  const self = changes.find(({ path }) => path === top);
  if (self?.type !== 'dir') return [top];
  return changes.filter(({ path }) => isWithin(path, top) || isWithin(path, other)).map(({ path }) => path);
}

/** A directory that the host doesn't have yet, or has under another name. */
function isNeeded(change: Change): boolean {
  if (change.type !== 'dir' || change.implied) return false;
  return change.kind === 'add' || change.kind === 'rename' || (change.kind === 'type' && change.oldType !== 'dir');
}
