import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { fromBuffer, joinBytes, toBuffer, type Bytes } from '../bytes.js';

const SETGID = 0o2000;

/**
 * What to tell where the files of a directory have, or get, a group that has no id
 * inside: the kernel refuses to copy them up, in words that explain nothing
 * ("Value too large for defined data type"). Null where all is well.
 */
export function foreignGroupNote(dir: Bytes, { uid, gid }: { readonly uid: number; readonly gid: number }): string | null {
  const stat = lstatSync(toBuffer(dir), { throwIfNoEntry: false });
  if (stat === undefined || stat.gid === gid) return null;
  if ((stat.mode & SETGID) === 0) return stat.uid === uid ? entriesNote(dir, stat.gid, gid) : null;
  return `files here get the group ${groupName(stat.gid)} and can't be changed in the sandbox: chgrp -R ${groupName(gid)} . && chmod g-s . (or start as root)`;
}

/** As many as tell what the others are like. */
const SOME = 32;

/** A checkout that root gave to its user, but not to the user's group. */
function entriesNote(dir: Bytes, foreign: number, gid: number): string | null {
  const isForeign = (name: Buffer): boolean => lstatSync(toBuffer(joinBytes(dir, fromBuffer(name))), { throwIfNoEntry: false })?.gid === foreign;
  if (!namesIn(dir).slice(0, SOME).some(isForeign)) return null;
  return `what belongs to the group ${groupName(foreign)} here can't be changed in the sandbox: chgrp -R ${groupName(gid)} . (or start as root)`;
}

function namesIn(dir: Bytes): readonly Buffer[] {
  try {
    return readdirSync(toBuffer(dir), { encoding: 'buffer' });
  } catch {
    return [];
  }
}

function groupName(gid: number): string {
  try {
    return new RegExp(`^([\\w.-]+):[^:]*:${gid}:`, 'm').exec(readFileSync('/etc/group', 'utf8'))?.[1] ?? String(gid);
  } catch {
    return String(gid);
  }
}
