import type { Bytes } from '../../bytes.js';
import type { ChangeKind, FileType } from '../change.js';
import { CLEAN, COPIED_UP } from '../apply/cleaning.js';
import { ORIGIN_NAME, OriginMark } from '../scan/origin-mark.js';
import type { Act, Cleaning, Covered, Ident, Place, Step, Steps } from '../plan/step.js';
import { placeFrom, wayTo, WAYS } from './place-paths.js';

/**
 * The steps of a commit or an undo, of which there may be a million. Nearly all are of one
 * kind, a file that goes between the host and a layer or vault: of these only what can
 * differ is kept, in columns of some eighty bytes a step. The others are kept
 * as they are.
 */
export class StepTable implements Steps {
  length = 0;
  private rows: Columns;
  /** rows that there is room for */
  private most: number;
  private readonly odd = new Map<number, Step>();

  constructor(most = 256) {
    this.most = most;
    this.rows = columnsFor(most);
  }

  push(step: Step): void {
    const index = this.length;
    if (index === this.most) {
      this.most = 2 * this.most + 1;
      this.rows = widened(this.rows, this.most);
    }
    if (isPlain(step)) pack(this.rows, index, step);
    else this.odd.set(index, step);
    this.length += 1;
  }

  at(index: number): Step | undefined {
    if (index >= this.length) return undefined;
    return this.odd.get(index) ?? new PackedStep(this.rows, index);
  }

  *[Symbol.iterator](): Generator<Step> {
    for (let index = 0; index < this.length; index += 1) yield this.at(index) as Step;
  }
}

/** The same steps without some. */
export function stepsWhere(steps: Steps, test: (step: Step) => boolean): StepTable {
  const table = new StepTable(steps.length);
  for (const step of steps) if (test(step)) table.push(step);
  return table;
}

const ACTS: readonly Act[] = ['place', 'swap', 'take'];
const KINDS: readonly ChangeKind[] = ['add', 'modify', 'delete', 'type', 'metadata'];
const TYPES: readonly FileType[] = ['file', 'symlink', 'fifo'];
const CLEANINGS: readonly (Cleaning | null)[] = [null, CLEAN, COPIED_UP];
/** Beyond these: the mark that a copy-up leaves in root mode, which has a value. */
const ORIGIN = CLEANINGS.length;
/** Of an ident that isn't there. */
const NO_FORMAT = 0;

interface Columns {
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

const WORDS = 7;
const PLACE = { from: 4, hold: 5, keep: 6 } as const;

function columnsFor(most: number): Columns {
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
function widened(rows: Columns, most: number): Columns {
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

function isPlain(step: Step): boolean {
  const { act, kind, type, host, from, hold, keep, clean, tree, inside, covers, meta, spent, locked, stripped, old, fresh, link, twin } = step;
  if (tree || inside > 0 || covers.length > 0 || meta !== null || spent !== null || locked !== null || link !== null || twin !== null || stripped.length > 0) return false;
  if (!ACTS.includes(act) || !KINDS.includes(kind) || !TYPES.includes(type) || cleaningNumber(clean) < 0) return false;
  if (old?.fmt === NO_FORMAT || fresh?.fmt === NO_FORMAT) return false;
  const [first, second, third] = [wayTo(from, host), wayTo(hold, host), wayTo(keep, host)];
  if (first === null || second === null || third === null) return false;
  // One number of a step is enough for both.
  return second !== WAYS.taken || third !== WAYS.taken || hold?.path === keep?.path;
}

function pack(rows: Columns, index: number, step: Step): void {
  const { act, kind, type, host, from, hold, keep, clean, group } = step;
  rows.paths[index] = host.path;
  rows.roots[index] = host.root;
  rows.groups[index] = group;
  const at = WORDS * index;
  const { words } = rows;
  const origin = originIn(clean);
  words[at] = ACTS.indexOf(act);
  words[at + 1] = KINDS.indexOf(kind);
  words[at + 2] = TYPES.indexOf(type);
  words[at + 3] = cleaningNumber(clean);
  words[at + PLACE.from] = wayTo(from, host) ?? 0;
  words[at + PLACE.hold] = wayTo(hold, host) ?? 0;
  words[at + PLACE.keep] = wayTo(keep, host) ?? 0;
  const taken = words[at + PLACE.keep] === WAYS.taken ? keep : words[at + PLACE.hold] === WAYS.taken ? hold : null;
  rows.taken[index] = taken === null ? 0 : Number(taken.path.slice('taken/'.length));
  rows.origins[index] = origin ?? undefined;
  packIdent(rows, 2 * index, step.fresh);
  packIdent(rows, 2 * index + 1, step.old);
}

/** -1: it can't be packed. What was read from a journal is not one of these itself, but says the same. */
function cleaningNumber(clean: Cleaning | null): number {
  if (originIn(clean) !== null) return ORIGIN;
  if (clean === null || clean.whiteouts.length + clean.modes.length > 0) return CLEANINGS.indexOf(clean);
  const same = (other: Cleaning | null): boolean => other !== null && other.marks.length === clean.marks.length && other.marks.every((mark, n) => isSameMark(mark, clean.marks[n]));
  return CLEANINGS.findIndex((other) => other === clean || same(other));
}

type Mark = Cleaning['marks'][number];

function isSameMark(a: Mark, b: Mark | undefined): boolean {
  return b !== undefined && a.path === b.path && a.name === b.name && a.value.equals(b.value);
}

/** The value of the one mark, when there is nothing else to clean. */
function originIn(clean: Cleaning | null): string | null {
  if (clean instanceof OriginMark) return clean.value;
  if (clean === null || clean.whiteouts.length + clean.modes.length > 0 || clean.marks.length !== 1) return null;
  const [mark] = clean.marks;
  return mark?.path === '' && mark.name === ORIGIN_NAME ? mark.value.toString('latin1') : null;
}

function packIdent(rows: Columns, at: number, ident: Ident | null): void {
  if (ident === null) return;
  rows.inodes[at] = ident.ino;
  rows.stamps[at] = ident.mtimeNs;
  rows.sizes[at] = ident.size;
  rows.formats[at] = ident.fmt;
}

function identAt(rows: Columns, at: number): Ident | null {
  const fmt = rows.formats[at] ?? NO_FORMAT;
  if (fmt === NO_FORMAT) return null;
  return { ino: rows.inodes[at] ?? 0n, fmt, size: rows.sizes[at] ?? 0, mtimeNs: rows.stamps[at] ?? 0n };
}

/** A row as the step that it stands for. */
class PackedStep implements Step {
  private readonly rows: Columns;
  private readonly index: number;

  constructor(rows: Columns, index: number) {
    this.rows = rows;
    this.index = index;
  }
  // Not fields: there may be a million of these for a moment.
  get tree(): boolean {
    return false;
  }
  get inside(): number {
    return 0;
  }
  get covers(): readonly Covered[] {
    return NOTHING;
  }
  get meta(): null {
    return null;
  }
  get spent(): null {
    return null;
  }
  get locked(): null {
    return null;
  }
  get link(): null {
    return null;
  }
  get twin(): null {
    return null;
  }
  get stripped(): readonly string[] {
    return NOTHING;
  }
  get act(): Act {
    return ACTS[this.word(0)] as Act;
  }
  get kind(): ChangeKind {
    return KINDS[this.word(1)] as ChangeKind;
  }
  get type(): FileType {
    return TYPES[this.word(2)] as FileType;
  }
  get clean(): Cleaning | null {
    const number = this.word(3);
    if (number !== ORIGIN) return CLEANINGS[number] ?? null;
    return new OriginMark(this.rows.origins[this.index] ?? '');
  }
  get group(): number {
    return this.rows.groups[this.index] ?? 0;
  }
  get host(): Place {
    return { root: this.rows.roots[this.index] ?? 0, path: this.rows.paths[this.index] as Bytes };
  }
  get from(): Place | null {
    return this.placed(PLACE.from);
  }
  get hold(): Place | null {
    return this.placed(PLACE.hold);
  }
  get keep(): Place | null {
    return this.placed(PLACE.keep);
  }
  get fresh(): Ident | null {
    return identAt(this.rows, 2 * this.index);
  }
  get old(): Ident | null {
    return identAt(this.rows, 2 * this.index + 1);
  }
  private word(n: number): number {
    return this.rows.words[WORDS * this.index + n] ?? 0;
  }
  private placed(at: number): Place | null {
    return placeFrom(this.word(at), this.host, this.rows.taken[this.index] ?? 0);
  }
}

const NOTHING: readonly never[] = [];
