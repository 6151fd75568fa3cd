import type { Bytes } from '../bytes.js';
import { isWithin, parentOf } from '../bytes.js';
import type { Layer } from '../sandbox/sandbox.js';
import type { Draft } from './draft.js';
import { decide, ensurePoint, regionOf, relativeTo, setRegion } from './draft.js';
import { canBeUpper } from './fstypes.js';
import { mountOf } from './mountinfo.js';
import type { OverlayOption, PlannedLayer, SkeletonEntry } from './plan.js';
import { PlanError } from './plan.js';

/**
 * Lays a layer over the host directory `base`; `skeleton` when mounts below it forbid using the directory itself.
 * None where `base` is passed through: what an earlier run changed there stays a change, out of sight.
 */
export function addOverlay(draft: Draft, base: Bytes, why: string, skeleton: readonly SkeletonEntry[] | null = null): void {
  const passed = isPassedThrough(draft, base);
  if (passed && !draft.options.previous.some((layer) => layer.base === base)) return;
  const place = placeOf(draft, base, skeleton !== null);
  const stat = draft.facts.lstat(base);
  const host = stat?.mode ?? 0o755;
  // Otherwise the agent could make names here that no commit can land.
  const mode = draft.facts.writable(base) ? host : host & ~0o222;
  const owner = draft.options.mode === 'root' && stat !== null ? { uid: stat.uid, gid: stat.gid } : null;
  const layer: PlannedLayer = {
    ...place,
    base,
    family: draft.options.mode === 'root' ? 'trusted' : 'user',
    covered: [],
    skeleton: skeleton !== null,
    shim: false,
    ...{ mode, owner },
    top: place.top ?? { mode, uid: owner?.uid ?? null, gid: owner?.gid ?? null },
    skeletonEntries: skeleton ?? [],
  };
  draft.layers.push(layer);
  if (passed) return;
  ensurePoint(draft, base, 'dir');
  draft.ops.push({
    op: 'overlay',
    dst: base,
    upper: `${layer.dir}/upper` as Bytes,
    work: `${layer.dir}/work` as Bytes,
    options: optionsOf(draft, base),
    lowers: [skeleton === null ? base : (`${layer.dir}/skeleton` as Bytes)],
  });
  setRegion(draft, base, 'overlay');
  decide(draft, base, 'overlay', why);
}

/** The host's own directory will lie there: a layer would be covered by it, which the driver refuses. */
export function isPassedThrough({ options }: Draft, path: Bytes): boolean {
  return options.passthrough.some((one) => isWithin(path, one.path));
}

function optionsOf({ options, table }: Draft, base: Bytes): readonly OverlayOption[] {
  const root = options.mode === 'root';
  // What can't be executed on the host can't be executed inside.
  const closed = mountOf(table, base)?.noExec === true;
  return [...([root ? 'trusted' : 'user'] as const), ...(options.durable ? [] : (['volatile'] as const)), ...(closed ? (['noexec'] as const) : [])];
}

/** The layer's number and directory: those of an earlier run over the same base, else new ones. */
function placeOf(draft: Draft, base: Bytes, skeleton: boolean): Pick<Layer, 'id' | 'dir' | 'top'> {
  const { options } = draft;
  const earlier = options.previous.find((layer) => layer.base === base);
  if (earlier !== undefined) {
    if (earlier.skeleton !== skeleton) throw movedMounts(base);
    return { id: earlier.id, dir: earlier.dir, top: earlier.top };
  }
  const id = draft.nextLayer++;
  return { id, dir: foreignPlace(draft, base, id) ?? (`${options.sandboxDir}/layers/${id}` as Bytes) };
}

/**
 * A directory beside a base on another filesystem, so that a commit is a
 * rename: where the project or the home lies on that filesystem, but is not
 * its root, because a directory of ours would then lie among the user's
 * files. Commits elsewhere are copies.
 */
function foreignPlace(draft: Draft, base: Bytes, id: number): Bytes | null {
  const { options, facts, table } = draft;
  const mount = mountOf(table, base);
  const store = mountOf(table, options.stateDir);
  if (mount === null || mount === store || mount.readOnly || !canBeUpper(mount.type)) return null;
  if (mount.point === '/' || options.trees.includes(mount.point) || !options.trees.some((tree) => isWithin(tree, mount.point))) return null;
  if (!facts.writable(mount.point) || !facts.searchable(mount.point)) return null;
  return options.foreignLayerDir(mount.point, id);
}

/** Layers with what lies over them, and the promise that no earlier layer was left out. */
export function finishLayers(draft: Draft): readonly PlannedLayer[] {
  for (const earlier of draft.options.previous) {
    if (!draft.layers.some((layer) => layer.base === earlier.base)) throw movedMounts(earlier.base);
  }
  const covered = new Map<Bytes, Bytes[]>();
  const granted = grantedPaths(draft);
  for (const point of [...draft.regions.keys()].sort()) {
    if (point === '/' || granted.has(point)) continue;
    const { path } = regionOf(draft, parentOf(point));
    const some = covered.get(path);
    if (some === undefined) covered.set(path, [relativeTo(point, path)]);
    else some.push(relativeTo(point, path));
  }
  return draft.layers.map((layer) => ({ ...layer, covered: covered.get(layer.base) ?? [] }));
}

/**
 * Where the host's own lies over what an earlier run may have changed: that is
 * out of the agent's sight for this run, and a change all the same.
 */
function grantedPaths({ options, table, regions }: Draft): ReadonlySet<Bytes> {
  const paths = [...options.share, ...[...options.readonly, ...options.passthrough].map(({ path }) => path)];
  const isHidden = (path: Bytes): boolean => options.hide.some((hidden) => hidden.path === path) || regions.get(path)?.kind === 'hidden';
  return new Set(paths.filter((path) => !table.at.has(path) && !isHidden(path)));
}

function movedMounts(base: Bytes): PlanError {
  return new PlanError(
    `The layer over ${base} can't be mounted again: it is gone, or mounts at it or below it have changed.`,
    'Restore it, or bring the changes over with agentfw commit or agentfw export',
  );
}
