import type { Bytes } from '../../bytes.js';
import type { Change } from '../change.js';
import { bareIn, gitPartOf, type InGitDir } from './dir.js';

/** A change that names objects which stay in the sandbox. */
export interface Needing<T> {
  readonly change: T;
  /** of the same repository, and does not land */
  readonly needs: T;
}

interface Missing<T> {
  /** a new object */
  object?: T;
  /** a reference, what is checked out, or the index */
  name?: T;
}

/** Written by `git gc`: it names commits, and no object goes away because of it. */
const COMMIT_GRAPH = /\/objects\/info\/commit-graphs?(\/|$)/;

/**
 * I19: what names commits does not land without the new objects of its
 * repository. Which of them it leads to is not looked up: the agent wrote both.
 * And no object goes without all that the agent made of the references: one of
 * the host's own may lead to it, or a pack that does not land holds it.
 */
export function withoutNeeded<T extends Change>(changes: readonly T[], lands: (change: T) => boolean, needed?: ReadonlyMap<Bytes, readonly Bytes[]>): readonly Needing<T>[] {
  return [...withoutObjects(changes, lands), ...withoutNamed(changes, lands, needed)];
}

function withoutObjects<T extends Change>(changes: readonly T[], lands: (change: T) => boolean): readonly Needing<T>[] {
  const bare = bareRepositories(changes);
  const missing = new Map<Bytes, Missing<T>>();
  for (const change of changes) {
    const inside = gitPartOf(change.path, bare);
    if (inside === null || inside.part === 'logs' || lands(change)) continue;
    const isName = inside.part === 'refs';
    if (isName || (change.type === 'file' && change.kind === 'add')) missing.set(inside.dir, { ...missing.get(inside.dir), [isName ? 'name' : 'object']: change });
  }
  if (missing.size === 0) return [];
  return changes.flatMap((change) => {
    const inside = gitPartOf(change.path, bare);
    const needs = inside === null || !lands(change) ? undefined : neededBy(change, inside, missing.get(inside.dir));
    return needs === undefined || needs === change ? [] : [{ change, needs }];
  });
}

/** Git directories without a work tree among what changed. */
export function bareRepositories(changes: readonly Change[]): ReadonlySet<Bytes> {
  return bareIn(changes, (dir) => changes.some(({ path }) => path.startsWith(`${dir}/refs/`) || path === `${dir}/HEAD` || path === `${dir}/packed-refs`));
}

function neededBy<T extends Change>({ kind, path }: T, { part }: InGitDir, missing: Missing<T> | undefined): T | undefined {
  if (missing === undefined || part === 'logs') return undefined;
  if (part === 'refs') return missing.object;
  return kind === 'delete' || COMMIT_GRAPH.test(path) ? (missing.name ?? missing.object) : undefined;
}

/** By path, what it says that it needs. */
function withoutNamed<T extends Change>(changes: readonly T[], lands: (change: T) => boolean, needed: ReadonlyMap<Bytes, readonly Bytes[]> | undefined): readonly Needing<T>[] {
  if (needed === undefined || needed.size === 0) return [];
  const left = new Map(changes.filter((change) => !lands(change)).map((change) => [change.path, change]));
  return changes.flatMap((change) => {
    const needs = needed.get(change.path)?.map((path) => left.get(path)).find((found) => found !== undefined);
    return needs === undefined || !lands(change) ? [] : [{ change, needs }];
  });
}
