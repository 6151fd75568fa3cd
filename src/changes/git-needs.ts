import type { Bytes } from '../bytes.js';
import type { Change } from './change.js';
import { bareIn, gitPartOf } from './git-dir.js';

export interface Needing<T> {
  readonly change: T;
  /** an object of the same repository that does not land */
  readonly object: T;
}

/**
 * I19: what names commits does not land without the new objects of its
 * repository. Which of them it leads to is not looked up: the agent wrote both.
 */
export function withoutObjects<T extends Change>(changes: readonly T[], lands: (change: T) => boolean): readonly Needing<T>[] {
  const bare = bareIn(changes);
  const missing = new Map<Bytes, T>();
  for (const change of changes) {
    const inside = change.type === 'file' && change.kind === 'add' ? gitPartOf(change.path, bare) : null;
    if (inside?.part === 'objects' && !lands(change)) missing.set(inside.dir, change);
  }
  if (missing.size === 0) return [];
  return changes.flatMap((change) => {
    const inside = gitPartOf(change.path, bare);
    const object = inside?.part === 'refs' && lands(change) ? missing.get(inside.dir) : undefined;
    return object === undefined ? [] : [{ change, object }];
  });
}
