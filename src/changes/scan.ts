import { isWithin, joinBytes, nameOf, type Bytes } from '../bytes.js';
import type { Fd, Kernel, NameFilter, Usual, WalkEntry, WalkOptions } from '../kernel/kernel.js';
import { keepsAttributes, isAsMade } from '../sandbox/layer-top.js';
import type { Layer } from '../sandbox/sandbox.js';
import type { Change, LayerRef } from './change.js';
import type { Crowd } from './scan/crowd.js';
import { crowdsIn } from './scan/crowding.js';
import { differenceOf, type Ownership } from './scan/difference.js';
import { fileTypeOf } from './scan/filetype.js';
import { holdShared, released, withLink, type SharedInodes } from './scan/hostlink.js';
import { type Displaced, impliedBy, type ImpliedInput, targetInBase } from './scan/implied.js';
import { closeLayer, openLayer } from './scan/layer-dirs.js';
import { joinBelow, start } from './scan/told.js';

/** What a scan needs of a sandbox's record. */
export interface ScanInput extends Ownership {
  readonly kernel: Kernel;
  readonly layers: readonly Layer[];
  /** also look into files, see `WalkOptions` */
  readonly look?: 'no' | 'head' | 'lines';
  /** names that rules speak of, see `Change.ordinaryIn` */
  readonly names?: NameFilter;
  readonly crowds?: CrowdsAsked;
}

/** Usual changes are told as crowds, from what is so usual on. */
export interface CrowdsAsked {
  readonly from: Exclude<Usual, 'no'>;
  /** only what the host hasn't touched since, see `WalkOptions.before` */
  readonly before?: bigint;
  /** they may land, which needs their origins */
  readonly land?: boolean;
}

/** Changes and crowds of changes that the scan tells together. */
export interface ScanPiece {
  readonly changes: Change[];
  readonly crowds: readonly Crowd[];
}

/**
 * The changes of all layers against the host as it is now: layer by layer, in
 * each the entries by bytes, parents first, then files with several names, then
 * what its deleted, replaced and renamed directories imply. The base is listed only below those.
 */
export function* scan(input: ScanInput): Generator<Change> {
  for (const { changes } of scanPieces(input)) yield* changes;
}

/** The same, many changes at a time. */
export function* scanPieces(input: ScanInput): Generator<ScanPiece> {
  for (const [index, layer] of input.layers.entries()) {
    const dirs = openLayer(input.kernel, layer);
    try {
      // A layer that was never mounted has no directory yet.
      if (dirs.upper !== null) yield* scanLayer(input, layer, index, dirs.upper, dirs.base);
    } finally {
      closeLayer(input.kernel, dirs);
    }
  }
}

function* scanLayer(input: ScanInput, layer: Layer, index: number, upper: Fd, base: Fd | null): Generator<ScanPiece> {
  const { kernel } = input;
  const walk: LayerWalk = { input, kernel, layer, index, base, above: [], dir: layer.base, displaced: [], moved: new Set() };
  const options = optionsOf(input, layer);
  // The layer's own top stands for a directory that the host has removed: told only if something is in it.
  let top: Change | null = null;
  const shared: SharedInodes = { hosts: new Map(), held: [] };
  const isApart = base === null ? () => false : apartOf(input);
  for (const piece of kernel.walkPieces(upper, base, options)) {
    const changes: Change[] = [];
    const { crowds, take } = crowdsIn(piece, { layer, index }, (path) => enter(walk, joinBytes(path, SOME)));
    for (let at = 0; at < piece.end; at = piece.after(at)) {
      if (isApart(piece.usual(at)) && take(at)) continue;
      const entry = piece.entry(at);
      if (isCovered(layer.covered, entry.path)) continue;
      const change = changeOf(walk, entry);
      if (base !== null && entry.upper.nlink > 1 && walk.above.at(-1)?.moved !== true && holdShared(shared, entry, { change, top: layer.base, alike: () => start(walk, entry, { basePath: entry.path, kind: 'modify' }) })) continue;
      // As it was made, it differs by another directory beneath it, such as the place of a mount that is gone.
      if (change === null || (base !== null && entry.path === '' && isAsMade(kernel, layer, entry.upper))) continue;
      if (base === null && entry.path === '') top = change;
      else {
        if (top !== null) changes.push(top);
        top = null;
        changes.push(change);
      }
    }
    yield { changes, crowds };
  }
  yield* inPieces(released(shared));
  if (base === null) return;
  // Only now is it known which base directories were renamed and not deleted.
  const implied: ImpliedInput = { kernel, base, top: layer.base, covered: layer.covered, moved: walk.moved };
  for (const displaced of walk.displaced) {
    const { self } = displaced;
    yield* inPieces(impliedBy(implied, self?.type === 'file' ? { ...displaced, self: withLink(shared, self) } : displaced));
  }
}

/** A name: which doesn't matter. */
const SOME = '.' as Bytes;

function optionsOf({ look = 'no', names, crowds }: ScanInput, { family }: Layer): WalkOptions {
  const before = crowds?.before === undefined ? {} : { before: crowds.before };
  const origins = crowds === undefined || crowds.land === true;
  return { family, compare: true, unreadable: 'unlock', look, origins, ...before, ...(names === undefined ? {} : { names }) };
}

/** Each also is what is before it. */
const USUAL: readonly Usual[] = ['yes', 'ordinary', 'harmless'];

function apartOf({ crowds }: ScanInput): (usual: Usual) => boolean {
  if (crowds === undefined) return () => false;
  const taken = new Set(USUAL.slice(USUAL.indexOf(crowds.from)));
  return (usual) => taken.has(usual);
}

const PIECE = 1024;

function* inPieces(changes: Iterable<Change>): Generator<ScanPiece> {
  let piece: Change[] = [];
  for (const change of changes) {
    if (piece.push(change) < PIECE) continue;
    yield { changes: piece, crowds: [] };
    piece = [];
  }
  if (piece.length > 0) yield { changes: piece, crowds: [] };
}


function isCovered(covered: readonly Bytes[], path: Bytes): boolean {
  return covered.length > 0 && covered.some((one) => isWithin(path, one));
}

interface LayerWalk {
  readonly input: ScanInput;
  readonly kernel: Kernel;
  readonly layer: Layer;
  readonly index: number;
  readonly base: Fd | null;
  /** the directories that the walk is in, outermost first */
  readonly above: Frame[];
  /** absolute: where the entry that is looked at lies */
  dir: Bytes;
  readonly displaced: Displaced[];
  readonly moved: Set<Bytes>;
}

/** A directory of the layer. */
interface Frame {
  readonly path: Bytes;
  /** absolute */
  readonly dir: Bytes;
  /** where its base is: differs from `path` below a renamed directory */
  readonly basePath: Bytes;
  /** it hides what the base has there: opaque, or below such a one */
  readonly hides: boolean;
  /** it has the base's directory from elsewhere below it */
  readonly moved: boolean;
  /** names that are no business of its listing, see `Displaced.present` */
  readonly present: Set<Bytes>;
}

const NOTHING: ReadonlySet<Bytes> = new Set();
const TOP: Frame = { path: '' as Bytes, dir: '' as Bytes, basePath: '' as Bytes, hides: false, moved: false, present: new Set() };

/** Null when nothing differs, or when the change is told later by `displaced`. */
function changeOf(walk: LayerWalk, entry: WalkEntry): Change | null {
  const parent = enter(walk, entry.path);
  note(parent, entry);
  walk.dir = parent.dir;
  const stays = parent.basePath === parent.path;
  const basePath = entry.redirect ?? (stays ? entry.path : joinBytes(parent.basePath, nameOf(entry.path)));
  if (entry.whiteout) return deletionOf(walk, entry, parent, basePath);
  const { base } = entry;
  const type = fileTypeOf(entry.upper);
  const merges = type === 'dir' && base !== null && fileTypeOf(base) === 'dir';
  if (type === 'dir') {
    const hides = merges && entry.redirect === null && (entry.opaque || parent.hides);
    const moved = merges && !hides && (entry.redirect !== null || parent.moved);
    walk.above.push({ path: entry.path, dir: joinBelow(walk.layer.base, entry.path), basePath, hides, moved, present: new Set() });
  }
  if (base === null) return start(walk, entry, { basePath, content: type !== 'dir' });
  if (fileTypeOf(base) !== type) return replacementOf(walk, entry, basePath);
  return merges ? directoryOf(walk, entry, basePath) : differing(walk, entry, basePath);
}

const SLASH = 0x2f;

/** Leaves the directories that don't hold `path`; gives the one that does. */
function enter(walk: LayerWalk, path: Bytes): Frame {
  for (let top = walk.above.at(-1); top !== undefined; top = walk.above.at(-1)) {
    if (top.path === '' || (path.startsWith(top.path) && path.charCodeAt(top.path.length) === SLASH)) return top;
    walk.above.pop();
  }
  return TOP;
}

/**
 * In an opaque directory whiteouts are noise (E74): without them the listing
 * tells what is gone. In a moved one they are deletions of their own.
 */
function note(parent: Frame, entry: WalkEntry): void {
  if ((parent.hides && !entry.whiteout) || parent.moved) parent.present.add(nameOf(entry.path));
}

function refOf(walk: LayerWalk, entry: WalkEntry): LayerRef {
  return { layer: walk.index, path: entry.path };
}

function deletionOf(walk: LayerWalk, entry: WalkEntry, parent: Frame, basePath: Bytes): Change | null {
  const { base } = entry;
  // The host has nothing there either, or the opaque directory's listing tells it.
  if (base === null || parent.hides || walk.base === null) return null;
  const type = fileTypeOf(base);
  const target = targetInBase(walk.kernel, walk.base, basePath, base);
  const change = start(walk, entry, { basePath, kind: 'delete', gone: { type, target } });
  if (type !== 'dir') return change;
  const ref = refOf(walk, entry);
  walk.displaced.push({ how: 'deleted', path: entry.path, basePath, self: change, present: NOTHING, ref });
  return null;
}

function replacementOf(walk: LayerWalk, entry: WalkEntry, basePath: Bytes): Change | null {
  const oldType = entry.base === null ? null : fileTypeOf(entry.base);
  const content = fileTypeOf(entry.upper) !== 'dir';
  const change = start(walk, entry, { basePath, kind: 'type', content, oldType });
  if (oldType !== 'dir') return change;
  const ref = refOf(walk, entry);
  walk.displaced.push({ how: 'replaced', path: entry.path, basePath, self: change, present: NOTHING, ref });
  return null;
}

function directoryOf(walk: LayerWalk, entry: WalkEntry, basePath: Bytes): Change | null {
  const frame = walk.above.at(-1) ?? TOP;
  const meta = directoryMeta(walk, entry);
  if (meta.length === 0 && entry.redirect === null && !frame.moved && !frame.hides) return null;
  const change = start(walk, entry, { basePath, kind: 'metadata', meta });
  const self = meta.length > 0 ? change : null;
  const displaced = { path: entry.path, basePath, present: frame.present, ref: refOf(walk, entry) };
  if (entry.redirect !== null) {
    walk.moved.add(basePath);
    walk.displaced.push({ ...displaced, how: 'moved', self: null });
    return { ...change, kind: 'rename', from: joinBelow(walk.layer.base, basePath) };
  }
  if (frame.moved) walk.displaced.push({ ...displaced, how: 'moved', self: null });
  if (!frame.hides) return self;
  const replaced: Change | null = entry.opaque ? { ...change, kind: 'modify', opaque: true } : null;
  walk.displaced.push({ ...displaced, how: 'opaque', self: replaced });
  return entry.opaque ? null : self;
}

/** A layer's top directory can be without the host's attributes, and no agent's doing (`makeTop`). */
function directoryMeta({ input, kernel, layer }: LayerWalk, entry: WalkEntry): Change['meta'] {
  const { meta } = differenceOf(entry, input);
  if (entry.path !== '' || !keepsAttributes(kernel, layer)) return meta;
  return meta.filter((what) => what !== 'xattr' && what !== 'acl');
}

function differing(walk: LayerWalk, entry: WalkEntry, basePath: Bytes): Change | null {
  const { content, meta } = differenceOf(entry, walk.input);
  if (!content && meta.length === 0) return null;
  return start(walk, entry, { basePath, kind: content ? 'modify' : 'metadata', content, meta });
}
