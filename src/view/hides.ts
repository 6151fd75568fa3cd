import type { Bytes } from '../bytes.js';
import { isWithin, joinBytes, nameOf, parentOf } from '../bytes.js';
import { canBeUpper } from './fstypes.js';
import type { Mount, MountTable } from './mountinfo.js';
import { mountOf } from './mountinfo.js';
import type { Hidden, HostFacts } from './plan.js';

/**
 * Every path under which the same object can be reached: bind mounts and
 * other mounts of its filesystem show it again. What a hide hides must be
 * hidden under all of them. A mount whose root lies below the object shows a
 * part of it, and is named as a whole.
 */
export function aliasesOf(table: MountTable, path: Bytes): readonly Bytes[] {
  const home = mountOf(table, path);
  if (home === null) return [path];
  const inside = insideFilesystem(home, path);
  const found = new Set<Bytes>([path]);
  for (const mount of table.at.values()) {
    if (mount.device !== home.device) continue;
    if (isWithin(inside, mount.root)) found.add(outside(mount, inside, table) ?? path);
    else if (isWithin(mount.root, inside)) found.add(mount.point);
  }
  return [...found].sort();
}

/** A path's place in its filesystem. */
function insideFilesystem(mount: Mount, path: Bytes): Bytes {
  const rest = path === mount.point ? '' : mount.point === '/' ? path.slice(1) : path.slice(mount.point.length + 1);
  return rest === '' ? mount.root : joinBytes(mount.root, rest as Bytes);
}

/** Where a mount shows a place of its filesystem; null when another mount covers that. */
function outside(mount: Mount, inside: Bytes, table: MountTable): Bytes | null {
  const rest = inside === mount.root ? '' : inside.slice(mount.root === '/' ? 1 : mount.root.length + 1);
  const path = rest === '' ? mount.point : joinBytes(mount.point, rest as Bytes);
  const seen = mountOf(table, path);
  return seen?.id === mount.id ? path : null;
}

/**
 * Every place of what is asked for, outermost only: what lies below another
 * hidden path needs no hide of its own.
 */
export function hiddenPaths(table: MountTable, facts: HostFacts, asked: readonly Hidden[]): readonly Hidden[] {
  const found = new Map<Bytes, Hidden>();
  // Most lie in a few directories, and each look goes from the root down.
  const real = new Map<Bytes, Bytes | null>();
  const realOf = (dir: Bytes): Bytes | null => {
    const known = real.get(dir);
    if (known !== undefined) return known;
    const found = facts.realpath(dir);
    real.set(dir, found);
    return found;
  };
  const places = placesIn(table);
  for (const hidden of asked) {
    const parent = hidden.path === '/' ? hidden.path : realOf(parentOf(hidden.path));
    if (parent === null) continue;
    for (const path of hidden.path === '/' ? aliasesOf(table, parent) : places(parent, nameOf(hidden.path))) {
      if (!found.has(path)) found.set(path, { ...hidden, path, absent: hidden.absent === true && path === hidden.path });
    }
  }
  const isBelow = (path: Bytes): boolean => {
    for (let at = path; at !== '/'; ) if (found.has((at = parentOf(at)))) return true;
    return false;
  };
  return [...found.values()].filter(({ path }) => !isBelow(path)).sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** The aliases of names in a directory, found by those of the directory where no mount begins or ends at the name. */
function placesIn(table: MountTable): (dir: Bytes, name: Bytes) => readonly Bytes[] {
  const known = new Map<Bytes, readonly Bytes[]>();
  const parts = [...table.at.values()].filter(({ root }) => root !== '/');
  return (dir, name) => {
    const path = joinBytes(dir, name);
    const home = mountOf(table, dir);
    if (home === null || table.at.has(path)) return aliasesOf(table, path);
    const inside = insideFilesystem(home, path);
    if (parts.some(({ root }) => isWithin(root, inside))) return aliasesOf(table, path);
    const dirs = known.get(dir) ?? wholePlaces(table, home, dir);
    known.set(dir, dirs);
    return dirs.map((one) => joinBytes(one, name)).filter((one) => one === path || !table.at.has(one));
  };
}

/** Where all of a directory shows, not only a part of it. */
function wholePlaces(table: MountTable, home: Mount, dir: Bytes): readonly Bytes[] {
  const inside = insideFilesystem(home, dir);
  const same = [...table.at.values()].filter(({ device, root }) => device === home.device && isWithin(inside, root));
  return [...new Set([dir, ...same.flatMap((mount) => outside(mount, inside, table) ?? [])])].sort();
}

/** The directories of foreign layers on each mount, which the store's hide does not reach. */
export function layerDirs(table: MountTable, facts: HostFacts, uid: number): readonly Bytes[] {
  // Looking below an automount point would mount it.
  return table.points
    .filter((point) => canBeUpper(table.at.get(point)!.type))
    .map((point) => joinBytes(point, `.agentfw-${uid}` as Bytes))
    .filter((path) => facts.lstat(path)?.type === 'dir');
}
