import type { Bytes } from '../../bytes.js';
import type { Place } from '../plan/step.js';

/** Where a place of a step nearly always is, seen from the host's. */
export const WAYS = {
  none: 0,
  /** the same path in the layer */
  layer: 1,
  /** for an undo, whose layer is the vault of the commit: what that kept */
  kept: 2,
  /** kept in the vault */
  old: 3,
  /** `taken/N` of the vault */
  taken: 4,
} as const;

/** `old/LAYER/…` of the vault mirrors the paths of a layer. */
export function oldPlace({ root, path }: Place): Place {
  const inside = oldDir(root);
  return { root: root + 2, path: (path === '' ? inside : `${inside}/${path}`) as Bytes };
}

/** Of the layer that belongs to a host root. */
export function oldDir(root: number): string {
  return `old/${Math.floor(root / 3)}`;
}

const TAKEN = /^taken\/(?:0|[1-9][0-9]{0,8})$/;

/** null: it is somewhere else. */
export function wayTo(place: Place | null, host: Place): number | null {
  if (place === null) return WAYS.none;
  const { root, path } = place;
  if (root === host.root + 1) return path === host.path ? WAYS.layer : isOld(path, host) ? WAYS.kept : null;
  if (root !== host.root + 2) return null;
  return isOld(path, host) ? WAYS.old : TAKEN.test(path) ? WAYS.taken : null;
}

/** Without making the path that it would be. */
function isOld(path: Bytes, { root, path: inside }: Place): boolean {
  const dir = oldDir(root);
  if (inside === '') return path === dir;
  return path.length === dir.length + 1 + inside.length && path.startsWith(dir) && path[dir.length] === '/' && path.endsWith(inside);
}

/** The place that a way of `WAYS` leads to from a step's own; `taken` is the number below `taken/`. Null for none. */
export function placeFrom(way: number, host: Place, taken: number): Place | null {
  if (way === WAYS.none) return null;
  if (way === WAYS.layer) return { root: host.root + 1, path: host.path };
  if (way === WAYS.taken) return { root: host.root + 2, path: `taken/${taken}` as Bytes };
  const old = oldPlace(host);
  return way === WAYS.old ? old : { root: host.root + 1, path: old.path };
}
