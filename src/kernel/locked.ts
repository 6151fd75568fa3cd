import { constants } from 'node:fs';
import type { Bytes } from '../bytes.js';
import { errnoOf } from '../errors.js';
import { AT_FDCWD, O_PATH, RESOLVE, type Fd, type Kernel } from './kernel.js';

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const STRAIGHT = RESOLVE.noSymlinks | RESOLVE.noMagiclinks;

/**
 * A layer's top directory by its absolute path. The agent may have taken its
 * permissions away: then a descriptor that opens nothing in it until they are lent.
 */
export function openLocked(kernel: Kernel, path: Bytes): Fd {
  try {
    return kernel.open(AT_FDCWD, path, DIRECTORY, 0, STRAIGHT);
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error;
  }
  return kernel.open(AT_FDCWD, path, DIRECTORY | O_PATH, 0, STRAIGHT);
}
