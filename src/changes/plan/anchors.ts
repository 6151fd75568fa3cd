import type { Bytes } from '../../bytes.js';
import { parentOf } from '../../bytes.js';
import type { Change } from '../change.js';

/**
 * An anchor is a change of a directory that decides about all below it: a new
 * one, a deleted one, one that replaces or is replaced. What is below the
 * outermost anchor lands with it, in one rename.
 */
export function isAnchor(change: Change): boolean {
  if (change.kind === 'delete') return change.type === 'dir';
  if (change.kind === 'type') return change.type === 'dir' || change.oldType === 'dir';
  return change.type === 'dir' && (change.kind === 'add' || change.opaque);
}

/** Changes by the new or gone directory that they land with. */
export interface Anchored<T extends Change> {
  /** outermost anchors and what is below each, in the order of the input */
  readonly anchors: ReadonlyMap<T, readonly T[]>;
  /** what stands on its own */
  readonly singles: readonly T[];
}

/** Sorts changes under their outermost anchor; the paths in `open` don't count as anchors. */
export function anchored<T extends Change>(changes: readonly T[], open: ReadonlySet<Bytes>): Anchored<T> {
  const byPath = new Map<Bytes, T>();
  for (const change of changes) if (isAnchor(change) && !open.has(change.path)) byPath.set(change.path, change);
  const anchors = new Map<T, T[]>();
  const singles: T[] = [];
  const memo = new Map<Bytes, T | null>([['/' as Bytes, byPath.get('/' as Bytes) ?? null]]);
  let last: { readonly prefix: string; readonly above: T | null } = { prefix: '\0', above: null };
  for (const change of changes) {
    // Most come after another one of the same directory.
    if (!isDirectlyIn(change.path, last.prefix)) {
      const parent = parentOf(change.path);
      last = { prefix: parent === '/' ? '/' : `${parent}/`, above: outermost(parent, byPath, memo) };
    }
    const above = change.path === '/' ? null : last.above;
    if (above !== null) listOf(anchors, above).push(change);
    else if (byPath.get(change.path) === change) listOf(anchors, change);
    else singles.push(change);
  }
  return { anchors, singles };
}

function isDirectlyIn(path: Bytes, prefix: string): boolean {
  return path.startsWith(prefix) && path.length > prefix.length && !path.includes('/', prefix.length);
}

function listOf<K, V>(map: Map<K, V[]>, key: K): V[] {
  const list = map.get(key);
  if (list !== undefined) return list;
  const made: V[] = [];
  map.set(key, made);
  return made;
}

/** The outermost anchor that is `dir` or above it. A loop, as trees may be thousands deep. */
function outermost<T>(dir: Bytes, byPath: ReadonlyMap<Bytes, T>, memo: Map<Bytes, T | null>): T | null {
  const known = memo.get(dir);
  if (known !== undefined) return known;
  if (byPath.size === 0) return null;
  const chain: Bytes[] = [];
  let at = dir;
  for (; !memo.has(at); at = parentOf(at)) chain.push(at);
  let found = memo.get(at) ?? null;
  for (const path of chain.reverse()) {
    found ??= byPath.get(path) ?? null;
    memo.set(path, found);
  }
  return found;
}
