import type { Lend } from '../apply/locked.js';
import type { Counts, Refused } from '../result.js';
import type { Place, Root, Steps, Unmark } from '../plan/step.js';

/** The first record of a journal: what the commit is, and which directories its steps name by number. */
export interface Header {
  readonly version: 1;
  readonly id: string;
  readonly tag: string;
  /** ISO 8601 */
  readonly created: string;
  readonly note: string | null;
  readonly digest: string;
  readonly counts: Counts;
  readonly undoes: string | null;
  readonly keepSpecial: boolean;
  readonly roots: readonly Root[];
}

/** A layer that is emptied by exchanging its top directory with a prepared one. */
export interface Emptied {
  /** position of the layer: its roots are 3n, 3n+1, 3n+2 */
  readonly layer: number;
  /** of the prepared directory */
  readonly ino: bigint;
}

/** What a journal says, as far as it is whole. */
export interface Journal {
  readonly header: Header;
  /** places beside targets where staged copies may lie */
  readonly drafts: readonly Place[];
  readonly steps: Steps;
  /** directories of layers whose opaque or redirect mark has lost its meaning once the steps are done */
  readonly unmark: readonly Unmark[];
  readonly emptied: readonly Emptied[];
  readonly lends: readonly Lend[];
  readonly state: 'draft' | 'committed' | 'aborted' | 'done';
  /** steps that were refused after the commit point */
  readonly refused: ReadonlyMap<number, Refused>;
  /** where the next record goes */
  readonly end: number;
}
