import { lstatSync, type Stats } from 'node:fs';
import { joinBytes, toBuffer, type Bytes } from '../bytes.js';

/** What belongs to nobody in particular is no project, whatever lies in it. */
const NO_PROJECT: ReadonlySet<string> = new Set(['/', '/tmp', '/var/tmp', '/run', '/dev/shm']);

/**
 * A repository that says where the project of a working directory in it begins. It belongs to the
 * user, to root or to the owner of the working directory: where several users may write, each of
 * them can make a `.git`, and what `./` of every rule means would be theirs to say.
 */
export function holdsRepository(dir: Bytes, cwd: Bytes): boolean {
  if (NO_PROJECT.has(dir)) return false;
  const git = statOf(joinBytes(dir, '.git' as Bytes));
  return git !== null && isTheirs(git, cwd);
}

/** `name` lies where anybody may put something, and is neither the user's nor root's nor of who owns the working directory. */
export function isPlanted(dir: Bytes, name: Bytes, cwd: Bytes): boolean {
  const found = statOf(joinBytes(dir, name));
  return found !== null && ((statOf(dir)?.mode ?? 0) & OTHERS_WRITE) !== 0 && !isTheirs(found, cwd);
}

const OTHERS_WRITE = 0o002;

function isTheirs({ uid }: Stats, cwd: Bytes): boolean {
  return [0, process.geteuid?.(), statOf(cwd)?.uid].includes(uid);
}

function statOf(path: Bytes): Stats | null {
  try {
    return lstatSync(toBuffer(path), { throwIfNoEntry: false }) ?? null;
  } catch {
    return null; // in a directory that can't be searched
  }
}
