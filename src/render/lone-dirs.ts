import { parentOf, type Bytes } from '../bytes.js';
import type { Change } from '../changes/change.js';

/** Directories that come or go, with why a patch can't say so: git makes one for the files in it, and removes it with the last of them. */
export function loneDirs(changes: readonly Change[], parts: ReadonlyMap<Change, readonly Change[]> | undefined): ReadonlyMap<Bytes, string> {
  const [come, gone] = [new Set<Bytes>(), new Set<Bytes>()];
  const single = function* (): Generator<Change> {
    for (const change of changes) yield* parts?.get(change) ?? [change];
  };
  for (const { kind, type, path } of single()) {
    if (type !== 'dir') continue;
    if (kind === 'add' || kind === 'type') come.add(path);
    if (kind === 'delete') gone.add(path);
  }
  if (come.size + gone.size === 0) return new Map();
  for (const { kind, type, path } of single()) {
    if (type !== 'file' && type !== 'symlink') continue;
    const dirs = kind === 'delete' ? gone : come;
    for (let at = parentOf(path); dirs.delete(at); ) at = parentOf(at);
  }
  return new Map([...[...come].map((path) => [path, 'git knows no directory without files'] as const), ...[...gone].map((path) => [path, 'git apply leaves directories without files'] as const)]);
}
