import { constants } from 'node:fs';
import type { Stat } from '../../kernel/kernel.js';
import type { FileType } from '../change.js';

const KNOWN: ReadonlyMap<number, FileType> = new Map([
  [constants.S_IFREG, 'file'],
  [constants.S_IFDIR, 'dir'],
  [constants.S_IFLNK, 'symlink'],
  [constants.S_IFIFO, 'fifo'],
  [constants.S_IFSOCK, 'socket'],
  [constants.S_IFCHR, 'char'],
  [constants.S_IFBLK, 'block'],
]);
/** By the four bits of the type, which are all that `S_IFMT` covers: asked several times for each change. */
const TYPES: readonly FileType[] = Array.from({ length: 16 }, (_, bits) => KNOWN.get(bits << 12) ?? 'file');

/** What kind of object the stat describes. */
export function fileTypeOf(stat: Stat): FileType {
  return TYPES[(stat.mode & constants.S_IFMT) >> 12] ?? 'file';
}
