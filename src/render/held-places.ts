import { parentOf, type Bytes } from '../bytes.js';
import type { Change } from '../changes/change.js';

/**
 * Directories that became something else, and of which `git apply` leaves a part
 * standing: it removes those that its deletions empty, and knows neither one
 * without files nor what a patch can't hold. It would stop there, half-way.
 */
export function heldPlaces(changes: readonly Change[]): ReadonlySet<Bytes> {
  const replaced = new Set(changes.filter(({ kind, oldType, type }) => kind === 'type' && oldType === 'dir' && type !== 'dir').map(({ path }) => path));
  if (replaced.size === 0) return replaced;
  const gone = changes.flatMap((change) => {
    const top = change.kind === 'delete' ? topOf(change.path, replaced) : null;
    return top === null ? [] : [{ top, ...change }];
  });
  const emptied = new Set<Bytes>();
  for (const { path, type } of gone) {
    if (!isOfPatch(type)) continue;
    for (let at = parentOf(path); !emptied.has(at) && !replaced.has(at); at = parentOf(at)) emptied.add(at);
  }
  return new Set(gone.filter(({ path, type }) => !isOfPatch(type) && !emptied.has(path)).map(({ top }) => top));
}

function isOfPatch(type: Change['type']): boolean {
  return type === 'file' || type === 'symlink';
}

function topOf(path: Bytes, tops: ReadonlySet<Bytes>): Bytes | null {
  for (let at = parentOf(path); at !== '/'; at = parentOf(at)) if (tops.has(at)) return at;
  return null;
}
