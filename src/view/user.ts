import type { Bytes } from '../bytes.js';
import { isWithin, joinBytes, nameOf, parentOf } from '../bytes.js';
import { addReadOnly, addTmpfs, decide, decideBelow, makeDir, ensurePoint, regionOf, setRegion, type Draft } from './draft.js';
import { isForeignDrive, placeDrive } from './drives.js';
import { canBeLower, isPseudo } from './fstypes.js';
import { layerRootFor, surveyOf } from './ownership.js';
import { addOverlay, isPassedThrough } from './layers.js';
import { mountOf, mountsBelow, type Mount } from './mountinfo.js';
import type { HostStat, SkeletonEntry } from './plan.js';
import { isPrivateRoot } from './private.js';

/** Trees of the system: the user can write nothing there, so a bind loses nothing and costs a hundredth. */
const SYSTEM = ['/usr', '/boot', '/efi', '/lib', '/lib32', '/lib64', '/libx32', '/bin', '/sbin', '/etc', '/nix', '/gnu', '/snap'];
/** Each layer costs 0.3 ms at every start. */
const MAX_ISLANDS = 12;
/** A directory with more entries is shown read-only instead of being taken apart. */
const MAX_CHILDREN = 4096;
/** Larger files directly in a directory that must be taken apart are bound read-only instead of copied. */
const MAX_COPIED = 64 * 1024 * 1024;

/** The host's tree without privileges: a bare root, and on it a layer or a read-only bind per subtree. */
export function placeHost(draft: Draft): void {
  const root = '/' as Bytes;
  if (!draft.facts.writable(root)) {
    // The driver's own: a tmpfs that becomes read-only when the view is complete.
    setRegion(draft, root, 'bare');
    draft.made.add(root);
    decide(draft, root, 'overlay', 'taken apart: its directories have a decision each');
  }
  takeApart(draft, root);
  overReadOnly(draft, '/usr/local' as Bytes);
}

/** Decides on one directory and everything below it. */
function place(draft: Draft, path: Bytes): void {
  if (isPrivateRoot(draft, path)) return;
  if (path === '/proc' || path === '/dev') return placeFresh(draft, path);
  const { table } = draft;
  const own = table.at.get(path);
  if (own?.type === 'autofs') return placeAutomount(draft, path, ({ point }) => place(draft, point));
  if (isForeignDrive(draft, path)) return placeDrive(draft, path);
  const refusal = readOnlyReason(draft, path);
  if (refusal !== null) return placeReadOnly(draft, path, refusal);
  if (mountsBelow(table, path).length > 0) return takeApart(draft, path);
  placeTop(draft, path);
}

/**
 * A subtree without mounts: a layer over all of it, or a bind and layers over
 * the few places that are the user's. Layers of an earlier run lie where they
 * lay, and no new one lies inside them: it would hide what they hold.
 */
function placeTop(draft: Draft, path: Bytes): void {
  // One that is gone is missed at the end: then the run is refused.
  const earlier = draft.options.previous.map(({ base }) => base).filter((base) => isWithin(base, path) && draft.facts.lstat(base)?.type === 'dir');
  const { complete, islands } = surveyOf(draft, path);
  if (complete && islands.length === 0 && earlier.length === 0) return addReadOnly(draft, path, 'nothing in it is yours to write');
  const whole = islands.includes(path) || earlier.includes(path);
  const foreign = whole ? [] : islands.filter((island) => layerRootFor(draft, island, path) !== null).slice(0, MAX_ISLANDS);
  const few = complete && islands.length <= 1 + foreign.length;
  if (whole || !few) addOverlay(draft, path, islands.includes(path) ? 'yours to write' : 'something in it may be yours to write');
  else {
    decide(draft, path, 'overlay', 'only some directories in it are yours to write: each has a layer');
    addReadOnly(draft, path, 'only some directories in it are yours to write');
  }
  const added = (whole || !few ? foreign : islands).filter((island) => !earlier.some((base) => isWithin(island, base)));
  for (const island of [...earlier, ...added].filter((base) => base !== path).sort()) addOverlay(draft, island, 'yours to write');
}

/** Lays the earlier layers that this run's own directories don't ask for: those of another project below /tmp, say. */
export function placeEarlier(draft: Draft): void {
  for (const { base, skeleton } of [...draft.options.previous].sort((a, b) => (a.base < b.base ? -1 : 1))) {
    const covers = [...draft.regions.keys()].some((point) => isWithin(point, base));
    const possible = draft.facts.lstat(base)?.type === 'dir' && regionOf(draft, base).kind !== 'bare' && readOnlyReason(draft, base) === null;
    if (covers || !possible || skeleton) continue;
    if (draft.options.mode === 'root' || mountsBelow(draft.table, base).length === 0) addOverlay(draft, base, 'it has a layer of an earlier run');
  }
}

/** `/proc` or `/dev`, of the sandbox's own. */
export function placeFresh(draft: Draft, path: Bytes): void {
  ensurePoint(draft, path, 'dir');
  draft.ops.push({ op: path === '/proc' ? 'proc' : 'dev', dst: path });
  setRegion(draft, path, path === '/proc' ? 'hidden' : 'tmpfs');
  if (path === '/dev') setRegion(draft, '/dev/shm' as Bytes, 'tmpfs');
  const why = path === '/proc' ? 'a fresh one for the processes of the sandbox' : 'a minimal one';
  decide(draft, path, 'private', why);
  decideBelow(draft, path, 'skip', `below ${path}, which is the sandbox's own`);
}

/** An automount point is never entered: that would mount something on the host. What it has mounted already is shown. */
export function placeAutomount(draft: Draft, path: Bytes, placeBelow: (mount: Mount) => void): void {
  const below = mountsBelow(draft.table, path);
  decide(draft, path, 'skip', 'an automount point: shown without what is not mounted, never triggered');
  if (regionOf(draft, parentOf(path)).kind === 'bare') makeDir(draft, path);
  else addTmpfs(draft, path, 0o555, { size: 4096, readOnly: below.length === 0 });
  for (const mount of below) if (!draft.decided.has(mount.id)) placeBelow(mount);
}

/** Last: nothing is made in them any more. */
export function closeAutomounts(draft: Draft): void {
  for (const [path, { kind }] of draft.regions) {
    if (kind === 'tmpfs' && draft.table.at.get(path)?.type === 'autofs') draft.ops.push({ op: 'remount-ro', dst: path });
  }
}

/**
 * What serves this mount is gone, or keeps it from the user: the host shows
 * nothing there either, and a layer over it is refused.
 */
export function placeSilent(draft: Draft, path: Bytes): void {
  const { type, options } = draft.table.at.get(path)!;
  addTmpfs(draft, path, 0o555, { size: 4096, readOnly: true });
  decide(draft, path, 'hide', isOthers(options, draft.options.uid) ? `its ${type} serves another user alone: shown empty` : `its ${type}${UNANSWERED}`);
  decideBelow(draft, path, 'skip', `below ${path}, which does not answer`);
}

const UNANSWERED = ' does not answer you: shown empty';

/** A FUSE mount of somebody else's, which the kernel opens to nobody but them. */
function isOthers(options: readonly string[], uid: number): boolean {
  return options.some((option) => option.startsWith('user_id=')) && !options.includes(`user_id=${uid}`) && !options.includes('allow_other');
}

/** Its files may be missed: what serves it was too slow, or is gone. */
export function isUnanswered({ decision, why }: { readonly decision: string; readonly why: string }): boolean {
  return decision === 'hide' && why.endsWith(UNANSWERED);
}

/** Why a tree can't or needn't have a layer, whatever is in it; null when it can. */
export function readOnlyReason(draft: Draft, path: Bytes): string | null {
  const { facts, table } = draft;
  const mount = mountOf(table, path);
  if (path === '/sys') return 'the kernel, not data';
  if (table.at.get(path) !== undefined && isPseudo(mount!.type)) return `${mount!.type} is the kernel, not data`;
  if (!facts.searchable(path)) return 'you may not enter it';
  if (mount?.readOnly === true) return 'the host has it read-only';
  if (mount !== null && !canBeLower(mount.type)) return `${mount.type} can't lie under a layer`;
  if (SYSTEM.includes(path) && !facts.writable(path)) return 'a system tree that you can not write';
  return null;
}

/** Binds a tree; mounts in it that can hold the user's data get their layer on top. */
function placeReadOnly(draft: Draft, path: Bytes, why: string): void {
  const inside = mountsBelow(draft.table, path);
  const entered = draft.facts.searchable(path) && path !== '/sys';
  const wanted = entered ? inside.filter((mount) => mount.type === 'autofs' || deservesLayer(draft, mount)) : [];
  const skipped = new Set(wanted.map((mount) => mount.id));
  addReadOnlyBut(draft, path, why, skipped);
  for (const mount of wanted) {
    if (mount.type === 'autofs') placeAutomount(draft, mount.point, ({ point }) => place(draft, point));
    else overReadOnly(draft, mount.point);
  }
}

function addReadOnlyBut(draft: Draft, path: Bytes, why: string, later: ReadonlySet<number>): void {
  addReadOnly(draft, path, why);
  for (const id of later) draft.decided.delete(id);
}

function deservesLayer(draft: Draft, mount: Mount): boolean {
  return !mount.readOnly && canBeLower(mount.type) && draft.facts.lstat(mount.point)?.type === 'dir';
}

/** Layers on top of something read-only, where the user can write in it and no mount forbids it. */
export function overReadOnly(draft: Draft, path: Bytes): void {
  const region = regionOf(draft, path);
  if (region.kind !== 'read-only' || draft.facts.lstat(path)?.type !== 'dir') return;
  const refusal = readOnlyReason(draft, path);
  if (refusal !== null) return decide(draft, path, 'read-only', refusal);
  const { complete, islands } = surveyOf(draft, path);
  if (complete && islands.length === 0) return decide(draft, path, 'read-only', 'nothing in it is yours to write');
  if (mountsBelow(draft.table, path).length === 0) return placeTop(draft, path);
  if (draft.facts.writable(path)) return takeApart(draft, path);
  decide(draft, path, 'read-only', `inside ${region.path}, and mounts below it forbid a layer`);
}

/**
 * The kernel refuses a layer over a directory with mounts below it. So its
 * entries are placed one by one: in the bare root where the user can't write
 * the directory, else on a layer over a copy of the directory's own entries.
 */
export function takeApart(draft: Draft, path: Bytes): void {
  const { facts } = draft;
  const names = facts.list(path);
  if (names === null || names.length > MAX_CHILDREN) {
    return addReadOnly(draft, path, names === null ? 'you may not list it, and it has mounts below it' : 'too many entries around a mount');
  }
  const children = names.map((name) => joinBytes(path, name)).sort();
  const bare = !facts.writable(path) && ['bare', 'tmpfs'].includes(regionOf(draft, parentOf(path)).kind);
  if (bare) {
    if (path !== '/') makeDir(draft, path);
    decide(draft, path, 'overlay', 'has mounts below it: its directories have a decision each');
  } else {
    const entries = children.flatMap((child) => skeletonEntry(draft, child));
    addOverlay(draft, path, 'has mounts below it: a layer over a copy of its own entries', entries);
  }
  for (const child of children) placeChild(draft, child, bare);
}

function skeletonEntry(draft: Draft, path: Bytes): readonly SkeletonEntry[] {
  const stat = draft.facts.lstat(path);
  if (stat === null && draft.table.at.has(path)) return [{ name: nameOf(path), kind: 'dir', mode: 0o555 }];
  if (stat === null || stat.type === 'other') return [];
  const isLaidOver = stat.type === 'file' && (draft.table.at.has(path) || whyNotCopied(draft, path, stat) !== null);
  return [{ name: nameOf(path), kind: isLaidOver ? 'point' : stat.type, mode: stat.mode }];
}

/** Null for a file that can be copied into a skeleton. */
function whyNotCopied({ facts }: Draft, path: Bytes, { size }: HostStat): string | null {
  if (size > MAX_COPIED) return 'too large to be copied into a skeleton';
  return facts.readable(path) ? null : 'you may not read it, and there are mounts beside it';
}

function placeChild(draft: Draft, path: Bytes, bare: boolean): void {
  const stat = draft.facts.lstat(path);
  if (stat === null && draft.table.at.has(path) && !isPrivateRoot(draft, path)) return placeSilent(draft, path);
  if (stat === null || stat.type === 'other') return;
  if (stat.type === 'dir') return place(draft, path);
  if (stat.type === 'symlink') {
    const target = bare ? draft.facts.readlink(path) : null;
    if (target !== null) draft.ops.push({ op: 'symlink', target, dst: path });
    return;
  }
  if (draft.table.at.has(path)) return addReadOnly(draft, path, 'a single file that is a mount');
  if (bare) addReadOnly(draft, path, 'a single file in a directory that was taken apart');
  else {
    const why = whyNotCopied(draft, path, stat);
    if (why !== null) addReadOnly(draft, path, why);
  }
}

/** Makes a tree of the user's (project, home) writable where it lies, if the host lets the user write it. */
export function placeTree(draft: Draft, path: Bytes): void {
  const region = regionOf(draft, path);
  if (path === '/' || draft.facts.lstat(path)?.type !== 'dir') return;
  if (region.kind === 'passthrough' || region.kind === 'bare' || isPassedThrough(draft, path)) return;
  // Where the user's places in it have their layers already, it was decided on as a whole.
  const isDecided = region.path === path && draft.layers.some(({ base }) => isWithin(base, path));
  if (region.kind === 'read-only') return isDecided ? undefined : overReadOnly(draft, path);
  const root = region.kind === 'overlay' ? layerRootFor(draft, path, region.path) : path;
  if (root === null) return;
  const refusal = readOnlyReason(draft, root);
  if (refusal !== null) return region.kind === 'overlay' ? undefined : addReadOnly(draft, root, refusal);
  if (mountsBelow(draft.table, root).length > 0 && draft.options.mode === 'user') return takeApart(draft, root);
  addOverlay(draft, root, region.kind === 'overlay' ? 'yours, below directories of others' : 'yours, though it lies below a private directory');
}
