import type { Bytes } from '../../bytes.js';
import { errnoOf } from '../../errors.js';
import type { Conflict } from '../change.js';
import { KernelError } from '../../kernel/kernel.js';
import { conflictText, refused } from '../plan/refusal.js';
import type { Refused } from '../result.js';

/**
 * I10. Errors that concern one path; whatever isn't here concerns the machine
 * (ENOSPC, EDQUOT, EIO, EROFS, ENOMEM, …) and takes everything back.
 */
const OF_ONE_PATH: ReadonlySet<string> = new Set([
  'EACCES', 'EPERM', 'EBUSY', 'ETXTBSY', 'EXDEV', 'ENAMETOOLONG', 'ELOOP', 'ENOTDIR', 'ENOENT', 'EEXIST', 'EISDIR',
  'ENOTEMPTY', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'EINVAL', 'ENODATA', 'ERANGE', 'E2BIG', 'ESTALE', 'EFBIG',
]);

/** True where going on with other paths is no use: the commit is taken back. What has no errno is a bug, and counts too. */
export function isMachineError(error: unknown): boolean {
  const code = errnoOf(error);
  return code === null || !(OF_ONE_PATH.has(code) || isCrowded(error));
}

/** A filesystem such as ext4 has a few kilobytes for the attributes of a file, however empty the disk is. */
function isCrowded(error: unknown): boolean {
  return error instanceof KernelError && error.code === 'ENOSPC' && /^[lf]?setxattr$/.test(error.syscall);
}

/** The kernel doesn't say which. */
const FORBIDDEN = 'it may not be changed there: it is another user’s, immutable or append-only (lsattr shows it), or its filesystem takes no such change';

const WORDS: Readonly<Record<string, string>> = {
  EXDEV: 'another filesystem is mounted there',
  // Of a file with several names, which is written in place; any other is exchanged, and goes on running.
  ETXTBSY: 'a program runs it at the moment, and it has several names',
};

/** The kernel's refusal in words. `missing`: what ENOENT, ENOTDIR and ELOOP mean here. */
export function refusalFor(path: Bytes, error: unknown, missing: Conflict = 'parent'): Refused {
  const code = errnoOf(error) ?? 'EIO';
  if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return conflicted(path, missing, code);
  if (code === 'EEXIST') return conflicted(path, 'created', code);
  if (code === 'EACCES' || code === 'EPERM') {
    return refused({ path }, 'permission', { text: code === 'EPERM' ? FORBIDDEN : conflictText('permission'), conflict: 'permission', code });
  }
  const text = (isCrowded(error) ? 'its extended attributes are too large for the filesystem there' : WORDS[code]) ?? (error instanceof Error ? error.message : String(error));
  return refused({ path }, 'failed', { text, code });
}

/** A refusal in the words of the conflict; `code` is the errno that showed it. */
export function conflicted(path: Bytes, conflict: Conflict, code?: string): Refused {
  return refused({ path }, 'conflict', { text: conflictText(conflict), conflict, ...(code === undefined ? {} : { code }) });
}
