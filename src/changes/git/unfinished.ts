import { isWithin, normalised, parentOf, type Bytes } from '../../bytes.js';
import type { Kernel } from '../../kernel/kernel.js';
import type { Change } from '../change.js';
import { readHostFile } from '../conflict/host-file.js';

/** By path, the others without which it doesn't land. */
type Need = readonly [Bytes, readonly Bytes[]];

/** A merge, rebase, pick, revert or bisection that is not finished, in a git directory. */
const UNFINISHED = /^(.*\.git(?:\/(?:modules|worktrees)\/.+?)??)\/(?:(?:MERGE|AUTO|REBASE|CHERRY_PICK|REVERT|BISECT)_[A-Z]+|(?:rebase-merge|rebase-apply|sequencer)(?:\/.*)?)$/s;

/** The git directory whose unfinished merge, rebase or the like a path is part of; null: it is of none. */
export function unfinishedIn(path: Bytes): Bytes | null {
  // Tried on each of a million paths, the pattern alone would take seconds.
  return path.includes('.git/') ? ((UNFINISHED.exec(path)?.[1] ?? null) as Bytes | null) : null;
}

/**
 * It speaks of one index and one `HEAD`: beside others the next commit would be a
 * merge in which the other side's work is taken back, and the end of a rebase would
 * set the branch to where the agent had it.
 */
export function unfinishedNeeds(changes: readonly Change[]): Need[] {
  return changes.flatMap(({ path }) => {
    const dir = unfinishedIn(path);
    return dir === null ? [] : [[path, [`${dir}/index` as Bytes, `${dir}/HEAD` as Bytes]] as const];
  });
}

const LONGEST_POINTER = 8192;
const ADMIN = /^(.*\.git\/(?:.+\/)?worktrees\/[^/]+)\//s;
/** Without one of these it is no git directory any more. */
const KEYSTONES = ['commondir', 'HEAD', 'gitdir'] as const;

/** The git directory of a work tree or a submodule goes as a whole, and not before the `.git` that leads to it: what the host has there would be in no repository. */
export function removalNeeds(changes: readonly Change[], kernel: Kernel): Need[] {
  const gone = changes.filter(({ kind, type }) => kind === 'delete' && type !== 'dir');
  const paths = new Set(gone.map(({ path }) => path));
  const pointers = gone.filter(({ path }) => path.endsWith('/.git')).flatMap(({ path }) => {
    const to = /^gitdir: ([^\n]+)\n?$/.exec(readHostFile(kernel, path, LONGEST_POINTER) ?? '')?.[1];
    return to === undefined ? [] : [{ path, dir: normalised(to.startsWith('/') ? to : `${parentOf(path)}/${to}`) }];
  });
  return gone.flatMap(({ path }) => {
    const admin = ADMIN.exec(path)?.[1];
    const own = admin === undefined ? [] : KEYSTONES.map((name) => `${admin}/${name}` as Bytes);
    const needed = [...own, ...pointers.filter(({ dir }) => isWithin(path, dir)).map((pointer) => pointer.path)].filter((one) => one !== path && paths.has(one));
    return needed.length === 0 ? [] : [[path, needed] as const];
  });
}
