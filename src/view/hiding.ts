import type { Bytes } from '../bytes.js';
import { isWithin, joinBytes, nameOf, parentOf } from '../bytes.js';
import { addReadOnly, addTmpfs, ancestors, decide, decideBelow, isPrivate, regionOf, relativeTo, setRegion, type Draft } from './draft.js';
import { aliasesOf, hiddenPaths } from './hides.js';
import { isMapped } from './ownership.js';
import { mountOf } from './mountinfo.js';
import type { Decided, Hidden, ViewOp } from './plan.js';
import { PlanError } from './plan.js';
import { snapshotHides } from './snapshots.js';

/** What must not be seen: what the policy hides, then the store and every other place of layers. */
export function placeHides(draft: Draft): void {
  const { options, facts, table } = draft;
  const stores = storePlaces(draft);
  const known: Known = { absent: new Map(), remade: new Map(), empty: new Map(), around: aboveAll(draft.regions.keys()) };
  const hides = hiddenPaths(table, facts, [...options.hide, ...snapshotHides(draft)]);
  for (const hidden of [...hides, ...hides.flatMap((one) => linkedHides(draft, one))]) {
    const { path } = hidden;
    if (path === '/' || isWithin(options.cwd, path)) {
      throw new PlanError(`Can't hide ${path}: the working directory lies in it (${hidden.rule}).`, 'Run elsewhere, or make an exception for it in your policy');
    }
    if (stores.some((store) => isWithin(path, store)) || isPrivate(regionOf(draft, path))) continue;
    hideOne(draft, { ...hidden, holdsStore: stores.some((store) => isWithin(store, path)) }, known);
  }
  for (const [base, paths] of known.absent) addShim(draft, base, paths);
  for (const place of stores) hideStore(draft, place);
}

/** The same where a link to what it lies in is shared. */
function linkedHides({ linked }: Draft, hidden: Hidden): Hidden[] {
  return linked.flatMap(({ path, source }) => {
    if (isWithin(source, hidden.path) && hidden.standIn === undefined) {
      throw new PlanError(`Can't share ${path}: what it leads to is hidden (${hidden.rule}).`, 'Name what it leads to by its own path, or make an exception for it in your policy');
    }
    return isWithin(hidden.path, source) ? [{ ...hidden, path: joinBytes(path, relativeTo(hidden.path, source)) }] : [];
  });
}

/** What one pass over the hides has found: most lie in a few directories. */
interface Known {
  /** paths to be made absent, by the base of their layer */
  readonly absent: Map<Bytes, Bytes[]>;
  /** directories that the user could make again, with all above them in the layer */
  readonly remade: Map<Bytes, boolean>;
  /** layers that hold nothing yet */
  readonly empty: Map<Bytes, boolean>;
  /** what a region lies at or in; the hides add none there, as none lies in another */
  readonly around: ReadonlySet<Bytes>;
}

function aboveAll(points: Iterable<Bytes>): ReadonlySet<Bytes> {
  const around = new Set<Bytes>();
  for (const point of points) for (let at = point; !around.has(at); at = parentOf(at)) around.add(at);
  return around;
}

/** Where the store and the layers outside it show. */
function storePlaces({ options, table, layers, storeAt }: Draft): readonly Bytes[] {
  const own = layers.map((layer) => layer.dir).filter((dir) => !isWithin(dir, options.stateDir));
  const made = own.map((dir) => joinBytes(mountOf(table, dir)!.point, `.agentfw-${options.uid}` as Bytes));
  return [...new Set([...storeAt, ...made.flatMap((path) => aliasesOf(table, path))])];
}

/** Where `decide` would let the first one stand. */
export function replaceDecision(draft: Draft, path: Bytes, decision: Decided['decision'], why: string): void {
  const mount = draft.table.at.get(path);
  if (mount !== undefined) draft.decided.delete(mount.id);
  const told = draft.paths.findIndex((one) => one.path === path);
  if (mount === undefined && told >= 0) draft.paths.splice(told, 1);
  decide(draft, path, decision, why);
}

/** Absent where a layer can say so, else covered. */
function hideOne(draft: Draft, { path, rule, standIn, absent, holdsStore }: Hidden & { readonly holdsStore: boolean }, known: Known): void {
  const exists = absent !== true && draft.facts.lstat(path) !== null;
  // The store has a cover of its own, which needs its place.
  const base = holdsStore ? null : layerThatHides(draft, path, known);
  if (standIn !== undefined && exists) {
    addReadOnly(draft, path, rule, standIn);
    return replaceDecision(draft, path, 'stand-in', rule);
  }
  if (base !== null) {
    if (!leaveOut(draft, base, path)) addTo(known.absent, base, path);
  } else if (exists && !isClosed(draft, path)) {
    draft.ops.push(coverStep(draft, path));
    setRegion(draft, path, 'hidden');
  }
  if (!exists) return;
  replaceDecision(draft, path, 'hide', rule);
  decideBelow(draft, path, 'hide', `below ${path}, which is hidden`);
}

/**
 * The base of the layer in which the path can be made absent: nothing else
 * lies there or below, the directories above it can be made again by the user,
 * and no earlier run left something of the agent's at it.
 */
function layerThatHides(draft: Draft, path: Bytes, { remade, empty, around }: Known): Bytes | null {
  const { facts, options } = draft;
  const region = regionOf(draft, path);
  // What lies directly in the root is expected there by everybody.
  if (region.kind !== 'overlay' || region.path === path || parentOf(path) === '/') return null;
  if (around.has(path)) return null;
  const layer = draft.layers.find(({ base }) => base === region.path)!;
  const upper = joinBytes(layer.dir, 'upper' as Bytes);
  const isEmpty = once(empty, upper, () => facts.lstat(upper) === null || facts.list(upper)?.length === 0);
  if (!isEmpty && facts.lstat(joinBytes(upper, relativeTo(path, region.path))) !== null) return null;
  if (layer.skeleton) return parentOf(path) === region.path ? region.path : null;
  const possible = once(remade, parentOf(path), () => ancestors(region.path, parentOf(path)).every(
    (dir) => facts.lstat(dir)?.type === 'dir' && (options.mode === 'root' || isMapped(draft, dir)),
  ));
  return possible ? region.path : null;
}

function once(known: Map<Bytes, boolean>, path: Bytes, find: () => boolean): boolean {
  const before = known.get(path);
  if (before !== undefined) return before;
  const now = find();
  known.set(path, now);
  return now;
}

function addTo(lists: Map<Bytes, Bytes[]>, key: Bytes, path: Bytes): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [path]);
  else list.push(path);
}

/** A skeleton is a copy: what is hidden just isn't copied. */
function leaveOut(draft: Draft, base: Bytes, path: Bytes): boolean {
  const index = draft.layers.findIndex((layer) => layer.base === base);
  const layer = draft.layers[index]!;
  if (!layer.skeleton) return false;
  draft.layers[index] = { ...layer, skeletonEntries: layer.skeletonEntries.filter(({ name }) => name !== nameOf(path)) };
  return true;
}

function addShim(draft: Draft, base: Bytes, paths: readonly Bytes[]): void {
  const at = draft.layers.findIndex((layer) => layer.base === base);
  const layer = draft.layers[at]!;
  const step = draft.ops.findIndex((one) => one.op === 'overlay' && one.dst === base);
  const overlay = draft.ops[step];
  if (overlay?.op !== 'overlay') return;
  const dst = joinBytes(layer.dir, 'shim' as Bytes);
  draft.layers[at] = { ...layer, shim: true };
  draft.ops[step] = { ...overlay, lowers: [dst, ...overlay.lowers] };
  draft.ops.push({ op: 'shim', dst, base, paths });
}

/** A directory that the user can't enter is as closed to the agent. */
function isClosed({ options, facts }: Draft, path: Bytes): boolean {
  return options.mode === 'user' && options.uid !== 0 && facts.lstat(path)?.type === 'dir' && facts.lstat(path)?.uid !== options.uid && !facts.searchable(path);
}

/**
 * As root the agent can rename a directory of the host with what is hidden in
 * it; a `hide` would pass over the empty place on the next run, the others
 * refuse to start.
 */
function coverStep({ options, facts, regions }: Draft, path: Bytes): ViewOp {
  const holdsLayer = [...regions.values()].some((region) => region.kind === 'overlay' && isWithin(region.path, path));
  if (options.mode === 'user' || holdsLayer) return { op: 'hide', dst: path };
  const stat = facts.lstat(path);
  if (stat?.type === 'dir') return { op: 'tmpfs', dst: path, mode: stat.mode & 0o555, size: 4096, flags: ['ro'] };
  return { op: 'bind', src: '/dev/null' as Bytes, dst: path, write: false };
}

/** A tmpfs, not a `hide`: where it can't be laid the start is refused. */
function hideStore(draft: Draft, path: Bytes): void {
  if (isPrivate(regionOf(draft, path))) return;
  if (isWithin(draft.options.cwd, path)) {
    throw new PlanError(`Can't run in ${draft.options.cwd}: the store shows there.`, 'Change to the directory of your project');
  }
  addTmpfs(draft, path, 0o555, { size: 4096, readOnly: true });
  decide(draft, path, 'hide', "agentfw's own");
  decideBelow(draft, path, 'hide', "agentfw's own");
}
