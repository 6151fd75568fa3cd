import type { Bytes } from '../bytes.js';
import { isWithin, parentOf } from '../bytes.js';
import { aliasesOf, layerDirs } from './hides.js';
import type { MountTable } from './mountinfo.js';
import { mountsBelow } from './mountinfo.js';
import type { Decided, Decision, HostFacts, PlannedLayer, PrivateDir, StandIn, ViewOp, ViewOptions } from './plan.js';

/**
 * What lies at a path of the view and below it: the bare tmpfs that holds the
 * view together, a layer, the host read-only, a tmpfs or a store directory of
 * the sandbox's own, the host for writing, or nothing.
 */
export type RegionKind = 'bare' | 'overlay' | 'read-only' | 'tmpfs' | 'store' | 'passthrough' | 'hidden';

/** A path of the view, and what lies there. */
export interface Region {
  readonly path: Bytes;
  readonly kind: RegionKind;
}

/** A plan in the making. Only the functions of this file and of `layers.ts` change it. */
export interface Draft {
  readonly options: ViewOptions;
  readonly facts: HostFacts;
  readonly table: MountTable;
  readonly ops: ViewOp[];
  readonly layers: PlannedLayer[];
  /** the number of a layer that no earlier run has */
  nextLayer: number;
  readonly privateDirs: PrivateDir[];
  readonly standIns: StandIn[];
  readonly decided: Map<number, Decided>;
  readonly paths: Decided[];
  readonly regions: Map<Bytes, Region>;
  /** directories that regions lie in, or did */
  readonly parted: Set<Bytes>;
  /** directories made by `dir` */
  readonly made: Set<Bytes>;
  /** directories that the sandbox has of its own; a name in the store, or null for one in memory */
  readonly privateRoots: { readonly path: Bytes; readonly name: string | null; readonly mode: number }[];
  /** where what is shared shows, and what it is, where these differ: a link to it in a place that is the sandbox's own */
  readonly linked: { readonly path: Bytes; readonly source: Bytes }[];
  /** where the store and directories of layers outside it show: covered at the end, so nothing is laid there before */
  readonly storeAt: readonly Bytes[];
}

/** A view without a decision; ids of new layers follow those of `previous` ones. */
export function newDraft(table: MountTable, options: ViewOptions, facts: HostFacts): Draft {
  return {
    storeAt: [options.stateDir, ...layerDirs(table, facts, options.uid)].flatMap((path) => aliasesOf(table, path)),
    ...{ options, facts, table, ops: [], layers: [], privateDirs: [], standIns: [] },
    nextLayer: 1 + Math.max(-1, ...options.previous.map(({ id }) => id)),
    ...{ decided: new Map(), paths: [], regions: new Map(), parted: new Set(), made: new Set(), privateRoots: [], linked: [] },
  };
}

/** Records what happens at a path; a mount's first decision stands. */
export function decide(draft: Draft, path: Bytes, decision: Decision, why: string): void {
  const mount = draft.table.at.get(path);
  if (mount === undefined) draft.paths.push({ path, decision, why });
  else if (!draft.decided.has(mount.id)) draft.decided.set(mount.id, { path, decision, why });
}

/** The same for the mounts below it that nobody decided on. */
export function decideBelow(draft: Draft, path: Bytes, decision: Decision, why: string): void {
  for (const mount of mountsBelow(draft.table, path)) {
    if (!draft.decided.has(mount.id)) draft.decided.set(mount.id, { path: mount.point, decision, why });
  }
}

/** The region that a path of the view lies in, so far. */
export function regionOf(draft: Draft, path: Bytes): Region {
  for (let here = path; ; here = parentOf(here)) {
    const region = draft.regions.get(here);
    if (region !== undefined) return region;
    if (here === '/') return { path: here, kind: 'bare' };
  }
}

/** What was said of paths below is forgotten. */
export function setRegion(draft: Draft, path: Bytes, kind: RegionKind): void {
  // A machine can have ten thousand mounts: they are not gone through for each of them.
  if (draft.parted.has(path)) {
    for (const below of draft.regions.keys()) {
      if (below !== path && isWithin(below, path)) draft.regions.delete(below);
    }
  }
  draft.regions.set(path, { path, kind });
  for (let here = path; here !== '/' && !draft.parted.has(parentOf(here)); here = parentOf(here)) draft.parted.add(parentOf(here));
}

/** True where the view shows nothing of the host. */
export function isPrivate(region: Region): boolean {
  return region.kind === 'tmpfs' || region.kind === 'store' || region.kind === 'hidden';
}

/**
 * Makes sure that something can be mounted on `path`: in a tmpfs of the view
 * by `dir` steps, in a store directory by a mount point made before the
 * start. Anywhere else the host has the path.
 */
export function ensurePoint(draft: Draft, path: Bytes, kind: 'dir' | 'file'): void {
  if (path === '/') return;
  const region = regionOf(draft, parentOf(path));
  if (region.kind === 'store') return ensureInside(draft, region.path, path, kind);
  if (region.kind !== 'bare' && region.kind !== 'tmpfs') return;
  // A bind makes its own mount point in a tmpfs, but not the directories above it.
  for (const dir of ancestors(region.path, kind === 'dir' ? path : parentOf(path))) makeDir(draft, dir);
}

/** Once for each path. Without `mode` that of the host's directory, or 0755. */
export function makeDir(draft: Draft, path: Bytes, mode?: number): void {
  if (draft.made.has(path) || draft.regions.has(path)) return;
  draft.made.add(path);
  draft.ops.push({ op: 'dir', dst: path, mode: mode ?? draft.facts.lstat(path)?.mode ?? 0o755 });
}

/** Directories strictly below `from` down to `to`. */
export function ancestors(from: Bytes, to: Bytes): readonly Bytes[] {
  const found: Bytes[] = [];
  for (let here = to; here !== from && here !== '/'; here = parentOf(here)) found.unshift(here);
  return found;
}

/** `path` as seen from `root`, which it lies in. */
export function relativeTo(path: Bytes, root: Bytes): Bytes {
  return (path === root ? '' : root === '/' ? path.slice(1) : path.slice(root.length + 1)) as Bytes;
}

function ensureInside(draft: Draft, root: Bytes, path: Bytes, kind: 'dir' | 'file'): void {
  const index = draft.privateDirs.findIndex((dir) => dir.dst === root);
  const dir = draft.privateDirs[index];
  if (dir === undefined) return;
  const known = new Set(dir.inside.map((entry) => entry.path));
  const added = ancestors(root, path)
    .map((point) => ({
      path: relativeTo(point, root),
      kind: point === path ? kind : ('dir' as const),
      mode: draft.facts.lstat(point)?.mode ?? 0o755,
    }))
    .filter((entry) => !known.has(entry.path));
  draft.privateDirs[index] = { ...dir, inside: [...dir.inside, ...added] };
}

/** A read-only copy of the host's tree at `path`, with what is mounted in it. */
export function addReadOnly(draft: Draft, path: Bytes, why: string, source: Bytes = path): void {
  const kind = (draft.facts.lstat(source) ?? draft.facts.lstat(path))?.type === 'dir' ? 'dir' : 'file';
  ensurePoint(draft, path, kind === 'dir' && regionOf(draft, parentOf(path)).kind === 'store' ? 'dir' : 'file');
  draft.ops.push({ op: 'bind', src: source, dst: path, write: false });
  setRegion(draft, path, 'read-only');
  decide(draft, path, 'read-only', why);
  decideBelow(draft, path, 'read-only', `inside ${path}, which is read-only: ${why}`);
}

/** An empty directory of the sandbox's own in memory. */
export function addTmpfs(draft: Draft, path: Bytes, mode: number, options: { size: number; readOnly: boolean }): void {
  ensurePoint(draft, path, 'dir');
  draft.ops.push({ op: 'tmpfs', dst: path, mode, size: options.size, flags: options.readOnly ? ['ro'] : [] });
  setRegion(draft, path, options.readOnly ? 'hidden' : 'tmpfs');
}

/** In a sandbox's directory: what the overlays of its private directories need beside these. */
export const PRIVATE_WORK = 'private-work' as Bytes;

/**
 * A directory of the store that the agent writes, as a filesystem of its own:
 * an overlay of nothing. A bind would tell its place in the store as the
 * mount's root, and agents that build sandboxes of their own go by that
 * (Codex masks its sockets in /tmp at every place that mountinfo tells of,
 * and can't start a command where the view has no such place).
 */
export function addPrivateDir(draft: Draft, dst: Bytes, name: string, mode: number): void {
  const { sandboxDir, mode: identity, durable } = draft.options;
  ensurePoint(draft, dst, 'dir');
  draft.privateDirs.push({ name: name as Bytes, dst, mode, inside: [] });
  draft.ops.push({
    op: 'overlay',
    dst,
    upper: `${sandboxDir}/private/${name}` as Bytes,
    work: `${sandboxDir}/${PRIVATE_WORK}/${name}` as Bytes,
    options: [identity === 'root' ? 'trusted' : 'user', ...(durable ? [] : (['volatile'] as const)), 'nosuid'],
    lowers: [`${sandboxDir}/${PRIVATE_WORK}/empty` as Bytes],
  });
  setRegion(draft, dst, 'store');
}
