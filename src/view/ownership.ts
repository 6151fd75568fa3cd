import type { Bytes } from '../bytes.js';
import { isWithin, joinBytes, parentOf } from '../bytes.js';
import { ancestors, type Draft } from './draft.js';
import { isPrivateRoot } from './private.js';

/** Objects looked at per tree. The search is breadth first: what lies near the top is found. */
const BUDGET = 32;

/** Where in a tree the user can write. */
export interface Survey {
  /** everything was looked at: outside `islands` the user can write nothing, not even to a socket */
  readonly complete: boolean;
  /** the topmost directories that the user can write, or in which lies a file or socket that the user can write */
  readonly islands: readonly Bytes[];
}

/** Looks at no more than a budget of entries, nearest first; symlinks are not followed. */
export function surveyOf(draft: Draft, root: Bytes): Survey {
  const { facts } = draft;
  const islands = new Set<Bytes>();
  const queue: Bytes[] = [root];
  let complete = true;
  for (let looked = 0; looked < queue.length; looked += 1) {
    const here = queue[looked]!;
    const stat = facts.lstat(here);
    if (stat === null || stat.type === 'symlink' || isPrivateRoot(draft, here)) continue;
    if (facts.writable(here)) islands.add(stat.type === 'dir' ? here : parentOf(here));
    else if (stat.type === 'dir' && facts.searchable(here)) {
      const names = queue.length < BUDGET ? facts.list(here) : null;
      if (names === null || queue.length + names.length > BUDGET) complete = false;
      queue.push(...(names ?? []).slice(0, BUDGET - queue.length).map((name) => joinBytes(here, name)));
    }
  }
  return { complete, islands: topmost(islands) };
}

function topmost(paths: ReadonlySet<Bytes>): readonly Bytes[] {
  return [...paths].filter((path) => ![...paths].some((other) => other !== path && isWithin(path, other)));
}

/** True when the object's owner and group exist inside: only such objects can be copied up. */
export function isMapped(draft: Draft, path: Bytes): boolean {
  const stat = draft.facts.lstat(path);
  return stat !== null && stat.uid === draft.options.uid && stat.gid === draft.options.gid;
}

/**
 * Where a layer has to begin so that `path` can be written, if one lies over
 * `base`: writing copies up every directory between the two, and the kernel
 * refuses that for an owner or group that has no id inside. A layer's own
 * root needs no copy. Null when the layer over `base` will do.
 */
export function layerRootFor(draft: Draft, path: Bytes, base: Bytes): Bytes | null {
  if (draft.options.mode === 'root' || path === base) return null;
  const between = ancestors(base, path);
  const foreign = between.map((dir) => isMapped(draft, dir)).lastIndexOf(false);
  return foreign < 0 ? null : (between[foreign + 1] ?? path);
}
