import { constants } from 'node:fs';
import { createHash } from 'node:crypto';
import type { Bytes } from '../../bytes.js';
import { isWithin, joinBytes, parentOf } from '../../bytes.js';
import { errnoOf } from '../../errors.js';
import { AT_FDCWD, type Stat } from '../../kernel/kernel.js';
import { StatStore } from '../../kernel/stat-store.js';
import { otherBases } from '../apply/bases.js';
import { treeWalk } from '../apply/cleaning.js';
import { redraft, type Draft, type DraftLink, type Plan } from '../plan/draft.js';
import { conflicted, isMachineError, refusalFor } from '../apply/failure.js';
import { readIndex, type Meanings } from '../capture/epoch.js';
import { fileTypeOf } from '../scan/filetype.js';
import type { Naming } from '../git/names.js';
import { encodeStep } from '../journal/step.js';
import { JOURNAL, type Journal } from '../journal/journal.js';
import { surprise } from '../apply/land.js';
import { countsOf } from '../plan/counts.js';
import { isOfLayer, refillOf, type Refill } from '../apply/refill.js';
import { refused } from '../plan/refusal.js';
import type { Refused } from '../result.js';
import { closeDirs, openDirs, statPlace, type OpenDirs } from '../apply/open-dirs.js';
import { inOrder } from '../plan/sequence.js';
import type { StoreContext } from '../store-context.js';
import { keepDatabases } from '../database/undo.js';
import { keepUnits } from '../database/units.js';
import { keepRepositories, type Layered } from '../git/undo.js';
import { laterWork, type LaterWork } from './later.js';
import { draft, inVault, type Kept } from './draft.js';
import { replacedAbove, wouldHaunt } from './hidden-base.js';
import { isMovable } from './movable.js';
import { isSameMeta, metaAt, standing } from './meta.js';
import { isHosts, wouldReset, wouldTakeAlong, type Since } from './touched.js';
import { absolute, below, identOf, isIdent, relativeTo, splitPath, type Covered, type Ident, type Place, type Root, type Step, type Steps } from '../plan/step.js';
import { commitDir } from '../vault/vault.js';

interface Undoing extends Since {
  readonly refill: Refill;
  /** why nothing can go back into a layer; null: it can */
  readonly closed: string | null;
  readonly meanings: Meanings;
  readonly layers: readonly Layered[];
  readonly refused: Refused[];
  /** directories of the commit that landed as a whole; read when it is asked for: seldom */
  readonly trees: () => readonly Place[];
  readonly stats: StatStore;
  readonly drafts: Draft[];
  /** what of `drafts` goes away, by root: asked for each directory */
  readonly taken: Map<number, Set<Bytes>>;
  /** a root is another directory by now */
  readonly isElsewhere: (root: number) => boolean;
}

/** A commit that may be taken back; `closed`: why nothing goes back into a layer, or null. */
export interface Undoable {
  readonly journal: Journal;
  readonly closed: string | null;
  /** what an earlier undo refused; null: there was none */
  readonly only?: ReadonlySet<Bytes> | null;
  /** what the git indexes that it landed say */
  readonly meanings?: Meanings;
  /** of all sandboxes that there are */
  readonly layers?: readonly Layered[];
}

/** The opposite of each landed step, from the last to the first; what is no longer as it landed is refused. */
export function planUndo(ctx: StoreContext, id: string, { journal, closed, only = null, meanings = new Map(), layers = [] }: Undoable): Plan {
  const { kernel } = ctx;
  const landedNs = kernel.stat(AT_FDCWD, joinBytes(commitDir(ctx.stateDir, id), JOURNAL)).mtimeNs;
  const refill = refillOf(journal, journal.header.roots.map(undoRoot(journal.header.roots)));
  const dirs = openDirs(kernel, refill.roots);
  try {
    let later: LaterWork | null = null;
    let trees: readonly Place[] | null = null;
    const undoing: Undoing = { dirs, refill, closed, landedNs, later: () => (later ??= laterWork(ctx, landedNs)), meanings, layers, refused: [], trees: () => (trees ??= treesIn(journal.steps)), stats: new StatStore(), drafts: [], taken: new Map(), isElsewhere: otherBases(kernel, dirs.roots) };
    for (let index = journal.steps.length - 1; index >= 0; index -= 1) {
      const step = journal.steps.at(index) as Step;
      if (!journal.refused.has(index) && only?.has(absolute(dirs.roots, step.host)) !== false) planStep(undoing, step);
    }
    return planFrom(id, journal, undoing);
  } finally {
    closeDirs(dirs);
  }
}

/**
 * The commit's vault stands where a commit has the layer: new objects come out
 * of it. The vault's own place is the `commits` directory around it.
 */
function undoRoot(roots: readonly Root[]): (root: Root, index: number) => Root {
  return (root, index) => {
    if (root.role === 'host') return root;
    const vault = roots[index - (index % 3) + 2] as Root;
    return root.role === 'layer' ? { ...root, dir: vault.dir } : { ...root, dir: parentOf(vault.dir) };
  };
}

function planStep(undoing: Undoing, step: Step): void {
  const { closed, dirs: { roots } } = undoing;
  const path = absolute(roots, step.host);
  if (closed !== null && isOfLayer(roots, step)) return void undoing.refused.push(refused({ path }, 'failed', { text: closed }));
  if (undoing.isElsewhere(step.host.root)) return void undoing.refused.push(conflicted(path, 'parent'));
  try {
    const draft = step.kind === 'rename' ? unshift(undoing, step) : OPPOSITE[step.act](undoing, step);
    if (typeof draft === 'string') undoing.refused.push(conflicted(path, draft));
    else if (draft !== null) add(undoing, draft);
  } catch (error) {
    if (isMachineError(error)) throw error;
    undoing.refused.push(refusalFor(path, error, 'deleted'));
  }
}

function add({ drafts, taken }: Undoing, draft: Draft): void {
  drafts.push(draft);
  if (draft.act !== 'take') return;
  const { root, path } = draft.host;
  const known = taken.get(root);
  if (known === undefined) taken.set(root, new Set([path]));
  else known.add(path);
}

type Planned = Draft | Refused['conflict'];
type Opposite = (undoing: Undoing, step: Step) => Planned;

const OPPOSITE: Readonly<Record<Step['act'], Opposite>> = {
  place: unplace,
  swap: unswap,
  take: untake,
  meta: unmeta,
  write: unwrite,
  drop: undrop,
};

function unplace(undoing: Undoing, step: Step): Planned {
  const now = statPlace(undoing.dirs, step.host);
  if (now === null) return null;
  if (!isAsLanded(undoing, step, now)) return surprise({ old: step.fresh }, now);
  if (step.link !== null) return unlink(undoing, step, now);
  if (wouldTakeAlong(undoing, step, now)) return 'changed';
  const covers = untouched(undoing, step, now);
  return covers === null ? 'changed' : draft(undoing, step, { act: 'take', kind: 'delete', old: now, covers });
}

/** A git index is, as long as it says the same: `git status` writes it anew. */
function isAsLanded({ dirs, meanings }: Undoing, { host, fresh }: Step, now: Stat): boolean {
  return isIdent(now, fresh) || saysAsLanded({ dirs, meanings }, host);
}

function saysAsLanded({ dirs, meanings }: Pick<Undoing, 'dirs' | 'meanings'>, place: Place): boolean {
  const meaning = meanings.get(absolute(dirs.roots, place));
  return meaning !== undefined && readIndex(dirs, place)?.meaning === meaning;
}

/** The name goes, the file stays under its other one: there is nothing to keep. */
function unlink(undoing: Undoing, step: Step, now: Stat | null): Planned {
  if (goesWithTree(undoing, step)) return null;
  return redraft(draft(undoing, step, { act: 'take', kind: 'delete', old: now }), { twin: twinOf(undoing, step, now) });
}

/** On a foreign filesystem it would be put aside beside itself, where the new directory that it landed in has to be as it was. */
function goesWithTree({ dirs, trees }: Undoing, { host }: Step): boolean {
  const tree = trees().some(({ root, path }) => root === host.root && host.path.startsWith(`${path}/`));
  return tree && !isMovable(dirs, Math.floor(host.root / 3));
}

function treesIn(steps: Steps): readonly Place[] {
  const trees: Place[] = [];
  for (const step of steps) if (step.tree) trees.push(step.host);
  return trees;
}

/** Undefined where the file has lost its other name. */
function twinOf({ dirs }: Undoing, { link }: Step, now: Stat | null): Place | undefined {
  return link !== null && statPlace(dirs, link)?.ino === now?.ino ? link : undefined;
}

/** The name that was taken away is made again, whatever else of the same undo is taken back in the file. */
function relink(undoing: Undoing, step: Step, twin: Place): Planned {
  const { dirs } = undoing;
  const now = statPlace(dirs, twin);
  const inNew = !hasDir(dirs, step.host);
  const there = inNew ? null : statPlace(dirs, step.host);
  if (!(step.act === 'take' ? there === null : isIdent(there, step.fresh))) return surprise({ old: step.fresh }, there);
  if (now === null || now.ino !== step.old?.ino) return surprise(step, now);
  const written = undoing.drafts.find(({ act, host }) => act === 'write' && host.root === twin.root && host.path === twin.path);
  const ident = written?.fresh ? { ...identOf(written.fresh), ino: now.ino } : identOf(now);
  const covers = there === null ? [] : untouched(undoing, step, there);
  if (covers === null || !isSameFile(ident, step.old)) return 'changed';
  const link = { at: twin, ident, now: identOf(now), same: written === undefined, inNew };
  const parts = step.act === 'take' ? ({ act: 'place', kind: 'add' } as const) : { act: step.act, kind: step.kind };
  return redraft(draft(undoing, step, { ...parts, old: there, covers }), { method: 'copy', link });
}

/** Not where the directory that it was in comes back with the same undo, be it in place of something else. */
function hasDir(dirs: OpenDirs, { root, path }: Place): boolean {
  try {
    const dir = statPlace(dirs, { root, path: splitPath(path).dir });
    return dir !== null && fileTypeOf(dir) === 'dir';
  } catch (error) {
    if (errnoOf(error) !== 'ENOTDIR' && errnoOf(error) !== 'ELOOP') throw error;
    return false;
  }
}

function isSameFile(a: Ident, b: Ident): boolean {
  return a.ino === b.ino && a.size === b.size && a.mtimeNs === b.mtimeNs;
}

/** The git indexes of a directory that landed, if they were only written anew, and the directories that they were renamed in. */
function renewedIn({ dirs, meanings }: Undoing, tree: Place): ReadonlySet<Bytes> {
  const top = absolute(dirs.roots, tree);
  const inside = [...meanings.keys()].filter((path) => isWithin(path, top)).map((path) => relativeTo(top, path));
  const renewed = inside.filter((path) => saysAsLanded({ dirs, meanings }, below(tree, path)));
  return new Set(renewed.flatMap((path) => [path, splitPath(path).dir]));
}

/** All that a landed directory holds now; null when the host changed something in it. */
function untouched(undoing: Undoing, step: Step, now: Stat): Covered[] | null {
  if (step.fresh?.fmt !== constants.S_IFDIR) return [];
  const { dirs, landedNs } = undoing;
  const top = absolute(dirs.roots, step.host);
  let ours = false;
  const renewed = renewedIn(undoing, step.host);
  const isNew = (path: Bytes, stat: Stat): boolean => {
    if (stat.ctimeNs <= landedNs) return false;
    ours = true;
    return !renewed.has(path) && isHosts(undoing, path === '' ? top : joinBytes(top, path), stat);
  };
  // Opening it up for the walk, where it has no permissions, makes its ctime new: the look comes first.
  if (isNew('' as Bytes, now)) return null;
  const covers: Covered[] = [];
  const unlinked = undoing.taken.get(step.host.root);
  // The step took a name of this file away, which makes the ctime of the others new.
  const parted = step.twin === null ? null : step.old;
  for (const { path, upper } of treeWalk(dirs, step.host, 'user')) {
    if (path === '' || unlinked?.has(below(step.host, path).path) === true) continue;
    if (isNew(path, upper) && !isIdent(upper, parted)) return null;
    covers.push({ path, ident: identOf(upper) });
  }
  // In a directory that we changed since, the host may have deleted something without a trace.
  return ours && covers.length !== step.inside ? null : covers;
}

function unswap(undoing: Undoing, step: Step): Planned {
  if (step.twin !== null) return relink(undoing, step, step.twin);
  const now = statPlace(undoing.dirs, step.host);
  if (now === null || !isAsLanded(undoing, step, now)) return surprise({ old: step.fresh }, now);
  const covers = untouched(undoing, step, now);
  const kept = keptOf(undoing, step);
  if (covers === null || wouldReset(undoing, step, now, kept)) return 'changed';
  const name = writtenName(undoing, kept);
  if (name !== undefined) {
    return redraft(draft(undoing, step, { act: 'swap', kind: step.kind, old: now, covers }), { type: 'file', method: 'copy', link: name });
  }
  const [back, twin] = [draft(undoing, step, { act: 'swap', kind: step.kind, old: now, covers, kept }), twinOf(undoing, step, now)];
  return twin === undefined ? back : redraft(back, { twin });
}

/** A name of a file that the commit wrote through another one: that one gets its content back first, and then this is a name of it again. */
function writtenName({ drafts }: Undoing, { stat }: Kept): DraftLink | undefined {
  if (stat.nlink < 2 || fileTypeOf(stat) !== 'file') return undefined;
  const written = drafts.find(({ act, old }) => act === 'write' && old?.ino === stat.ino && old.dev === stat.dev);
  if (!written?.fresh) return undefined;
  return { at: written.host, ident: { ...identOf(written.fresh), ino: stat.ino }, now: identOf(stat), same: false, inNew: false };
}

function untake(undoing: Undoing, step: Step): Planned {
  const { dirs } = undoing;
  if (step.twin !== null) return relink(undoing, step, step.twin);
  // The host had deleted it itself: there is nothing to put back.
  if (step.keep === null || statPlace(dirs, inVault(step.keep)) === null) return null;
  if (statPlace(dirs, step.host) !== null) return 'created';
  return draft(undoing, step, { act: 'place', kind: 'add', old: null, kept: keptOf(undoing, step) });
}

function unmeta(undoing: Undoing, step: Step): Planned {
  const { dirs } = undoing;
  const now = statPlace(dirs, step.host);
  if (now === null || step.meta === null || !isIdent(now, step.old)) return surprise(step, now);
  const stands = standing(metaAt(dirs, step.host), step.meta);
  if (stands !== 'landed') return stands === 'before' ? null : stands;
  return redraft(draft(undoing, step, { act: 'meta', kind: 'metadata', old: now }), { metas: { old: step.meta.fresh, fresh: step.meta.old } });
}

function unwrite(undoing: Undoing, step: Step): Planned {
  const now = statPlace(undoing.dirs, step.host);
  const written = step.fresh === null || step.old === null ? null : { ...step.fresh, ino: step.old.ino };
  if (now === null || step.meta === null || !isIdent(now, written)) return surprise(step, now);
  const kept = keptOf(undoing, step);
  const { fresh, old } = step.meta;
  if (!isSameMeta(metaAt(undoing.dirs, step.host), fresh)) return 'changed';
  return redraft(draft(undoing, step, { act: 'write', kind: 'modify', old: now, kept }), { metas: { old: fresh, fresh: old } });
}

/** What was dropped goes back into its layer, unless the agent has put something else there. */
function undrop(undoing: Undoing, step: Step): Planned {
  const layer = undoing.refill.layers.get(Math.floor(step.host.root / 3));
  if (step.spent === null || step.spent.keep === null || layer === undefined) return null;
  const host: Place = { root: 3 * layer, path: step.spent.at.path };
  if (statPlace(undoing.dirs, host) !== null) return 'created';
  const place = inVault(step.spent.keep);
  const stat = statPlace(undoing.dirs, place);
  if (stat?.ino !== step.spent.ino) throw notKept();
  if (wouldHaunt(undoing.dirs, host, stat)) throw replacedAbove();
  return draft(undoing, { host, type: step.type, keep: null }, { act: 'place', kind: 'add', old: null, kept: { place: { root: 3 * layer + 1, path: place.path }, stat } });
}

/** The renamed directory goes back to its old name, whatever is in it now. */
function unshift(undoing: Undoing, step: Step): Planned {
  const now = statPlace(undoing.dirs, step.host);
  if (step.from === null || !isIdent(now, step.fresh)) return surprise({ old: step.fresh }, now);
  if (statPlace(undoing.dirs, step.from) !== null) return 'created';
  const back = draft(undoing, { host: step.from, type: step.type, keep: null }, { act: 'place', kind: 'rename', old: null });
  return redraft(back, { source: step.host, fresh: now, method: 'move', layerEntry: 'shift' });
}

function keptOf({ dirs }: Undoing, { keep, old }: Step): Kept {
  const place = keep === null ? null : inVault(keep);
  const stat = place === null ? null : statPlace(dirs, place);
  if (place === null || stat === null || old === null || (stat.mode & constants.S_IFMT) !== old.fmt) {
    throw notKept();
  }
  return { place, stat };
}

function notKept(): Error {
  return Object.assign(new Error('what it replaced is no longer kept'), { code: 'ESTALE' });
}

function planFrom(id: string, journal: Journal, undoing: Undoing): Plan {
  const { dirs, layers } = undoing;
  const looking = { dirs, layers, isNew: ({ path, stat, place }: Naming) => isHosts(undoing, path, stat) && !saysAsLanded(undoing, place) };
  const { drafts, refused: found } = keepUnits(keepDatabases(keepRepositories(undoing, looking), looking));
  const hash = createHash('sha256').update(`undo ${id}\n`);
  for (const step of journal.steps) hash.update(encodeStep(step), 'latin1');
  return {
    counts: countsOf(drafts.filter(({ host }) => dirs.roots[host.root]?.as === undefined)),
    refused: found,
    steps: inOrder(drafts),
    copyBytes: 0,
    roots: dirs.roots,
    movable: Array.from({ length: dirs.roots.length / 3 }, (_none, layer) => isMovable(dirs, layer)),
    emptied: [],
    unmark: [],
    keepSpecial: true,
    note: null,
    digest: `sha256:${hash.digest('hex')}`,
    undoes: id,
  };
}
