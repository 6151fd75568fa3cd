import { constants } from 'node:fs';
import { fromText, joinBytes, parentOf, type Bytes } from '../bytes.js';
import { hostFacts } from '../kernel/facts.js';
import { AT_FDCWD, type Kernel } from '../kernel/kernel.js';
import { trackedPaths } from './git-index.js';
import { projectOf, sharedGitDirs } from './program.js';
import type { SandboxRecord } from './sandbox.js';

const LONGEST_INDEX = 256 << 20;

/**
 * Files of the project that git tracks and the view hides: to git inside they
 * look deleted. They are never part of a change. A stand-in looks modified.
 */
export function hiddenTracked(kernel: Kernel, { cwd, mounts }: Pick<SandboxRecord, 'cwd' | 'mounts'>): readonly Bytes[] {
  const hidden = new Set(mounts.flatMap(({ path, decision }) => (decision === 'hide' || decision === 'stand-in' ? [path] : [])));
  const project = projectOf(cwd, []);
  const isOurs = [...hidden].some((path) => path.startsWith(`${project}/`));
  const index = isOurs ? indexOf(kernel, project) : null;
  if (index === null) return [];
  return (trackedPaths(index) ?? []).map((path) => joinBytes(project, path)).filter((path) => isBelow(path, hidden)).sort();
}

function isBelow(path: Bytes, hidden: ReadonlySet<Bytes>): boolean {
  for (let at = path; at !== '/'; at = parentOf(at)) if (hidden.has(at)) return true;
  return false;
}

function indexOf(kernel: Kernel, project: Bytes): Buffer | null {
  const own = joinBytes(project, fromText('.git'));
  const dir = hostFacts.lstat(own)?.type === 'dir' ? own : sharedGitDirs(project)[0];
  const file = dir === undefined ? null : joinBytes(dir, fromText('index'));
  const stat = file === null ? null : kernel.statOrNull(AT_FDCWD, file);
  if (file === null || stat === null || (stat.mode & constants.S_IFMT) !== constants.S_IFREG || stat.size > LONGEST_INDEX) return null;
  const into = Buffer.alloc(stat.size);
  return into.subarray(0, kernel.readFile(AT_FDCWD, file, into));
}
