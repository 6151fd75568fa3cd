import type { Bytes } from '../bytes.js';
import { errnoOf } from '../errors.js';
import { AT_FDCWD, type Kernel } from './kernel.js';

/**
 * What tells a directory again, over restarts too, where a device has another
 * number: inode and birth time. Null where there is none, or it can't be looked
 * at; and of the root, which is always there and which a container may have
 * anew after each start.
 */
export function objectAt(kernel: Kernel, dir: Bytes): string | null {
  if (dir === '/') return null;
  try {
    const stat = kernel.statOrNull(AT_FDCWD, dir);
    return stat === null ? null : `${stat.ino} ${stat.btimeNs}`;
  } catch (error) {
    if (errnoOf(error) === null) throw error;
    return null;
  }
}
