import type { Bytes } from '../../bytes.js';
import type { Stat } from '../../kernel/kernel.js';
import type { Change, ChangeKind, FileType } from '../change.js';
import type { CommitResult, Counts } from '../result.js';
import type { Act, Covered, Ident, Place, Root, Step, Unmark } from './step.js';
import type { TreeEntries } from './tree-entries.js';

/** Content that is neither side's: chosen hunks or a merge. */
export interface Composed {
  readonly content: Buffer;
  /** false: the agent's version stays in the layer as a change (hunks); true: it is spent (a merge) */
  readonly consume: boolean;
  /** absent: the agent's metadata; else these, with the host's attributes */
  readonly meta?: Pick<Stat, 'mode' | 'uid' | 'gid'>;
}

/**
 * What becomes of the layer's entry once the step landed: it `moved` itself,
 * it is a spent `whiteout` or a `spent` object, it `stays`, or it is a
 * directory that took the host's to another place (`shift`).
 */
export type LayerEntry = 'moved' | 'whiteout' | 'spent' | 'stays' | 'shift';

/** The file that a name is to be a link of. */
export interface DraftLink {
  readonly at: Place;
  /** when this step lands; null: the content will be another one, it lands as a copy */
  readonly ident: Ident | null;
  /** now */
  readonly now: Ident;
  readonly same: boolean;
  /** in a directory that is not there yet */
  readonly inNew: boolean;
}

/** A step as planned, before copies are made and inodes known. */
export interface Draft {
  readonly act: Act;
  readonly kind: ChangeKind;
  readonly type: FileType;
  /** absolute, for reports */
  readonly path: Bytes;
  readonly layer: number;
  readonly host: Place;
  /** the layer's entry, or for an undo the kept object; null for a deletion without a whiteout */
  readonly source: Place | null;
  readonly method: 'move' | 'copy';
  readonly composed: Composed | null;
  readonly fresh: Stat | null;
  readonly target: Bytes | null;
  readonly old: Stat | null;
  /** for a directory: all that is in it; null for other types */
  readonly entries: TreeEntries | null;
  readonly covers: readonly Covered[];
  readonly layerEntry: LayerEntry;
  /** which metadata differ */
  readonly meta: Change['meta'];
  /** an undo knows the metadata that it puts back; a commit reads them from both sides */
  readonly metas?: NonNullable<Step['meta']>;
  readonly opaque: boolean;
  readonly copiedUp: boolean | null;
  /** the layer's entry has no extended attribute at all */
  readonly plain: boolean;
  /** the new object has file capabilities */
  readonly capable: boolean;
  /** its one attribute is the overlay's origin mark, with this value */
  readonly origin: Bytes | null;
  /** it lands as a further name of a file of the host */
  readonly link?: DraftLink | undefined;
  /** an undo: another name of the same file, so that nothing is to be kept of the old object */
  readonly twin?: Place | undefined;
  readonly group: number;
}

/** Pure result of planning: what `applyPlan` prepares, writes down and carries out. */
export interface Plan {
  readonly counts: Counts;
  /** selected paths that will not land, known before anything is written */
  readonly refused: CommitResult['refused'];
  readonly steps: readonly Draft[];
  /** bytes that will be copied instead of moved */
  readonly copyBytes: number;
  /** three per layer: base, layer, vault (the directory that holds the commit's) */
  readonly roots: readonly Root[];
  /** per root index / 3: can the layer be renamed into its base */
  readonly movable: readonly boolean[];
  /** layers (by position) of which nothing is meant to stay */
  readonly emptied: readonly number[];
  /** directories of layers that need no opaque mark once their group landed */
  readonly unmark: readonly Unmark[];
  readonly keepSpecial: boolean;
  readonly note: string | null;
  readonly digest: string;
  /** the commit that this plan takes back */
  readonly undoes: string | null;
}

/** The layer's name of a copied file is spent; a directory's whole content too. */
export function copied(step: Draft): Draft {
  return redraft(step, { method: 'copy', layerEntry: step.layerEntry === 'moved' ? 'spent' : step.layerEntry });
}

/** The same with some of it otherwise; a spread would miss what is looked up. */
export function redraft(draft: Draft, otherwise: Partial<Draft>): Draft {
  const { act, kind, type, path, layer, host, source, method, composed, fresh, target, old, entries, covers, layerEntry, meta, opaque, copiedUp, plain, capable, origin, group, link, twin } = draft;
  const metas = draft.metas === undefined ? {} : { metas: draft.metas };
  return { act, kind, type, path, layer, host, source, method, composed, fresh, target, old, entries, covers, layerEntry, meta, ...metas, opaque, copiedUp, plain, capable, origin, group, link, twin, ...otherwise };
}
