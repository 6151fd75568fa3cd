import type { Bytes } from '../bytes.js';
import { isWithin, parentOf } from '../bytes.js';

/** One line of /proc/self/mountinfo. */
export interface Mount {
  readonly id: number;
  readonly parent: number;
  /** `major:minor` */
  readonly device: string;
  /** the directory of the filesystem that is the root of this mount */
  readonly root: Bytes;
  readonly point: Bytes;
  /** filesystem type, `fuse.sshfs` with its subtype */
  readonly type: string;
  readonly source: Bytes;
  /** the mount or its filesystem is read-only */
  readonly readOnly: boolean;
  /** no program of it can be executed here */
  readonly noExec: boolean;
  /** options of the filesystem */
  readonly options: readonly string[];
}

/** The mounts of a namespace, by where they can be reached. */
export interface MountTable {
  readonly all: readonly Mount[];
  /** the mount seen at each mount point; what a later mount covers is not here */
  readonly at: ReadonlyMap<Bytes, Mount>;
  /** mount points in byte order, parents before children */
  readonly points: readonly Bytes[];
}

/** Parses the whole file. A line that can't be understood is an error: a mount that nobody decided on is a hole. */
export function parseMountinfo(text: Bytes): readonly Mount[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map(parseLine);
}

function parseLine(line: string): Mount {
  const fields = line.split(' ');
  const dash = fields.indexOf('-', 6);
  const [id, parent, device, root, point, own] = fields;
  const [type, source, options] = fields.slice(dash + 1);
  if (dash < 0 || own === undefined || type === undefined || source === undefined) {
    throw new Error(`can't read this line of mountinfo: ${JSON.stringify(line)}`);
  }
  const ofFilesystem = (options ?? '').split(',');
  return {
    id: Number(id),
    parent: Number(parent),
    device: device!,
    root: unescape(root!),
    point: unescape(point!),
    type,
    source: unescape(source),
    readOnly: own.split(',').includes('ro') || ofFilesystem.includes('ro'),
    noExec: own.split(',').includes('noexec'),
    options: ofFilesystem,
  };
}

/** The kernel writes blank, tab, newline and backslash (and `#` in sources) as three octal digits. */
function unescape(field: string): Bytes {
  return field.replace(/\\([0-3][0-7]{2})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8))) as Bytes;
}

/** Finds which mounts can be reached, and where. */
export function mountTable(mounts: readonly Mount[]): MountTable {
  const nest: Nest = { byId: new Map(mounts.map((mount) => [mount.id, mount])), last: new Map(), hidden: new Map() };
  for (const mount of mounts) {
    if (mount.parent === mount.id) continue;
    const beside = nest.last.get(mount.parent) ?? new Map<Bytes, Mount>();
    nest.last.set(mount.parent, beside.set(mount.point, mount));
  }
  const at = new Map<Bytes, Mount>();
  for (const mount of mounts) {
    const ownRoot = nest.last.get(mount.id)?.has(mount.point) === true;
    if (!ownRoot && !hidden(mount, nest)) at.set(mount.point, mount);
  }
  return { all: mounts, at, points: [...at.keys()].sort() };
}

interface Nest {
  readonly byId: ReadonlyMap<number, Mount>;
  /** by mount: what was mounted last at each point in it */
  readonly last: Map<number, Map<Bytes, Mount>>;
  /** what is known of mounts already: machines can have ten thousand */
  readonly hidden: Map<number, boolean>;
}

/** A mount, or one that it is mounted in, lies below something mounted beside it, or at its point later. */
function hidden(mount: Mount, nest: Nest): boolean {
  const known = nest.hidden.get(mount.id);
  if (known !== undefined) return known;
  // A table that is not a tree must not lead in circles.
  nest.hidden.set(mount.id, false);
  const parent = mount.parent === mount.id ? undefined : nest.byId.get(mount.parent);
  const result = isCovered(mount, nest.last.get(mount.parent)) || (parent !== undefined && hidden(parent, nest));
  nest.hidden.set(mount.id, result);
  return result;
}

function isCovered(mount: Mount, beside: ReadonlyMap<Bytes, Mount> | undefined): boolean {
  if (beside === undefined || mount.parent === mount.id) return false;
  if (beside.get(mount.point) !== mount) return true;
  for (let here = mount.point; here !== '/'; ) {
    here = parentOf(here);
    if (beside.has(here)) return true;
  }
  return false;
}

/** The mount that a path lies in. */
export function mountOf(table: MountTable, path: Bytes): Mount | null {
  for (let here = path as string; ; here = here.slice(0, here.lastIndexOf('/'))) {
    const mount = table.at.get((here === '' ? '/' : here) as Bytes);
    if (mount !== undefined) return mount;
    if (here === '' || here === '/') return null;
  }
}

/** Mounts strictly below a path, parents before children. */
export function mountsBelow(table: MountTable, path: Bytes): readonly Mount[] {
  return table.points
    .filter((point) => point !== path && isWithin(point, path))
    .map((point) => table.at.get(point)!);
}
