import type { Bytes } from '../../bytes.js';
import type { ChangeKind, FileType } from '../change.js';
import { CLEAN, COPIED_UP } from '../apply/cleaning.js';
import { ORIGIN_NAME, OriginMark } from '../scan/origin-mark.js';
import type { Act, Cleaning, Covered, Ident, Place, Step, Steps } from '../plan/step.js';

/**
 * The steps of a commit, of which there may be a million. Nearly all are of one
 * kind, a file that goes between a layer and the host: of these only what can
 * differ is kept, in columns of some seventy bytes a step. The others are kept
 * as they are.
 */
export class StepTable implements Steps {
  length = 0;
  private readonly rows: Columns;
  private readonly odd = new Map<number, Step>();

  constructor(most: number) {
    this.rows = columnsFor(most);
  }

  push(step: Step): void {
    const index = this.length;
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
  /** per step: act, kind, type and cleaning by number, and which places it has */
  readonly words: Uint8Array;
  /** two per step: new and old object */
  readonly inodes: BigUint64Array;
  readonly stamps: BigInt64Array;
  readonly sizes: Float64Array;
  readonly formats: Uint16Array;
  /** values of origin marks, a char per byte */
  readonly origins: (string | undefined)[];
}

const WORDS = 5;
const PLACE = { from: 1, hold: 2, keep: 4 } as const;

function columnsFor(most: number): Columns {
  return {
    paths: [],
    roots: new Uint32Array(most),
    groups: new Uint32Array(most),
    words: new Uint8Array(WORDS * most),
    inodes: new BigUint64Array(2 * most),
    stamps: new BigInt64Array(2 * most),
    sizes: new Float64Array(2 * most),
    formats: new Uint16Array(2 * most),
    origins: [],
  };
}

/** `old/LAYER/…` of the vault mirrors the paths of a layer. */
export function oldPlace({ root, path }: Place): Place {
  const inside = `old/${Math.floor(root / 3)}`;
  return { root: root + 2, path: (path === '' ? inside : `${inside}/${path}`) as Bytes };
}

function isPlain(step: Step): boolean {
  const { act, kind, type, host, from, hold, keep, clean, tree, inside, covers, meta, spent, locked, stripped, old, fresh, link, twin } = step;
  if (tree || inside > 0 || covers.length > 0 || meta !== null || spent !== null || locked !== null || link !== null || twin !== null || stripped.length > 0) return false;
  if (!ACTS.includes(act) || !KINDS.includes(kind) || !TYPES.includes(type) || cleaningNumber(clean) < 0) return false;
  if (old?.fmt === NO_FORMAT || fresh?.fmt === NO_FORMAT) return false;
  const inLayer = (place: Place | null): boolean => place === null || (place.root === host.root + 1 && place.path === host.path);
  if (!inLayer(from) || !inLayer(hold) || keep === null) return inLayer(from) && inLayer(hold);
  const mirror = oldPlace(host);
  return keep.root === mirror.root && keep.path === mirror.path;
}

function pack(rows: Columns, index: number, step: Step): void {
  const { act, kind, type, host, from, hold, keep, clean, group } = step;
  rows.paths[index] = host.path;
  rows.roots[index] = host.root;
  rows.groups[index] = group;
  const places = (from === null ? 0 : PLACE.from) | (hold === null ? 0 : PLACE.hold) | (keep === null ? 0 : PLACE.keep);
  const at = WORDS * index;
  const { words } = rows;
  const origin = originIn(clean);
  words[at] = ACTS.indexOf(act);
  words[at + 1] = KINDS.indexOf(kind);
  words[at + 2] = TYPES.indexOf(type);
  words[at + 3] = origin === null ? CLEANINGS.indexOf(clean) : ORIGIN;
  words[at + 4] = places;
  rows.origins[index] = origin ?? undefined;
  packIdent(rows, 2 * index, step.fresh);
  packIdent(rows, 2 * index + 1, step.old);
}

/** -1: it can't be packed. */
function cleaningNumber(clean: Cleaning | null): number {
  return originIn(clean) === null ? CLEANINGS.indexOf(clean) : ORIGIN;
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
  readonly tree = false;
  readonly inside = 0;
  readonly covers: readonly Covered[] = NOTHING;
  readonly meta = null;
  readonly spent = null;
  readonly locked = null;
  readonly link = null;
  readonly twin = null;
  readonly stripped: readonly string[] = NOTHING;
  private readonly rows: Columns;
  private readonly index: number;

  constructor(rows: Columns, index: number) {
    this.rows = rows;
    this.index = index;
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
    return this.placed(PLACE.from) ? this.inLayer() : null;
  }
  get hold(): Place | null {
    return this.placed(PLACE.hold) ? this.inLayer() : null;
  }
  get keep(): Place | null {
    return this.placed(PLACE.keep) ? oldPlace(this.host) : null;
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
  private placed(place: number): boolean {
    return (this.word(4) & place) !== 0;
  }
  private inLayer(): Place {
    const { root, path } = this.host;
    return { root: root + 1, path };
  }
}

const NOTHING: readonly never[] = [];
