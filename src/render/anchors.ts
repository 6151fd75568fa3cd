/** A line that is in both texts once, and in the same order. */
export type Anchor = readonly [old: number, fresh: number];

/**
 * What two texts keep for certain, however much else differs: the longest
 * sequence of lines that are in each of them exactly once. native/lines.cc
 * finds the same.
 */
export function anchorsOf(old: readonly string[], fresh: readonly string[]): Anchor[] {
  const inFresh = onceIn(fresh);
  const pairs: Anchor[] = [];
  for (const [line, at] of onceIn(old)) {
    const other = inFresh.get(line);
    if (at >= 0 && other !== undefined && other >= 0) pairs.push([at, other]);
  }
  return longestRise(pairs);
}

/** By line where it is, in their order; -1 for one that comes again. */
function onceIn(lines: readonly string[]): Map<string, number> {
  const places = new Map<string, number>();
  lines.forEach((line, at) => places.set(line, places.has(line) ? -1 : at));
  return places;
}

/** The longest subsequence that rises on the fresh side, too: by patience. */
function longestRise(pairs: readonly Anchor[]): Anchor[] {
  const tops: number[] = [];
  const before: number[] = [];
  pairs.forEach(([, fresh], index) => {
    let [low, high] = [0, tops.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((pairs[tops[middle] ?? 0]?.[1] ?? 0) < fresh) low = middle + 1;
      else high = middle;
    }
    before.push(tops[low - 1] ?? -1);
    tops[low] = index;
  });
  const rise: Anchor[] = [];
  for (let at = tops.at(-1) ?? -1; at >= 0; at = before[at] ?? -1) rise.push(pairs[at] as Anchor);
  return rise.reverse();
}
