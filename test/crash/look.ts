/** What a host and its layer look like to somebody who misses nothing. */
import { constants, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { fromText, joinBytes, toBuffer, type Bytes } from '../../src/bytes.js';
import { AT_FDCWD } from '../../src/kernel/kernel.js';
import { native } from '../../src/kernel/native.js';
import type { World } from '../changes/world.js';

export function look(world: Pick<World, 'host' | 'upper'>, which: 'both' | 'host' = 'both'): string {
  const host = lines(world.host, 'host');
  return (which === 'host' ? host : [...host, ...lines(world.upper, 'layer')]).join('\n');
}

function lines(dir: string, shown: string): string[] {
  const inodes = new Map<bigint, string>();
  const found: string[] = [];
  const visit = (at: Bytes, name: string): void => {
    const path = toBuffer(at);
    const stat = lstatSync(path, { bigint: true });
    const type = Number(stat.mode) & constants.S_IFMT;
    const mode = (Number(stat.mode) & 0o7777).toString(8);
    const marks = native.xattrs(AT_FDCWD, at).map((xattr) => `${xattr.name}=${xattr.value.toString('hex')}`).join();
    if (type === constants.S_IFDIR) {
      found.push(`${name}/ ${mode} ${marks}`);
      for (const child of readdirSync(path, 'latin1').sort()) visit(joinBytes(at, child as Bytes), `${name}/${child}`);
    } else if (type === constants.S_IFLNK) found.push(`${name} -> ${readlinkSync(path)}`);
    else if (type === constants.S_IFREG) {
      // Links are told by the first name: inode numbers differ from run to run.
      const first = inodes.get(stat.ino) ?? name;
      inodes.set(stat.ino, first);
      found.push(`${name} ${mode} x${stat.nlink} =${first} ${timeOf(stat.mtimeNs)} ${content(path, stat.size)} ${marks}`);
    } else found.push(`${name} ${type.toString(8)} ${mode}`);
  };
  visit(fromText(dir), shown);
  return found;
}

/** What was written just now differs from run to run; what has a time of the scene must keep it. */
function timeOf(mtimeNs: bigint): string {
  return mtimeNs > 1_500_000_000_000_000_000n ? 'now' : `${mtimeNs}`;
}

function content(path: Buffer, size: bigint): string {
  return size > 1_000_000n ? `${size} bytes` : JSON.stringify(readFileSync(path, 'utf8'));
}
