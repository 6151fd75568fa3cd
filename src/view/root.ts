import type { Bytes } from '../bytes.js';
import { addReadOnly, decide, isPrivate, regionOf, setRegion, type Draft } from './draft.js';
import { isForeignDrive, placeDrive } from './drives.js';
import { replaceDecision } from './hiding.js';
import { addOverlay } from './layers.js';
import type { Mount } from './mountinfo.js';
import { isPrivateRoot } from './private.js';
import { placeAutomount, placeFresh, placeSilent, readOnlyReason } from './user.js';

/**
 * The host's tree as real root: one layer over `/` and one per mount on it.
 * The kernel leaves mounts out of a lower, so none has to be taken apart, and
 * new names directly in `/` belong to the first layer.
 */
export function placeHostAsRoot(draft: Draft): void {
  const root = '/' as Bytes;
  addOverlay(draft, root, 'all that is on no other mount');
  for (const path of ['/proc', '/dev'] as Bytes[]) {
    if (draft.facts.lstat(path)?.type === 'dir') placeFresh(draft, path);
  }
  for (const point of draft.table.points) {
    const mount = draft.table.at.get(point)!;
    if (point !== root && !draft.decided.has(mount.id)) placeMount(draft, mount);
  }
  hideRootOnly(draft);
}

/**
 * What only root reads of the kernel and the machine: traces of every process,
 * objects pinned by others, what the last crash left, keys of storage targets,
 * licence keys. The agent holds no capability over the host, but these
 * filesystems go by the uid alone, and it has that of root.
 */
function hideRootOnly(draft: Draft): void {
  const firmware = '/sys/firmware' as Bytes;
  const mounts = draft.table.points.filter((point) => ROOT_ONLY.has(draft.table.at.get(point)!.type));
  for (const path of [...mounts, ...(draft.facts.lstat(firmware)?.type === 'dir' ? [firmware] : [])].sort()) {
    if (draft.facts.lstat(path)?.type !== 'dir') continue;
    if (isPrivate(regionOf(draft, path))) {
      replaceDecision(draft, path, 'skip', 'below something that the view does not show');
      continue;
    }
    draft.ops.push({ op: 'hide', dst: path });
    setRegion(draft, path, 'hidden');
    replaceDecision(draft, path, 'hide', path === firmware ? 'what only root may read of the firmware' : 'what only root may read of the kernel');
  }
}

const ROOT_ONLY: ReadonlySet<string> = new Set(['debugfs', 'tracefs', 'bpf', 'pstore', 'configfs']);

function placeMount(draft: Draft, mount: Mount): void {
  const path = mount.point;
  // The sandbox's own directories come later and decide on what lies below them.
  if (isPrivateRoot(draft, path) || belowPrivate(draft, path)) return;
  const region = regionOf(draft, path);
  if (isPrivate(region) && draft.table.at.get(region.path)?.type !== 'autofs') return decide(draft, path, 'skip', 'below something that the view does not show');
  if (mount.type === 'autofs') return placeAutomount(draft, path, (below) => placeMount(draft, below));
  if (isForeignDrive(draft, path)) return placeDrive(draft, path);
  const stat = draft.facts.lstat(path);
  if (stat === null) return placeSilent(draft, path);
  if (stat.type !== 'dir') return addReadOnly(draft, path, 'a single file that is a mount');
  const refusal = readOnlyReason(draft, path);
  if (refusal === null) return addOverlay(draft, path, 'a mount that can be written');
  addReadOnly(draft, path, refusal);
  forgetBelow(draft, mount);
}

function belowPrivate(draft: Draft, path: Bytes): boolean {
  for (let here = path as string; here !== ''; here = here.slice(0, here.lastIndexOf('/'))) {
    if (isPrivateRoot(draft, here as Bytes)) return true;
  }
  return false;
}

/** Each mount below a read-only one still gets its own decision. */
function forgetBelow(draft: Draft, mount: Mount): void {
  if (mount.point === '/sys') return;
  for (const [id, decided] of draft.decided) {
    if (id !== mount.id && decided.path.startsWith(`${mount.point}/`)) draft.decided.delete(id);
  }
}
