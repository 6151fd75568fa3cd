import type { Bytes } from '../../bytes.js';
import type { Change } from '../change.js';
import { pathAt, type Crowd } from '../scan/crowd.js';

/** What a digest takes of a change. */
export type Told = Pick<Change, 'path' | 'kind' | 'type' | 'opaque' | 'from' | 'target' | 'meta' | 'link' | 'upper' | 'base'>;

/** All changes in the order of their paths' bytes, each that others stand for at its own place. */
export function* byPath(changes: readonly Change[]): Generator<Told> {
  const sorted = [...changes].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  const open: Head[] = [];
  for (const change of sorted) {
    if (open.length > 0) yield* before(open, change.path);
    yield change;
    if (change.crowd !== undefined) push(open, change.crowd.crowd);
  }
  yield* before(open, null);
}

/** The first of a crowd that wasn't told yet. */
interface Head {
  readonly crowd: Crowd;
  next: number;
  path: Bytes;
}

function push(open: Head[], crowd: Crowd): void {
  const [first] = crowd.at;
  if (first !== undefined) open.push({ crowd, next: 0, path: pathAt(crowd, first) });
}

/** Those before `limit`; null: all that are left. Open are only crowds of directories that are in each other. */
function* before(open: Head[], limit: Bytes | null): Generator<Told> {
  for (;;) {
    const first = leastOf(open);
    if (first === null || (limit !== null && first.path >= limit)) return;
    open.splice(open.indexOf(first), 1);
    const other = leastOf(open)?.path ?? null;
    // Most come one after the other.
    const until = other === null || (limit !== null && limit < other) ? limit : other;
    do yield toldOf(first);
    while (advance(first) && (until === null || first.path < until));
    if (first.next < first.crowd.at.length) open.push(first);
  }
}

function leastOf(open: readonly Head[]): Head | null {
  let least: Head | null = null;
  for (const head of open) if (least === null || head.path < least.path) least = head;
  return least;
}

/** False at the end. */
function advance(head: Head): boolean {
  const at = head.crowd.at[(head.next += 1)];
  if (at !== undefined) head.path = pathAt(head.crowd, at);
  return at !== undefined;
}

/** Of new files: others don't stay packed until here. */
function toldOf({ path, crowd, next }: Head): Told {
  const upper = crowd.piece.upper(crowd.at[next] as number);
  return { path, kind: 'add', type: 'file', opaque: false, from: null, target: null, meta: NO_META, link: undefined, upper, base: null };
}

const NO_META: Told['meta'] = [];
