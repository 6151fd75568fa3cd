import { joinBytes, nameOf, parentOf, type Bytes } from '../../bytes.js';
import type { Kernel } from '../../kernel/kernel.js';
import type { Change } from '../change.js';
import { readHostFile } from '../conflict/host-file.js';

const LONGEST_HEAD = 4096;

/**
 * What belongs together by what it says: a branch that is checked out without its
 * index, or that moves without it, would show all of the agent's commit as taken
 * back, and the user's next commit would do so. Added to `renames`: all or neither.
 */
export function withGitPairs(renames: ReadonlyMap<Bytes, Bytes>, changes: readonly Change[], kernel: Kernel): ReadonlyMap<Bytes, Bytes> {
  const indexes = changes.filter(({ path, type }) => type === 'file' && path.endsWith('/index') && /\.git(\/|$)/.test(parentOf(path)));
  if (indexes.length === 0) return renames;
  const taken = new Set([...renames].flat());
  const paths = new Set(changes.map(({ path }) => path));
  const pairs = indexes.filter(({ path }) => !taken.has(path)).flatMap(({ path: index }) => {
    const dir = parentOf(index);
    const partners = [joinBytes(dir, 'HEAD' as Bytes), ...branchOf(kernel, dir)];
    return partners.filter((path) => paths.has(path) && !taken.has(path)).map((path) => [path, index] as const);
  });
  return pairs.length === 0 ? renames : new Map([...renames, ...pairs]);
}

/** Where the branch is kept that the host has checked out now: in the git directory itself, or in that of the main work tree. */
function branchOf(kernel: Kernel, dir: Bytes): readonly Bytes[] {
  const name = /^ref: (refs\/heads\/[^\n]+)\n?$/.exec(readHostFile(kernel, joinBytes(dir, 'HEAD' as Bytes), LONGEST_HEAD) ?? '')?.[1];
  if (name === undefined) return [];
  const main = nameOf(parentOf(dir)) === 'worktrees' ? parentOf(parentOf(dir)) : dir;
  return [joinBytes(main, name as Bytes)];
}
