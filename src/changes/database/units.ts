import { isWithin, nameOf, parentOf, type Bytes } from '../../bytes.js';
import type { Change } from '../change.js';
import type { Undone } from '../git/undo.js';
import { refused as refusedFor } from '../plan/refusal.js';

/** Files that PostgreSQL, MySQL and MongoDB always write: how far above them the store begins. */
const DATABASES: ReadonlyMap<string, number> = new Map([['pg_control', 2], ['ibdata1', 1], ['WiredTiger.wt', 1]]);
/** LevelDB and RocksDB, as browsers and editors have them. */
const TABLES = /^MANIFEST-\d+$/;
const TABLE_FILE = /^(?:CURRENT|MANIFEST-\d+|\d+\.(?:ldb|sst|log|blob))$/;
/** Mercurial and Subversion, without what they run. */
const HISTORY = /^(.*\/(?:\.hg|\.svn))\/(?:store\/|dirstate|bookmarks|branch$|wc\.db|pristine\/)/s;

/**
 * Files that are one store only together (I20): by path, what lands or stays with it.
 * One stands for all: it needs each of them, and each of them needs it.
 */
export function unitNeeds(changes: readonly Change[]): (readonly [Bytes, readonly Bytes[]])[] {
  const homeOf = homesIn(changes);
  const units = new Map<Bytes, Bytes[]>();
  for (const { path, type } of homeOf === null ? [] : changes) {
    const home = type === 'file' ? (homeOf?.(path) ?? null) : null;
    if (home === null) continue;
    const known = units.get(home);
    if (known === undefined) units.set(home, [path]);
    else known.push(path);
  }
  return [...units.values()].flatMap(([first, ...others]) => (first === undefined || others.length === 0 ? [] : [[first, others] as const, ...others.map((path) => [path, [first]] as const)]));
}

/** Of a store that was used since the commit an undo takes nothing back. */
export function keepUnits({ drafts, refused }: Undone): Undone {
  if (refused.length === 0) return { drafts, refused };
  const homeOf = homesIn([...drafts, ...refused]);
  if (homeOf === null) return { drafts, refused };
  const used = new Set(refused.map(({ path }) => homeOf(path)));
  const stays = ({ path, type }: Undone['drafts'][number]): boolean => {
    const home = type === 'file' ? homeOf(path) : null;
    return home !== null && used.has(home);
  };
  const staying = drafts.filter(stays);
  if (staying.length === 0) return { drafts, refused };
  return { drafts: drafts.filter((draft) => !stays(draft)), refused: [...refused, ...staying.map((draft) => refusedFor(draft, 'conflict', { text: 'it is part of a database that was used since', conflict: 'changed' }))] };
}

/** Tells which store a file is of; null: of none, as are all of most changes. */
function homesIn(changes: readonly { readonly path: Bytes }[]): ((path: Bytes) => Bytes | null) | null {
  const trees = new Set<Bytes>();
  const tables = new Set<Bytes>();
  let hasHistory = false;
  for (const { path } of changes) {
    const name = nameOf(path);
    const up = DATABASES.get(name);
    if (up !== undefined) trees.add(up === 2 ? parentOf(parentOf(path)) : parentOf(path));
    else if (TABLES.test(name)) tables.add(parentOf(path));
    hasHistory ||= path.includes('/.hg/') || path.includes('/.svn/');
  }
  if (!hasHistory && trees.size + tables.size === 0) return null;
  return (path) => {
    const history = HISTORY.exec(path)?.[1];
    if (history !== undefined) return history as Bytes;
    for (const tree of trees) if (isWithin(path, tree)) return tree;
    return tables.has(parentOf(path)) && TABLE_FILE.test(nameOf(path)) ? parentOf(path) : null;
  };
}
