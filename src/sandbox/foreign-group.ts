import { lstatSync, readFileSync } from 'node:fs';
import { toBuffer, type Bytes } from '../bytes.js';

const SETGID = 0o2000;

/**
 * What to tell where the files of a directory get a group that has no id
 * inside: the kernel refuses to copy them up, in words that explain nothing
 * ("Value too large for defined data type"). Null where all is well.
 */
export function foreignGroupNote(dir: Bytes, gid: number): string | null {
  const stat = lstatSync(toBuffer(dir), { throwIfNoEntry: false });
  if (stat === undefined || stat.gid === gid || (stat.mode & SETGID) === 0) return null;
  return `files here get the group ${groupName(stat.gid)} and can't be changed in the sandbox: chgrp -R ${groupName(gid)} . && chmod g-s . (or start as root)`;
}

function groupName(gid: number): string {
  try {
    return new RegExp(`^([\\w.-]+):[^:]*:${gid}:`, 'm').exec(readFileSync('/etc/group', 'utf8'))?.[1] ?? String(gid);
  } catch {
    return String(gid);
  }
}
