import { nameOf, parentOf, type Bytes } from '../../bytes.js';
import type { Change } from '../change.js';

const PARTS: ReadonlySet<string> = new Set(['HEAD', 'objects', 'refs']);
/** Names of a bare repository that count, in lower case. */
export const BARE_NAMES: readonly string[] = ['head', 'objects', 'refs', 'config'];

const KNOWN = /\/\.git(?:\/modules\/.+|\/worktrees\/[^/]+)?$/s;

/**
 * Directories that git would take for a bare repository once the changes have
 * landed (`HEAD`, `objects` and `refs` side by side): a `config` in one runs
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
    const whole = [...PARTS].every((name) => names.has(name) || exists(`${dir}/${name}` as Bytes));
    if (whole) bare.add(dir);
  }
  return bare;
}

/** A new repository, a `HEAD` that makes one of what was there, or a `config` in one. */
function note(found: Map<Bytes, Set<string>>, change: Change): void {
  const name = nameOf(change.path);
  if (!PARTS.has(name) && name !== 'config') return;
  const dir = parentOf(change.path);
  const names = found.get(dir) ?? new Set();
  found.set(dir, names.add(name));
}
