import { constants } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import type { ChangeKind, FileType } from '../change.js';
import { OriginMark } from '../scan/origin-mark.js';
import type { Act, Cleaning, Covered, Ident, Place, Step } from '../plan/step.js';
import { ACTS, CLEANINGS, identAt, KINDS, ORIGIN, PLACE, TYPES, WORDS, type Columns } from './columns.js';
import { placeFrom } from './place-paths.js';

/** A row as the step that it stands for. */
export class PackedStep implements Step {
  private readonly rows: Columns;
  private readonly index: number;
  /** asked for again and again */
  private place: Place | undefined;

  constructor(rows: Columns, index: number) {
    this.rows = rows;
    this.index = index;
    this.place = undefined;
  }
  /** It lands by itself, and no directory goes or comes. */
  get simple(): boolean {
    const { formats, groups } = this.rows;
    return groups[this.index] === 0 && formats[2 * this.index] !== constants.S_IFDIR && formats[2 * this.index + 1] !== constants.S_IFDIR;
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
    return (this.place ??= { root: this.rows.roots[this.index] ?? 0, path: this.rows.paths[this.index] as Bytes });
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
