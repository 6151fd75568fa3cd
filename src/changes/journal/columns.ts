import { constants } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import type { Stat } from '../../kernel/kernel.js';
import { CLEAN, COPIED_UP } from '../apply/cleaning.js';
import type { ChangeKind, FileType } from '../change.js';
import { ORIGIN_NAME, OriginMark } from '../scan/origin-mark.js';
import type { Act, Cleaning, Ident } from '../plan/step.js';

export const ACTS: readonly Act[] = ['place', 'swap', 'take'];
export const KINDS: readonly ChangeKind[] = ['add', 'modify', 'delete', 'type', 'metadata'];
export const TYPES: readonly FileType[] = ['file', 'symlink', 'fifo'];
export const CLEANINGS: readonly (Cleaning | null)[] = [null, CLEAN, COPIED_UP];
/** Beyond these: the mark that a copy-up leaves in root mode, which has a value. */
export const ORIGIN = CLEANINGS.length;
/** Of an ident that isn't there. */
export const NO_FORMAT = 0;

/** What can differ between plain steps. */
export interface Columns {
  readonly paths: Bytes[];
  readonly roots: Uint32Array;
  readonly groups: Uint32Array;
  /** per step: act, kind, type and cleaning by number, and the ways to its places */
  readonly words: Uint8Array;
  /** what `taken/N` of the vault is called */
  readonly taken: Uint32Array;
  /** two per step: new and old object */
  readonly inodes: BigUint64Array;
  readonly stamps: BigInt64Array;
  readonly sizes: Float64Array;
  readonly formats: Uint16Array;
  /** values of origin marks, a char per byte */
  readonly origins: (string | undefined)[];
}

export const WORDS = 7;
/** Where in its words a step has the ways to its places. */
export const PLACE = { from: 4, hold: 5, keep: 6 } as const;

/** Room for as many rows. */
export function columnsFor(most: number): Columns {
  return {
    paths: [],
    roots: new Uint32Array(most),
    groups: new Uint32Array(most),
    words: new Uint8Array(WORDS * most),
    taken: new Uint32Array(most),
    inodes: new BigUint64Array(2 * most),
    stamps: new BigInt64Array(2 * most),
    sizes: new Float64Array(2 * most),
    formats: new Uint16Array(2 * most),
    origins: [],
  };
}

/** The same rows with room for more. */
export function widened(rows: Columns, most: number): Columns {
  const { paths, origins, ...narrow } = rows;
  const wide = { ...columnsFor(most), paths, origins };
  wide.roots.set(narrow.roots);
  wide.groups.set(narrow.groups);
  wide.words.set(narrow.words);
  wide.taken.set(narrow.taken);
  wide.inodes.set(narrow.inodes);
  wide.stamps.set(narrow.stamps);
  wide.sizes.set(narrow.sizes);
  wide.formats.set(narrow.formats);
  return wide;
}

/** Of one that is no origin mark; -1: it can't be packed. What was read from a journal is not one of these itself, but says the same. */
export function cleaningNumber(clean: Cleaning | null): number {
  if (clean === null || clean.whiteouts.length + clean.modes.length > 0) return CLEANINGS.indexOf(clean);
  const same = (other: Cleaning | null): boolean => other !== null && other.marks.length === clean.marks.length && other.marks.every((mark, n) => isSameMark(mark, clean.marks[n]));
  return CLEANINGS.findIndex((other) => other === clean || same(other));
}

type Mark = Cleaning['marks'][number];

function isSameMark(a: Mark, b: Mark | undefined): boolean {
  return b !== undefined && a.path === b.path && a.name === b.name && a.value.equals(b.value);
}

/** The value of the one mark, when there is nothing else to clean. */
export function originIn(clean: Cleaning | null): string | null {
  if (clean instanceof OriginMark) return clean.value;
  if (clean === null || clean.whiteouts.length + clean.modes.length > 0 || clean.marks.length !== 1) return null;
  const [mark] = clean.marks;
  return mark?.path === '' && mark.name === ORIGIN_NAME ? mark.value.toString('latin1') : null;
}

/** Nothing for an ident that isn't there. */
export function packIdent(rows: Columns, at: number, ident: Ident | null): void {
  if (ident === null) return;
  rows.inodes[at] = ident.ino;
  rows.stamps[at] = ident.mtimeNs;
  rows.sizes[at] = ident.size;
  rows.formats[at] = ident.fmt;
}

/** The ident of what has this stat. */
export function packStat(rows: Columns, at: number, stat: Stat | null): void {
  if (stat === null) return;
  rows.inodes[at] = stat.ino;
  rows.stamps[at] = stat.mtimeNs;
  rows.sizes[at] = stat.size;
  rows.formats[at] = stat.mode & constants.S_IFMT;
}

/** Null where nothing was put. */
export function identAt(rows: Columns, at: number): Ident | null {
  const fmt = rows.formats[at] ?? NO_FORMAT;
  if (fmt === NO_FORMAT) return null;
  return { ino: rows.inodes[at] ?? 0n, fmt, size: rows.sizes[at] ?? 0, mtimeNs: rows.stamps[at] ?? 0n };
}
