import { constants, readFileSync, readSync, writeSync } from 'node:fs';
import type { Bytes } from '../bytes.js';
import { nameOf, parentOf, toText } from '../bytes.js';
import { AgentfwError, errnoOf } from '../errors.js';
import { AT_FDCWD, RENAME, type Fd, type Kernel } from './kernel.js';

/**
 * Opens a file of the store, which is a regular one or none of ours: a FIFO in
 * its place would have everybody wait for a writer, a device does as it likes.
 */
export function openOwn(kernel: Kernel, path: Bytes, flags: number, mode?: number): Fd {
  const fd = openPlain(kernel, path, flags, mode);
  if (fd !== null && (kernel.stat(fd, '' as Bytes).mode & constants.S_IFMT) === constants.S_IFREG) return fd;
  if (fd !== null) kernel.close(fd);
  throw new AgentfwError('AFW_STORE_FILE', `${toText(path)} is not a regular file.`, { hint: 'agentfw never makes one like that: move it away' });
}

/** What the kernel says of a symlink, a directory to write to, and a socket. */
const NOT_PLAIN: ReadonlySet<string> = new Set(['ELOOP', 'EISDIR', 'ENXIO']);

/** Null for these. */
function openPlain(kernel: Kernel, path: Bytes, flags: number, mode: number | undefined): Fd | null {
  try {
    return kernel.open(AT_FDCWD, path, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK, mode);
  } catch (error) {
    if (!NOT_PLAIN.has(errnoOf(error) ?? '')) throw error;
    return null;
  }
}

/** The whole of a regular file; null when there is none. A symlink is an error. */
export function readWhole(kernel: Kernel, path: Bytes): Buffer | null {
  if (kernel.statOrNull(AT_FDCWD, path) === null) return null;
  const fd = openOwn(kernel, path, constants.O_RDONLY);
  try {
    return readFileSync(fd);
  } finally {
    kernel.close(fd);
  }
}

/** All that is left to read of it, piece by piece. */
export function* piecesOf(fd: Fd): Generator<Buffer> {
  for (;;) {
    const piece = Buffer.allocUnsafe(128 * 1024);
    const length = readSync(fd, piece);
    if (length === 0) return;
    yield piece.subarray(0, length);
  }
}

/**
 * Replaces a file so that after a crash it has the old bytes or the new ones:
 * temporary file, fsync, rename, fsync of the directory.
 */
export function replaceFile(kernel: Kernel, path: Bytes, content: string | Uint8Array): void {
  const name = nameOf(path);
  const dir = kernel.open(AT_FDCWD, parentOf(path), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const temporary = `.${name}.new` as Bytes;
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
    const fd = kernel.open(dir, temporary, flags, 0o600);
    try {
      writeAll(fd, content);
      kernel.fsync(fd);
    } finally {
      kernel.close(fd);
    }
    kernel.rename(dir, temporary, dir, name, RENAME.replace);
    kernel.fsync(dir);
  } finally {
    kernel.close(dir);
  }
}

/** Writes all of it; a short write goes on where it stopped. */
export function writeAll(fd: number, content: string | Uint8Array): void {
  const bytes = typeof content === 'string' ? Buffer.from(content, 'utf8') : content;
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
}
