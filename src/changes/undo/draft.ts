import type { Bytes } from '../../bytes.js';
import type { Stat } from '../../kernel/kernel.js';
import type { StatStore } from '../../kernel/stat-store.js';
import type { OpenDirs } from '../apply/open-dirs.js';
import type { ChangeKind, FileType } from '../change.js';
import type { Draft, LayerEntry } from '../plan/draft.js';
import type { TreeEntries } from '../plan/tree-entries.js';
import { absolute, type Covered, type Place, type Root, type Step } from '../plan/step.js';
import { fileTypeOf } from '../scan/filetype.js';
import { entriesOf } from './entries.js';

/** What the commit replaced, where it is now. */
export interface Kept {
  readonly place: Place;
  readonly stat: Stat;
}

/** The commit's vault is one root earlier than it was for the commit. */
export function inVault(keep: Place): Place {
  return { root: keep.root - 1, path: keep.path };
}

interface Parts {
  readonly act: Draft['act'];
  readonly kind: ChangeKind;
  readonly old: Stat | null;
  readonly covers?: readonly Covered[];
  readonly kept?: Kept;
}

interface Drafting {
  readonly dirs: OpenDirs;
  readonly stats: StatStore;
}

type Origin = Pick<Step, 'host' | 'type' | 'keep'>;

/** What takes a step back. */
export function draft({ dirs, stats }: Drafting, step: Origin, { act, kind, old, covers = NOTHING, kept }: Parts): Draft {
  const isTree = kept !== undefined && fileTypeOf(kept.stat) === 'dir';
  // Where it is, the step knows; what was dropped from a layer is elsewhere.
  const place = kept === undefined || step.keep !== null ? undefined : kept.place;
  return new UndoDraft(dirs.roots, step, {
    act,
    kind,
    covers,
    place,
    old: old === null ? null : stats.keep(old),
    fresh: kept === undefined ? null : stats.keep(kept.stat),
    entries: isTree ? entriesOf(dirs, kept.place) : null,
  });
}

type Chosen = Pick<Draft, 'act' | 'kind' | 'covers' | 'old' | 'fresh' | 'entries'> & { readonly place: Place | undefined };

const NOTHING: readonly never[] = [];

/** What the step says already is not said again: there may be a million. */
class UndoDraft implements Draft {
  readonly act: Draft['act'];
  readonly kind: ChangeKind;
  readonly old: Stat | null;
  readonly fresh: Stat | null;
  readonly covers: readonly Covered[];
  readonly entries: TreeEntries | null;
  private readonly roots: readonly Root[];
  private readonly step: Origin;
  private readonly place: Place | undefined;

  constructor(roots: readonly Root[], step: Origin, { act, kind, old, fresh, covers, entries, place }: Chosen) {
    this.roots = roots;
    this.step = step;
    this.act = act;
    this.kind = kind;
    this.old = old;
    this.fresh = fresh;
    this.covers = covers;
    this.entries = entries;
    this.place = place;
  }
  get type(): FileType {
    return this.fresh === null ? this.step.type : fileTypeOf(this.fresh);
  }
  get host(): Place {
    return this.step.host;
  }
  get path(): Bytes {
    return absolute(this.roots, this.step.host);
  }
  get layer(): number {
    return Math.floor(this.step.host.root / 3);
  }
  get source(): Place | null {
    if (this.place !== undefined) return this.place;
    return this.fresh === null || this.step.keep === null ? null : inVault(this.step.keep);
  }
  get method(): Draft['method'] {
    return this.act === 'write' || this.act === 'meta' ? 'copy' : 'move';
  }
  get layerEntry(): LayerEntry {
    return this.act === 'place' || this.act === 'swap' ? 'moved' : 'stays';
  }
  get composed(): null {
    return null;
  }
  get target(): null {
    return null;
  }
  get meta(): Draft['meta'] {
    return NOTHING;
  }
  get opaque(): boolean {
    return false;
  }
  get copiedUp(): boolean {
    return false;
  }
  get plain(): boolean {
    return false;
  }
  get capable(): boolean {
    return false;
  }
  get origin(): null {
    return null;
  }
  get group(): number {
    return 0;
  }
}
