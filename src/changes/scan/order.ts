import type { Bytes } from '../../bytes.js';
import type { Change, RiskClass } from '../change.js';

type Ordered = Change & { readonly class: RiskClass };

/** What a reader must not miss comes first: control, later, deletions, type changes, the rest; by bytes within each. */
export function orderChanges<T extends Ordered>(changes: Iterable<T>): T[] {
  const ranks: T[][] = [[], [], [], [], []];
  for (const change of changes) ranks[rankOf(change)]?.push(change);
  return ranks.flatMap((rank) => (isOrdered(rank) ? rank : rank.sort(compare)));
}

/** A scan gives most of them in order. */
function isOrdered(rank: readonly Ordered[]): boolean {
  for (let at = 1; at < rank.length; at++) if (compare(rank[at - 1] as Ordered, rank[at] as Ordered) > 0) return false;
  return true;
}

function compare(a: Ordered, b: Ordered): number {
  return compareBytes(a.path, b.path) || compareKinds(a, b);
}

/** 0 first: what runs on the host at once, what runs later, deletions, changes of type, and the rest. */
export function rankOf(change: Ordered): number {
  if (change.class === 'control') return 0;
  if (change.class === 'later') return 1;
  if (change.kind === 'delete') return 2;
  return change.kind === 'type' ? 3 : 4;
}

/** Chars are bytes, so comparing strings compares bytes. */
function compareBytes(a: Bytes, b: Bytes): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Two layers may tell of one path; the order must not depend on which came first. */
function compareKinds(a: Ordered, b: Ordered): number {
  return orderOf(a) - orderOf(b);
}

const KINDS: readonly Change['kind'][] = ['add', 'delete', 'metadata', 'modify', 'rename', 'type'];

/** Of changes of one path. */
export function orderOf({ at, kind }: Pick<Change, 'at' | 'kind'>): number {
  return at.layer * KINDS.length + KINDS.indexOf(kind);
}
