import { diff3Merge } from 'node-diff3';

type Lines = readonly string[];

/** Of one file: as it was, as the host has it, and as the agent has it. */
export interface Sides {
  readonly old: Lines;
  readonly ours: Lines;
  readonly theirs: Lines;
}

/** A stretch that is settled, or one on which both sides disagree. */
export type Region = { readonly ok: Lines } | { readonly ours: Lines; readonly theirs: Lines };

/** Pairs of equal lines that a merge looks at: some seconds' worth. */
const MOST_PAIRS = 10_000_000;

/**
 * A three-way merge, piece by piece: the merge of a whole pairs each line with all that are
 * equal to it, which takes minutes where a file has the same line ten thousand times (a lock
 * file's `},`). So what all three begin and end with is left out, and they are cut at the
 * lines that each of them has once. Null where even then it would take too long.
 */
export function mergePieces(sides: Sides): readonly Region[] | null {
  const all = [sides.old, sides.ours, sides.theirs];
  const head = sharedLength(all, (lines, n) => lines[n]);
  const tail = sharedLength(all.map((lines) => lines.slice(head)), (lines, n) => lines[lines.length - 1 - n]);
  const end = sides.old.length - tail;
  const pieces = cut({ old: sides.old.slice(head, end), ours: sides.ours.slice(head, sides.ours.length - tail), theirs: sides.theirs.slice(head, sides.theirs.length - tail) });
  if (pieces.reduce((sum, { gap }) => sum + pairsIn(gap), 0) > MOST_PAIRS) return null;
  const regions = pieces.flatMap(({ gap, anchor }) => [...merged(gap), ...(anchor === null ? [] : [{ ok: [anchor] }])]);
  return [{ ok: sides.old.slice(0, head) }, ...regions, { ok: sides.old.slice(end) }];
}

function sharedLength(all: readonly Lines[], lineAt: (lines: Lines, n: number) => string | undefined): number {
  const most = Math.min(...all.map(({ length }) => length));
  let n = 0;
  while (n < most && all.every((lines) => lineAt(lines, n) === lineAt(all[0] ?? [], n))) n += 1;
  return n;
}

function merged({ old, ours, theirs }: Sides): Region[] {
  if (old.length + ours.length + theirs.length === 0) return [];
  return diff3Merge([...ours], [...old], [...theirs], { excludeFalseConflicts: true }).map(({ ok, conflict }) => (conflict === undefined ? { ok: ok ?? [] } : { ours: conflict.a, theirs: conflict.b }));
}

interface Piece {
  readonly gap: Sides;
  /** the line behind it; null at the end */
  readonly anchor: string | null;
}

function cut({ old, ours, theirs }: Sides): Piece[] {
  const pieces: Piece[] = [];
  let from: Anchor = [0, 0, 0];
  for (const [o, a, b] of [...anchorsOf({ old, ours, theirs }), null].map((one): Anchor => one ?? [old.length, ours.length, theirs.length])) {
    pieces.push({ gap: { old: old.slice(from[0], o), ours: ours.slice(from[1], a), theirs: theirs.slice(from[2], b) }, anchor: old[o] ?? null });
    from = [o + 1, a + 1, b + 1];
  }
  return pieces;
}

/** Where a line stands: as it was, on the host, and with the agent. */
type Anchor = readonly [old: number, ours: number, theirs: number];

function anchorsOf({ old, ours, theirs }: Sides): readonly Anchor[] {
  const [inOld, inOurs, inTheirs] = [old, ours, theirs].map(onceIn);
  const found = [...(inOld ?? [])].flatMap(([line, at]): Anchor[] => {
    const [a, b] = [inOurs?.get(line), inTheirs?.get(line)];
    return a === undefined || b === undefined ? [] : [[at, a, b]];
  });
  return rising(rising(found, ([, a]) => a), ([, , b]) => b);
}

/** The lines that are there once, in order. */
function onceIn(lines: Lines): Map<string, number> {
  const found = new Map<string, number>();
  const again = new Set<string>();
  for (const [at, line] of lines.entries()) if (found.has(line)) again.add(line);
    else found.set(line, at);
  for (const line of again) found.delete(line);
  return found;
}

/** The longest part of a list in which a number rises (patience sorting). */
function rising<T>(list: readonly T[], numberOf: (one: T) => number): T[] {
  const tops: number[] = [];
  const before: number[] = [];
  for (const [at, one] of list.entries()) {
    let [low, high] = [0, tops.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (numberOf(list[tops[middle] as number] as T) < numberOf(one)) low = middle + 1;
      else high = middle;
    }
    before[at] = low === 0 ? -1 : (tops[low - 1] as number);
    tops[low] = at;
  }
  const chosen: T[] = [];
  for (let at = tops.at(-1) ?? -1; at >= 0; at = before[at] as number) chosen.push(list[at] as T);
  return chosen.reverse();
}

function pairsIn({ old, ours, theirs }: Sides): number {
  const counts = countsOf(old);
  return [ours, theirs].flatMap((side) => [...countsOf(side)]).reduce((sum, [line, count]) => sum + count * (counts.get(line) ?? 0), 0);
}

function countsOf(lines: Lines): Map<string, number> {
  const counts = new Map<string, number>();
  for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1);
  return counts;
}
