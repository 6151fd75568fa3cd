import { createHash } from 'node:crypto';
import type { Bytes } from '../bytes.js';
import type { Fd, Kernel, Xattr } from './kernel.js';

/** I8. Both families: the agent of a root-mode sandbox can set the user's. */
export function isOverlayMark(name: Bytes): boolean {
  return name.startsWith('user.overlay.') || name.startsWith('trusted.overlay.');
}

/** Labels are the system's own matter: it sets them itself, and may forbid us to. */
const SYSTEM = /^(security\.(?!capability$)|trusted\.)/;

/** `trusted.`, and `security.` but for file capabilities (xattr(7)). */
export function isSystemLabel(name: Bytes): boolean {
  return SYSTEM.test(name);
}

/** Extended attributes and ACLs that people and programs give an object: no marks of the overlay, no labels of the system. */
export function ownAttributes(kernel: Kernel, at: Fd, name: Bytes): Xattr[] {
  return kernel.xattrs(at, name).filter((xattr) => !isOverlayMark(xattr.name) && !isSystemLabel(xattr.name));
}

/** These of one object, short: '' for none. */
export function attributesOf(kernel: Kernel, at: Fd, name: Bytes): string {
  const own = ownAttributes(kernel, at, name);
  if (own.length === 0) return '';
  const hash = createHash('sha256');
  for (const xattr of own) hash.update(`${xattr.name}\0${xattr.value.length}\0`, 'latin1').update(xattr.value);
  return hash.digest('hex').slice(0, 32);
}
