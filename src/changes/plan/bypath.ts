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
    yield* before(open, change.path);
    yield change;
    if (change.crowd !== undefined) push(open, change.crowd.crowd, 0);
  }
  yield* before(open, null);
}

/** The first of a crowd that wasn't told yet. */
interface Head {
  readonly crowd: Crowd;
  readonly next: number;
  readonly path: Bytes;
}

function push(open: Head[], crowd: Crowd, next: number): void {
  const at = crowd.at[next];
  if (at !== undefined) open.push({ crowd, next, path: pathAt(crowd, at) });
}

/** Those before `limit`; null: all that are left. Open are only crowds of directories that are in each other. */
function* before(open: Head[], limit: Bytes | null): Generator<Told> {
  for (;;) {
    const first = open.reduce<Head | null>((least, head) => (least === null || head.path < least.path ? head : least), null);
    if (first === null || (limit !== null && first.path >= limit)) return;
    open.splice(open.indexOf(first), 1);
    yield toldOf(first);
    push(open, first.crowd, first.next + 1);
  }
}

/** Of new files: others don't stay packed until here. */
function toldOf({ path, crowd, next }: Head): Told {
  const upper = crowd.piece.upper(crowd.at[next] as number);
  return { path, kind: 'add', type: 'file', opaque: false, from: null, target: null, meta: NO_META, link: undefined, upper, base: null };
}

const NO_META: Told['meta'] = [];
