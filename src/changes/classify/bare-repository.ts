import { nameOf, parentOf, type Bytes } from '../../bytes.js';
import type { Change } from '../change.js';
import { foldPath } from './fold.js';

/** Each makes a git directory: with `commondir` the objects, the references and the configuration lie elsewhere. */
const SHAPES: readonly (readonly string[])[] = [['HEAD', 'objects', 'refs'], ['HEAD', 'commondir']];
/** Names of a bare repository that count, in lower case. */
export const BARE_NAMES: readonly string[] = ['head', 'objects', 'refs', 'config', 'commondir'];

const KNOWN = /\/\.git(?:\/modules\/.+|\/worktrees\/[^/]+(?:\/modules\/.+)?)?$/s;

/**
 * Directories that git would take for a bare repository once the changes have
 * landed (`HEAD` beside `objects` and `refs`, or beside `commondir`): a `config` in one runs
 * programs as soon as somebody's prompt asks git for the branch there. A real
 * `.git`, and those that it has for submodules and work trees, are judged by
 * name instead. `exists` tells of what the host has already.
 */
export function bareRepositories(changes: Iterable<Change>, exists: (path: Bytes) => boolean): ReadonlySet<Bytes> {
  const found = new Map<Bytes, Set<string>>();
  for (const change of changes) {
    if (change.ordinaryIn !== undefined || change.kind === 'delete' || KNOWN.test(parentOf(change.path))) continue;
    note(found, change);
  }
  const bare = new Set<Bytes>();
  for (const [dir, names] of found) {
    const has = (name: string): boolean => names.has(name) || exists(`${dir}/${name}` as Bytes);
    if (SHAPES.some((shape) => shape.every(has))) bare.add(dir);
  }
  return bare;
}

const WORKTREE = /\.git\/(?:.+\/)?worktrees\/[^/]+$/s;

/**
 * The git directories of work trees that go as a whole, as `git worktree remove`
 * has it: none of the agent's is left there, and I19 lands no part of that alone.
 */
export function goneWorktrees(changes: Iterable<Change>): ReadonlySet<Bytes> {
  const gone = new Set<Bytes>();
  for (const { kind, type, path } of changes) if (kind === 'delete' && type === 'dir' && path.includes('/worktrees/') && WORKTREE.test(path)) gone.add(path);
  return gone;
}

/** A new repository, a `HEAD` or `commondir` that makes one of what was there, or a `config` in one. */
function note(found: Map<Bytes, Set<string>>, change: Change): void {
  const folded = foldPath(nameOf(change.path));
  if (!BARE_NAMES.includes(folded)) return;
  const name = folded === 'head' ? 'HEAD' : folded;
  const dir = parentOf(change.path);
  const names = found.get(dir) ?? new Set();
  found.set(dir, names.add(name));
}
