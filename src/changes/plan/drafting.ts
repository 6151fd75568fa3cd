import { constants } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import type { Change, JudgedChange } from '../change.js';
import { redraft, type Composed, type Draft, type DraftLink, type LayerEntry } from './draft.js';
import type { LayerFacts } from './facts.js';
import { identOf, relativeTo, type Act, type Place } from './step.js';
import type { TreeEntries } from './tree-entries.js';

/** What drafts are made from. */
export interface Drafting {
  readonly facts: readonly LayerFacts[];
  /** layer id to its position in `facts` */
  readonly positions: ReadonlyMap<number, number>;
  readonly composed: ReadonlyMap<Bytes, Composed>;
  readonly groups: ReadonlyMap<Bytes, number>;
  readonly live: boolean;
  /** see `partedIn` */
  readonly parted: ReadonlySet<Bytes>;
}

/** What a draft of a step is told beside its change. */
export interface DraftOptions {
  /** default: by the kind of the change */
  readonly act?: Act;
  readonly entries?: TreeEntries | null;
  readonly covers?: readonly JudgedChange[];
  /** nothing of the directory stays behind */
  readonly whole?: boolean;
  /** below a directory of the layer that hides the host's and doesn't land itself: only copies can leave it */
  readonly inOpen?: boolean;
  /** it lands by itself in the new directory that holds it, and leaves the layer with that */
  readonly inNew?: boolean;
}

/** One step, not numbered yet. Pure: what it needs of the disk is among the facts. */
export function draftOf(drafting: Drafting, change: JudgedChange, options: DraftOptions): Draft {
  if (change.kind === 'rename') return shiftOf(drafting, change);
  const layer = positionOf(drafting, change);
  const fact = drafting.facts[layer] as LayerFacts;
  const composed = drafting.composed.get(change.path) ?? null;
  const act = options.act ?? actIn(drafting, change);
  const { entries = null, covers, inNew = false } = options;
  const moves =
    fact.movable && !drafting.live && composed === null && options.inOpen !== true && options.whole !== false &&
    (act === 'place' || act === 'swap' || act === 'take') && !(fact.family === 'user' && isCapable(change, entries));
  // Literals and no spreads, which take ten times as long: there may be a million.
  return new ChangeDraft(drafting, change, {
    act,
    method: moves ? 'move' : 'copy',
    layerEntry: layerEntryOf(drafting, change, options, moves, act),
    entries,
    covers: covers === undefined ? NONE : covers.flatMap((covered) => coverOf(change, covered)),
    link: change.link === undefined ? undefined : linkOf(drafting, change, { layer, act, inNew }),
  });
}

/** What root of a nested namespace gave, its maker can't take off outside: a copy has none. */
function isCapable({ capable }: Change, entries: TreeEntries | null): boolean {
  return capable === true || (entries !== null && entries.listed.some((entry) => entry.capable === true));
}

type Chosen = Pick<Draft, 'act' | 'method' | 'layerEntry' | 'entries' | 'covers' | 'link'>;

const NONE: Draft['covers'] = [];

/** What a change says already is not said again: there may be a million. */
class ChangeDraft implements Draft {
  readonly act: Act;
  readonly method: Draft['method'];
  readonly layerEntry: LayerEntry;
  readonly entries: TreeEntries | null;
  readonly covers: Draft['covers'];
  readonly link: DraftLink | undefined;
  private readonly drafting: Drafting;
  private readonly change: JudgedChange;

  constructor(drafting: Drafting, change: JudgedChange, { act, method, layerEntry, entries, covers, link }: Chosen) {
    this.drafting = drafting;
    this.change = change;
    this.act = act;
    this.method = method;
    this.layerEntry = layerEntry;
    this.entries = entries;
    this.covers = covers;
    this.link = link;
  }
  get kind(): Draft['kind'] {
    return this.change.kind;
  }
  get type(): Draft['type'] {
    return this.change.type;
  }
  get path(): Bytes {
    return this.change.path;
  }
  get layer(): number {
    return positionOf(this.drafting, this.change);
  }
  get host(): Place {
    const { layer } = this;
    return { root: 3 * layer, path: relativeTo((this.drafting.facts[layer] as LayerFacts).base, this.change.path) };
  }
  get source(): Place | null {
    return this.change.implied ? null : { root: 3 * this.layer + 1, path: this.change.at.path };
  }
  get composed(): Composed | null {
    return this.drafting.composed.get(this.change.path) ?? null;
  }
  get fresh(): Draft['fresh'] {
    return this.change.upper;
  }
  get target(): Draft['target'] {
    return this.change.target;
  }
  get old(): Draft['old'] {
    return this.change.base;
  }
  get meta(): Draft['meta'] {
    return metaOf(this.change, this.composed);
  }
  get opaque(): boolean {
    return this.change.opaque;
  }
  get copiedUp(): boolean | null {
    return this.change.copiedUp ?? null;
  }
  get plain(): boolean {
    return this.change.plain === true;
  }
  get capable(): boolean {
    return this.change.capable === true;
  }
  get origin(): Bytes | null {
    return this.change.origin ?? null;
  }
  get group(): number {
    return this.drafting.groups.get(this.change.path) ?? 0;
  }
}

function linkOf(
  { facts, composed }: Drafting,
  { link, path }: Change,
  { layer, act, inNew }: { readonly layer: number; readonly act: Act; readonly inNew: boolean },
): DraftLink | undefined {
  if (link === undefined || composed.has(path) || (act !== 'place' && act !== 'swap')) return undefined;
  const at = { root: 3 * layer, path: relativeTo((facts[layer] as LayerFacts).base, link.path) };
  const now = identOf(link.base);
  return { at, ident: now, now, same: link.same, inNew };
}

/** Root mode: a directory of the host that the agent renamed is renamed on the host. */
function shiftOf(drafting: Drafting, change: JudgedChange): Draft {
  const draft = draftOf(drafting, { ...change, kind: 'add' }, { act: 'place' });
  const { base } = drafting.facts[draft.layer] as LayerFacts;
  const source = { root: draft.host.root, path: relativeTo(base, change.from ?? change.path) };
  const shift = { kind: 'rename', method: 'move', layerEntry: 'shift', fresh: change.base, old: null } as const;
  return redraft(draft, { ...shift, source });
}

function positionOf(drafting: Drafting, change: Change): number {
  const position = drafting.positions.get(change.at.layer);
  if (position === undefined) throw new Error(`no facts of layer ${change.at.layer}`);
  return position;
}

/** What of the agent's metadata lands: with content of ours maybe less than what differs. */
function metaOf({ meta, base }: Change, composed: Composed | null): Change['meta'] {
  const own = composed?.meta;
  if (own === undefined || base === null) return meta;
  const isOwner = own.uid !== base.uid || own.gid !== base.gid;
  return meta.filter((part) => (part === 'mode' ? own.mode !== base.mode : part === 'owner' && isOwner));
}

/** As `actOf` says, but for names of one file that the agent gave different contents. */
export function actIn({ parted }: Pick<Drafting, 'parted'>, change: Change): Act {
  return parted.has(change.path) ? 'swap' : actOf(change);
}

/**
 * Names of one file of the host that are several files in the layer, where a copy parts
 * them: written in place (I12) the last one would win over the others. So it is beside a name
 * that goes: what is taken away must stay what it was.
 */
export function partedIn(changes: readonly Change[]): ReadonlySet<Bytes> {
  const files = new Map<string, Change[]>();
  for (const change of changes) {
    const { base, upper, at } = change;
    if (base === null || base.nlink < 2 || !isFile(base.mode) || (upper !== null && !isFile(upper.mode))) continue;
    const key = `${at.layer}/${base.ino}`;
    const names = files.get(key);
    if (names === undefined) files.set(key, [change]);
    else names.push(change);
  }
  const parted = new Set<Bytes>();
  for (const names of files.values()) {
    if (new Set(names.map(({ upper }) => upper?.ino)).size < 2) continue;
    for (const { path, kind, upper } of names) if (upper !== null && kind !== 'metadata') parted.add(path);
  }
  return parted;
}

/** What brings one change about. A file of several names is written in place (I12). */
export function actOf(change: Change): Act {
  if (change.kind === 'delete') return 'take';
  if (change.base === null) return 'place';
  const { base, upper } = change;
  if (change.kind === 'metadata') return 'meta';
  const bothFiles = isFile(base.mode) && upper !== null && isFile(upper.mode);
  // I12. A directory has links of its own that don't count.
  return bothFiles && base.nlink > 1 ? 'write' : 'swap';
}

function isFile(mode: number): boolean {
  return (mode & constants.S_IFMT) === constants.S_IFREG;
}

function coverOf(anchor: Change, covered: JudgedChange): { path: Bytes; ident: ReturnType<typeof identOf> }[] {
  if (covered.base === null) return [];
  return [{ path: relativeTo(anchor.path, covered.path), ident: identOf(covered.base) }];
}

function layerEntryOf(drafting: Drafting, change: Change, options: DraftOptions, moves: boolean, act: Act): LayerEntry {
  if (change.implied || drafting.live || options.inOpen === true) return 'stays';
  if (options.inNew === true) return options.whole === false ? 'stays' : 'moved';
  if (act === 'drop') return change.kind === 'delete' ? 'whiteout' : 'spent';
  if (act === 'take') return 'whiteout';
  if (moves) return 'moved';
  const composed = drafting.composed.get(change.path);
  if (composed !== undefined && !composed.consume) return 'stays';
  if (act === 'meta' && change.type === 'dir') return 'stays';
  return options.whole === false ? 'stays' : 'spent';
}
