import { isWithin, joinBytes, nameOf, parentOf, type Bytes } from '../../bytes.js';
import type { Kernel } from '../../kernel/kernel.js';
import type { Layer } from '../../sandbox/sandbox.js';
import type { Change } from '../change.js';
import { readHostFile } from '../conflict/host-file.js';
import { packedRefs } from './packed-ref.js';

const LONGEST_HEAD = 4096;

/** Both sides of a change can be read. */
export interface Seeing {
  readonly kernel: Kernel;
  readonly layers: readonly Layer[];
}

/**
 * By a `HEAD` that the agent changed, where the branch is that it names: without
 * that the host would have a branch without a commit checked out. The branch
 * itself can do without being checked out.
 */
export function checkoutNeeds(changes: readonly Change[], seeing: Seeing): ReadonlyMap<Bytes, readonly Bytes[]> {
  const heads = changes.filter(({ path, type, upper }) => path.endsWith('/HEAD') && type === 'file' && upper !== null && /\.git(\/|$)/.test(parentOf(path)) && !path.includes('/logs/'));
  if (heads.length === 0) return NONE;
  const kinds = new Map(changes.map(({ path, kind }) => [path, kind]));
  return new Map(heads.flatMap((head) => {
    const dir = parentOf(head.path);
    const isNew = kinds.get(dir) === 'add';
    const needed = neededBy(head, seeing, kinds).filter((path) => kinds.has(path) && !(isNew && isWithin(path, dir)));
    if (needed.length === 0) return [];
    // A git directory without what is checked out in it is none: a new one stays as a whole.
    const places = isNew ? changes.map(({ path }) => path).filter((path) => isWithin(path, dir)) : [head.path];
    return places.map((path) => [path, needed] as const);
  }));
}

const NONE: ReadonlyMap<Bytes, readonly Bytes[]> = new Map();

function neededBy({ path, at }: Change, { kernel, layers }: Seeing, kinds: ReadonlyMap<Bytes, Change['kind']>): readonly Bytes[] {
  const upper = joinBytes(layers[at.layer]?.dir ?? ('/' as Bytes), 'upper' as Bytes);
  const name = /^ref: (refs\/heads\/[^\n]+)\n?$/.exec(readHostFile(kernel, joinBytes(upper, at.path), LONGEST_HEAD) ?? '')?.[1] as Bytes | undefined;
  if (name === undefined) return [];
  const dir = parentOf(path);
  // Of a further work tree the branches are in the git directory of the main one.
  const main = nameOf(parentOf(dir)) === 'worktrees' ? parentOf(parentOf(dir)) : dir;
  const [branch, packed] = [joinBytes(main, name), joinBytes(main, 'packed-refs' as Bytes)];
  const kind = kinds.get(branch);
  if (kind !== undefined) return kind === 'delete' ? [branch, packed] : [branch];
  const isHosts = readHostFile(kernel, branch, LONGEST_HEAD) !== null || packedRefs(kernel)(branch).value !== null;
  return isHosts ? [] : [packed];
}
