import type { Bytes } from '../../bytes.js';

/** By path, the number of what it lands together with, or not at all (I11). */
export type Groups = Map<Bytes, number>;

/** One for each new path, with all that belongs to it. `pairs` has old and new paths, of which several may have one new one. */
export function groupsOf(pairs: ReadonlyMap<Bytes, Bytes>): Groups {
  const groups: Groups = new Map();
  for (const [from, to] of pairs) {
    const group = groups.get(to) ?? groups.size + 1;
    groups.set(from, group).set(to, group);
  }
  return groups;
}

/** A number that no group has; 0 is never one. */
export function newGroup(groups: Groups): number {
  let most = 0;
  for (const group of groups.values()) most = Math.max(most, group);
  return most + 1;
}

/** The group of the first is that of all of them from now on. */
export function joinAll(groups: Groups, [first, ...others]: readonly [{ readonly path: Bytes }, ...{ readonly path: Bytes }[]]): number {
  const group = groups.get(first.path) ?? newGroup(groups);
  for (const { path } of [first, ...others]) joinGroup(groups, path, group);
  return group;
}

/** Takes along what it was grouped with before: a rename into the directory, say. */
function joinGroup(groups: Groups, path: Bytes, group: number): void {
  const before = groups.get(path);
  groups.set(path, group);
  if (before === undefined || before === group) return;
  for (const [other, its] of groups) if (its === before) groups.set(other, group);
}
