import { joinBytes, nameOf, parentOf, type Bytes } from '../bytes.js';
import type { Change } from './change.js';

const HEAD = 'HEAD' as Bytes;

/**
 * What belongs together by what it says: a branch that is checked out without its
 * index would show all of the agent's commit as taken back, and the user's next
 * commit would do so. Added to `renames`: both or neither.
 */
export function withGitPairs(renames: ReadonlyMap<Bytes, Bytes>, changes: readonly Change[]): ReadonlyMap<Bytes, Bytes> {
  const heads = changes.filter(({ path, type }) => type === 'file' && path.endsWith('/HEAD') && nameOf(path) === HEAD);
  if (heads.length === 0) return renames;
  const taken = new Set([...renames].flat());
  const paths = new Set(changes.map(({ path }) => path));
  const pairs = heads.flatMap(({ path }) => {
    const index = joinBytes(parentOf(path), 'index' as Bytes);
    return paths.has(index) && !taken.has(path) && !taken.has(index) ? [[path, index] as const] : [];
  });
  return pairs.length === 0 ? renames : new Map([...renames, ...pairs]);
}
