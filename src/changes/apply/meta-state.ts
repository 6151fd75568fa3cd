import type { Xattr } from '../../kernel/kernel.js';
import type { Meta, Step } from '../plan/step.js';

type Metas = NonNullable<Step['meta']>;

const ALL = [0o1777];
/** one by one where a mask of an ACL goes before or after the mode */
const CLASSES = [0o1707, 0o070];
const SPECIAL = 0o6000;
const SETGID = 0o2000;
const OWNER_ACCESS = 0o600;

/**
 * What `setMeta` may have left on its way from one to the other, wherever it was stopped. Anything else is
 * somebody's since: it stays. `written`: with what `writeInPlace` lends itself for the moment of opening, and a write takes away.
 */
export function isBetween(now: Meta, metas: Metas, written = false): boolean {
  const { old, fresh } = metas;
  const sides = [old, fresh, ...(written ? [writtenFrom(old), writtenFrom(fresh)] : [])];
  const isOfOne = (part: (meta: Meta) => number | string | undefined): boolean => sides.some((side) => part(side) === part(now));
  if (!isOfOne(({ uid }) => uid) || !isOfOne(({ gid }) => gid)) return false;
  const isMasked = [old, fresh].some(({ xattrs }) => xattrs.some(({ name }) => name === ACL));
  if (!(isMasked ? CLASSES : ALL).every((bits) => isOfOne(({ mode }) => mode & bits)) || !isSpecialBetween(now, metas, written)) return false;
  const names = [old, fresh, now].flatMap(({ xattrs }) => xattrs.map(({ name }) => name));
  return [...new Set(names)].every((name) => isOfOne(({ xattrs }) => textOf(xattrs.find((xattr) => xattr.name === name))));
}

function writtenFrom({ mode, xattrs, ...owner }: Meta): Meta {
  return { ...owner, mode: mode | OWNER_ACCESS, xattrs: xattrs.filter(({ name }) => name !== 'security.capability') };
}

/** A change of owner takes both bits away, a group that isn't the caller's that of the group, and a write any. */
function isSpecialBetween({ mode }: Meta, { old, fresh }: Metas, written: boolean): boolean {
  const [now, before, after] = [mode & SPECIAL, old.mode & SPECIAL, fresh.mode & SPECIAL];
  if (now === before || now === after || now === (after & ~SETGID)) return true;
  return written ? (now & ~(before | after)) === 0 : now === 0 && (old.uid !== fresh.uid || old.gid !== fresh.gid);
}

const ACL = 'system.posix_acl_access';
const ACL_HEAD = 4;
const ACL_ENTRY = 8;
/** owner, mask, others: these are in the mode as well, and a change of that is one of them */
const IN_MODE = [0x01, 0x10, 0x20];

function textOf(xattr: Xattr | undefined): string | undefined {
  if (xattr?.name !== ACL) return xattr?.value.toString('latin1');
  const value = Buffer.from(xattr.value);
  for (let at = ACL_HEAD; at + ACL_ENTRY <= value.length; at += ACL_ENTRY) {
    if (IN_MODE.includes(value.readUInt16LE(at))) value.writeUInt16LE(0, at + 2);
  }
  return value.toString('latin1');
}
