import { isWithin, parentOf, type Bytes } from '../../bytes.js';
import type { SandboxRecord } from '../../sandbox/sandbox.js';
import type { Change, Conflict } from '../change.js';

/** What a sandbox was not shown of the host, and its consequences for what it seems to have changed. Pure. */
export interface Blindness {
  /** at or below a hidden path */
  readonly isHidden: (path: Bytes, dir?: Bytes) => boolean;
  /** some names in a directory are hidden, and others aren't */
  readonly hidesIn: (dir: Bytes) => boolean;
  /** directories above hidden things that a deletion or replacement seemed to take along */
  readonly above: Set<Bytes>;
}

/** What the record of a sandbox says was hidden in its view. */
export function blindnessOf({ mounts }: Pick<SandboxRecord, 'mounts'>): Blindness {
  const hidden = new Set(mounts.flatMap(({ path, decision }) => (decision === 'hide' || decision === 'stand-in' ? [path] : [])));
  // Changes come directory by directory, each near the one before.
  let last: Seen = { dir: '/' as Bytes, under: hidden.has('/' as Bytes) ? ('/' as Bytes) : null };
  const isHidden = (path: Bytes, dir: Bytes = parentOf(path)): boolean => {
    if (hidden.size === 0) return false;
    if (dir !== last.dir) last = { dir, under: hiderOf(dir, hidden, last) };
    return last.under !== null || hidden.has(path);
  };
  let dirs: ReadonlySet<Bytes> | null = null;
  const hidesIn = (dir: Bytes): boolean => (dirs ??= new Set([...hidden].map(parentOf))).has(dir);
  return { isHidden, hidesIn, above: new Set() };
}

interface Seen {
  readonly dir: Bytes;
  /** the hidden path that it is or lies below */
  readonly under: Bytes | null;
}

/** The nearest of `paths` that `dir` is or lies below. From what is known of another directory, only the last names of a deep one are looked at. */
function hiderOf(dir: Bytes, paths: ReadonlySet<Bytes>, known: Seen): Bytes | null {
  const { under } = known;
  if (under !== null && isWithin(dir, under)) return under;
  for (let at = dir; ; at = parentOf(at)) {
    if (paths.has(at)) return at;
    if (at === '/' || (under === null && isWithin(known.dir, at))) return null;
  }
}

/**
 * Leaves out what comes along with a deleted, replaced or renamed directory
 * although the sandbox never saw it: nobody inside can have meant it.
 */
export function withoutHidden(changes: Change[], { isHidden, above }: Blindness): Change[] {
  const isUnseen = (change: Change): boolean => change.implied && isHidden(change.from ?? change.basePath ?? change.path);
  if (!changes.some(isUnseen)) return changes;
  return changes.filter((change) => {
    if (!isUnseen(change)) return true;
    for (let at = parentOf(change.path); at !== '/' && !above.has(at); at = parentOf(at)) above.add(at);
    return false;
  });
}

/** What a sandbox can't have seen stands in the way of what it did there. */
export function hiddenConflict(change: Change, { isHidden, above }: Blindness): Conflict | null {
  if (change.base === null) return null;
  const takesAway = change.kind === 'delete' || change.kind === 'type' || change.kind === 'rename' || change.opaque;
  if (takesAway && above.has(change.path)) return 'hidden';
  const other = change.from ?? change.basePath;
  return (other === undefined || other === null ? isHidden(change.path, change.ordinaryIn) : isHidden(other)) ? 'hidden' : null;
}
