import type { Bytes } from '../../bytes.js';

/** `refs`: what is checked out, and the names of commits. `logs`: the names they had. */
export type GitPart = 'objects' | 'refs' | 'logs';

/** `dir` is the absolute path of the git directory, `part` what of it a path is. */
export interface InGitDir {
  readonly dir: Bytes;
  readonly part: GitPart;
}

/** What in a git directory names objects. */
export const NAMING = ['HEAD', 'index', 'packed-refs', 'refs', 'reftable', 'logs', 'worktrees'] as readonly string[] as readonly Bytes[];

const IN_GIT_DIR = new RegExp(`^(.*/\\.git(?:/modules/.+?)?)/(objects|${NAMING.join('|')})(?:/|$)`, 's');
/** A repository without a work tree is known by its objects. */
const OBJECT = /^(.*)\/objects\/(?:[0-9a-f]{2}|pack|info)(?:\/|$)/s;

/**
 * Which of these lie in a repository without a work tree: its directories.
 * `isRepository` tells those from others that have `objects/ab` in them.
 */
export function bareIn<T extends { readonly path: Bytes }>(changes: Iterable<T>, isRepository: (dir: Bytes, change: T) => boolean): ReadonlySet<Bytes> {
  const asked = new Map<Bytes, boolean>();
  for (const change of changes) {
    const dir = (IN_GIT_DIR.test(change.path) ? undefined : OBJECT.exec(change.path)?.[1]) as Bytes | undefined;
    if (dir !== undefined && !asked.has(dir)) asked.set(dir, isRepository(dir, change));
  }
  return new Set([...asked].filter(([, is]) => is).map(([dir]) => dir));
}

/** Null: it is of no git directory, or of what names no object there (a hook, the configuration). */
export function gitPartOf(path: Bytes, bare: ReadonlySet<Bytes>): InGitDir | null {
  const [, dir, name] = IN_GIT_DIR.exec(path) ?? inBare(path, bare) ?? [];
  if (dir === undefined || name === undefined) return null;
  return { dir: dir as Bytes, part: name === 'objects' || name === 'logs' ? name : 'refs' };
}

function inBare(path: Bytes, bare: ReadonlySet<Bytes>): readonly string[] | null {
  for (const dir of bare) {
    const name = path.startsWith(`${dir}/`) ? path.slice(dir.length + 1).split('/', 1)[0] : undefined;
    if (name !== undefined && (name === 'objects' || NAMING.includes(name as Bytes))) return [path, dir, name];
  }
  return null;
}
