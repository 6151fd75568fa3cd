import { createHash } from 'node:crypto';
import type { Bytes } from '../../bytes.js';
import type { Fd, Kernel } from '../../kernel/kernel.js';
import { isOverlayMark, isSystemLabel } from '../apply/duplicate.js';

/** Extended attributes and ACLs of one object, short: '' for none. Marks of the overlay and labels of the system are nobody's change. */
export function attributesOf(kernel: Kernel, at: Fd, name: Bytes): string {
  const own = kernel.xattrs(at, name).filter((xattr) => !isOverlayMark(xattr.name) && !isSystemLabel(xattr.name));
  if (own.length === 0) return '';
  const hash = createHash('sha256');
  for (const xattr of own) hash.update(`${xattr.name}\0${xattr.value.length}\0`, 'latin1').update(xattr.value);
  return hash.digest('hex').slice(0, 32);
}
