import type { Bytes } from '../../bytes.js';
import type { Kernel } from '../../kernel/kernel.js';
import { readBase, type CapturedBase } from '../base.js';
import type { Change, Conflict } from '../change.js';
import { tookAway } from '../capture/epoch.js';
import { bareIn, gitPartOf } from './dir.js';
import { anyNaming, hasHead } from './names.js';
import { hostPlace, isTouched, openQuietly, type Judging } from '../conflict/judging.js';
import { LONGEST_REFERENCE, referenceOf, valueOf } from './packed-ref.js';
import { referenceConflict } from './reference.js';
import type { Place } from '../plan/step.js';
import { meaningOfIndex } from './touched-index.js';

/** I19: the agent's `git gc` knows nothing of what the host's references lead to since. */
export function keepObjects<T extends Change & { readonly conflict: Conflict | null }>(judging: Judging, changes: readonly T[]): readonly T[] {
  const deleted = changes.filter(({ kind, path, conflict }) => kind === 'delete' && conflict === null && path.includes('/objects/'));
  if (deleted.length === 0) return changes;
  const placeIn = (change: T, path: Bytes): Place => hostPlace(judging.dirs, { ...change, path, basePath: undefined });
  const bare = bareIn(deleted, (dir, change) => hasHead(judging.dirs, placeIn(change, dir)));
  const paths = new Set(changes.map(({ path }) => path));
  const used = new Map<Bytes, boolean>();
  const isUsed = (change: T): boolean => {
    const inside = gitPartOf(change.path, bare);
    if (inside?.part !== 'objects') return false;
    const { dir } = inside;
    const known = used.get(dir) ?? anyNaming(judging.dirs, { dir, place: placeIn(change, dir) }, ({ path, stat }) => !paths.has(path) && isTouched(judging, path, stat));
    used.set(dir, known);
    return known;
  };
  const kept = new Set(deleted.filter(isUsed));
  return kept.size === 0 ? changes : changes.map((change) => (kept.has(change) ? { ...change, conflict: 'changed' } : change));
}

/** Undefined for what is no git reference, or where nothing is known of it. */
export function packedConflict(judging: Judging, path: Bytes, captured: CapturedBase | null): Conflict | null | undefined {
  const reference = referenceOf(path);
  if (reference === null) return undefined;
  const { dirs, sandboxDir, epochs, t0 } = judging;
  const packed = judging.packed(path);
  const landed = epochs.byPath.get(path)?.meaning ?? '';
  return referenceConflict({
    ...{ captured, packed, landed: landed === '' ? null : landed, tookAway: tookAway(epochs, path) },
    capturedValue: () => (captured === null ? null : capturedValue(dirs.kernel, sandboxDir, captured)),
    isTouched: packed.ctimeNs >= t0 && packed.ctimeNs > (epochs.byPath.get(reference.file)?.ctimeNs ?? 0n),
  });
}

/** Null also where the captured file is gone from the store. */
function capturedValue(kernel: Kernel, sandboxDir: Bytes, captured: CapturedBase): string | null {
  const content = readBase(kernel, sandboxDir, captured, LONGEST_REFERENCE);
  return content === null ? null : valueOf(content.toString('latin1'));
}

/** A git index that agentfw landed, and that only `git status` wrote since. */
export function saysWhatLanded({ dirs, epochs }: Judging, change: Change): boolean {
  const meaning = epochs.byPath.get(change.path)?.meaning ?? '';
  if (meaning === '' || change.meta.includes('mode') || change.meta.includes('owner')) return false;
  const host = openQuietly(dirs, hostPlace(dirs, change));
  if (host === null) return false;
  try {
    return meaningOfIndex(dirs.kernel, host) === meaning;
  } finally {
    dirs.kernel.close(host);
  }
}
