import type { Bytes } from '../bytes.js';
import { isWithin } from '../bytes.js';

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
  const byId = new Map(mounts.map((mount) => [mount.id, mount]));
  const children = new Map<number, Mount[]>();
  for (const mount of mounts) {
    if (mount.parent !== mount.id) children.set(mount.parent, [...(children.get(mount.parent) ?? []), mount]);
  }
  const at = new Map<Bytes, Mount>();
  for (const mount of mounts) {
    const ownRoot = (children.get(mount.id) ?? []).some((child) => child.point === mount.point);
    if (!ownRoot && !hidden(mount, byId, children)) at.set(mount.point, mount);
  }
  return { all: mounts, at, points: [...at.keys()].sort() };
}

/** A mount, or one that it is mounted in, lies below something mounted beside it later. */
function hidden(mount: Mount, byId: ReadonlyMap<number, Mount>, children: ReadonlyMap<number, Mount[]>): boolean {
  for (let here: Mount | undefined = mount; here !== undefined; ) {
    const link: Mount = here;
    const beside = children.get(link.parent) ?? [];
    const index = beside.indexOf(link);
    const covers = (other: Mount, place: number): boolean =>
      other !== link && isWithin(link.point, other.point) && (other.point !== link.point || place > index);
    if (beside.some(covers)) return true;
    here = link.parent === link.id ? undefined : byId.get(link.parent);
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
