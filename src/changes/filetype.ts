import { constants } from 'node:fs';
import type { Stat } from '../kernel/kernel.js';
import type { FileType } from './change.js';

const TYPES: ReadonlyMap<number, FileType> = new Map([
  [constants.S_IFREG, 'file'],
  [constants.S_IFDIR, 'dir'],
  [constants.S_IFLNK, 'symlink'],
  [constants.S_IFIFO, 'fifo'],
  [constants.S_IFSOCK, 'socket'],
  [constants.S_IFCHR, 'char'],
  [constants.S_IFBLK, 'block'],
]);

/** What kind of object the stat describes. */
export function fileTypeOf(stat: Stat): FileType {
  return TYPES.get(stat.mode & constants.S_IFMT) ?? 'file';
}
