import { constants } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import type { Stat } from '../../kernel/kernel.js';
import type { Change } from '../change.js';

/** What SQLite keeps beside a database: committed or half-done transactions, without which it is an old or a broken one. */
export const BESIDE = ['-wal', '-journal'] as const;
/** A database is made of pages of at least so many bytes. */
const SMALLEST_PAGE = 512;

/** The database that a file belongs to, by its name; null for any other file. */
export function databaseOf(path: Bytes): Bytes | null {
  const suffix = BESIDE.find((end) => path.endsWith(end));
  const main = suffix === undefined ? '' : path.slice(0, -suffix.length);
  return main === '' || main.endsWith('/') ? null : (main as Bytes);
}

/** What may be beside a database. */
export function besideOf(path: Bytes): readonly Bytes[] {
  return BESIDE.map((suffix) => `${path}${suffix}` as Bytes);
}

/** By the size alone: SQLite's file is made of pages (sqlite.org/fileformat.html). */
export function mayBeDatabase(stat: Stat | null): boolean {
  return stat !== null && isFile(stat) && isPaged(stat.size);
}

/** Most files are not of such a size. */
export function isPaged(size: number): boolean {
  return size >= SMALLEST_PAGE && size % SMALLEST_PAGE === 0;
}

/** A log or journal with something in it; an empty one says nothing. */
export function isInUse(stat: Stat | null): boolean {
  return stat !== null && isFile(stat) && stat.size > 0;
}

function isFile(stat: Stat): boolean {
  return (stat.mode & constants.S_IFMT) === constants.S_IFREG;
}

/** A database and what is beside it belong together (I20). Added to `renames`: all or neither. */
export function withDatabasePairs(renames: ReadonlyMap<Bytes, Bytes>, changes: readonly Change[]): ReadonlyMap<Bytes, Bytes> {
  const beside = changes.filter(({ path, type }) => type === 'file' && databaseOf(path) !== null);
  if (beside.length === 0) return renames;
  const taken = new Set([...renames].flat());
  const paths = new Set(changes.map(({ path }) => path));
  const pairs = beside.flatMap(({ path }) => {
    const main = databaseOf(path) as Bytes;
    return paths.has(main) && !taken.has(path) && !taken.has(main) ? [[path, main] as const] : [];
  });
  return pairs.length === 0 ? renames : new Map([...renames, ...pairs]);
}
