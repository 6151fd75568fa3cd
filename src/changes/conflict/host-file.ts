import { constants } from 'node:fs';
import { nameOf, parentOf, type Bytes } from '../../bytes.js';
import { isRefusal } from '../../errors.js';
import { AT_FDCWD, RESOLVE, type Kernel } from '../../kernel/kernel.js';

/** A regular file of the host, one char per byte, reached through no symlink; null: there is none, it is longer, or it can't be read. */
export function readHostFile(kernel: Kernel, file: Bytes, longest: number): string | null {
  try {
    const dir = kernel.open(AT_FDCWD, parentOf(file), constants.O_RDONLY | constants.O_DIRECTORY, 0, RESOLVE.noSymlinks | RESOLVE.noMagiclinks);
    try {
      const name = nameOf(file);
      const stat = kernel.statOrNull(dir, name);
      if (stat === null || (stat.mode & constants.S_IFMT) !== constants.S_IFREG || stat.size > longest) return null;
      const into = Buffer.alloc(stat.size);
      return into.toString('latin1', 0, kernel.readFile(dir, name, into));
    } finally {
      kernel.close(dir);
    }
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return null;
  }
}
