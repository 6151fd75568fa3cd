import { fromText, isWithin, parentOf, type Bytes } from '../../bytes.js';
import type { Change } from '../change.js';
import { foldPath } from './fold.js';

/**
 * Files of the workspace that git's configuration on the host runs or reads already, such
 * as hooks in a `core.hooksPath`: by path, why. A change of one needs no change of the
 * configuration to take effect, and its name tells nothing.
 */
export interface NamedByGit {
  /** a directory stands for all in it */
  readonly dirs: ReadonlyMap<Folded, string>;
  readonly files: ReadonlyMap<Folded, string>;
}

/** A path as the gate compares names: a filesystem may take several for one. */
export type Folded = Bytes & { readonly folded: true };

/** Why git on the host would run or read it without further ado; null when it would not. */
export function gitNames({ dirs, files }: NamedByGit, { path, type }: Pick<Change, 'path' | 'type'>): string | null {
  if (dirs.size + files.size === 0) return null;
  const own = folded(path);
  const file = files.get(own);
  if (file !== undefined) return file;
  for (const [dir, reason] of dirs) if (isWithin(own, dir)) return reason;
  // A link above brings in files that no change names.
  if (type !== 'symlink') return null;
  for (const [named, reason] of [...dirs, ...files]) if (isWithin(named, own)) return reason;
  return null;
}

/** True when it names something in the directory, or all of it. */
export function gitNamesIn({ dirs, files }: NamedByGit, dir: Bytes): boolean {
  if (dirs.size + files.size === 0) return false;
  const own = folded(dir);
  for (const named of dirs.keys()) if (isWithin(own, named) || parentOf(named) === own) return true;
  for (const file of files.keys()) if (parentOf(file) === own) return true;
  return false;
}

/** The path as names are compared here: HFS+ and NTFS, where git commands run too, take more alike than case. */
export function folded(path: Bytes): Folded {
  return fromText(foldPath(path)) as Folded;
}
