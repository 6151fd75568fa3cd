import { isWithin, joinBytes, nameOf, parentOf, toText, type Bytes } from '../bytes.js';
import type { Change } from '../changes/change.js';
import type { Stat } from '../kernel/kernel.js';
import { type ContentSource, movedAlong, notStill, type Omitted } from './source.js';
import { padding, type TarEntry, tarEnd, tarHeader } from './tar-entry.js';

/** What an archive is made of. */
export interface ArchiveOptions {
  /** names in the archive are relative to it; what lies outside is omitted */
  readonly root: Bytes;
  readonly contents: ContentSource;
}

/** OCI image layers: `.wh.NAME` deletes NAME. */
const WHITEOUT = '.wh.';
/** Set-id bits would be honoured by whoever unpacks the archive as root (CW11). */
const KEPT_MODE = 0o1777;
const SET_ID = 0o6000;

/**
 * A tar of the agent's versions with OCI whiteouts for deletions: the same as an
 * image layer over the host. Only regular files, directories, symlinks and hard
 * links, under relative names without `..`; links are not followed (CW04). The
 * changes come as the scan tells them, not with renames of `detectRenames`.
 * Opaque directories are told by a whiteout for each thing that they hide, as an
 * OCI opaque mark would hide what is equal on both sides, too.
 */
export function* renderArchive(changes: readonly Change[], options: ArchiveOptions): Generator<Buffer, Omitted[]> {
  const omitted: Omitted[] = [];
  const state: State = { options, omitted, links: new Map(), gone: goneIn(changes) };
  // Parents before what is in them, whatever order people were shown.
  for (const change of [...changes].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))) {
    const why = refusal(change, options.root);
    if (why === null) yield* entriesOf(state, change);
    else if (why !== '') omitted.push({ path: change.path, why });
  }
  yield tarEnd();
  return omitted;
}

interface State {
  readonly options: ArchiveOptions;
  readonly omitted: Omitted[];
  /** first name in the archive of each inode with several */
  readonly links: Map<string, Bytes>;
  /** what is deleted or replaced as a whole, so that nothing below needs a whiteout */
  readonly gone: ReadonlySet<Bytes>;
}

function goneIn(changes: readonly Change[]): ReadonlySet<Bytes> {
  const gone = new Set<Bytes>();
  for (const change of changes) {
    if (change.kind === 'delete' || change.kind === 'type') gone.add(basePathOf(change));
    else if (change.from !== null) gone.add(change.from);
  }
  return gone;
}

function basePathOf(change: Change): Bytes {
  return change.basePath ?? change.path;
}

/** Why the archive can't hold it; null when it can. */
function refusal(change: Change, root: Bytes): string | null {
  const paths = [change.path, basePathOf(change)].filter((path) => !isWithin(path, root) || path === root);
  if (paths.length > 0) return change.path === root ? 'it is the directory of the archive itself' : 'outside the directory of the archive';
  // Whoever unpacks a layer would take such a name for a deletion.
  if (change.path.split('/').some((name) => name.startsWith(WHITEOUT))) return `a name that begins with ${WHITEOUT} means a deletion`;
  const type = change.kind === 'delete' ? 'file' : change.type;
  return type === 'file' || type === 'dir' || type === 'symlink' ? null : `an archive can't hold a ${type}`;
}

function* entriesOf(state: State, change: Change): Generator<Buffer> {
  if (change.kind === 'delete') {
    yield* whiteout(state, basePathOf(change), change.base);
    return;
  }
  if (change.from !== null) yield* whiteout(state, change.from, change.base);
  const stat = change.upper;
  if (stat === null) return;
  if (change.type === 'file') yield* file(state, change, stat);
  else yield tarHeader(entryOf(state, change, stat, {}));
}

/** Unless something above is gone as a whole. */
function* whiteout({ options, gone }: State, path: Bytes, stat: Stat | null): Generator<Buffer> {
  for (let above = parentOf(path); isWithin(above, options.root) && above !== '/'; above = parentOf(above)) {
    if (gone.has(above)) return;
  }
  const marker = joinBytes(parentOf(relative(path, options.root, '/')), `${WHITEOUT}${nameOf(path)}` as Bytes).slice(1) as Bytes;
  const mtime = stat === null ? 0 : secondsOf(stat);
  yield tarHeader({ path: marker, type: 'file', mode: 0o600, uid: 0, gid: 0, size: 0, mtime, link: '' as Bytes });
}

function* file(state: State, change: Change, stat: Stat): Generator<Buffer> {
  const name = relative(change.path, state.options.root);
  const key = `${stat.dev}:${stat.ino}`;
  const first = stat.nlink > 1 && !movedAlong(change) ? state.links.get(key) : undefined;
  if (first !== undefined) {
    yield tarHeader(entryOf(state, change, stat, { type: 'link', link: first, size: 0 }));
    return;
  }
  const pieces = state.options.contents.chunks(change, 'upper');
  let piece = pieces.next();
  if (piece.done === true && stat.size > 0) {
    state.omitted.push({ path: change.path, why: "content can't be read" });
    return;
  }
  if (stat.nlink > 1) state.links.set(key, name);
  yield tarHeader(entryOf(state, change, stat, { type: 'file', size: stat.size }));
  let length = 0;
  for (; piece.done !== true; piece = pieces.next()) {
    length += piece.value.length;
    yield piece.value;
  }
  // The size stands before the content, so it can't be mended any more.
  if (length !== stat.size) throw notStill(toText(change.path));
  yield padding(stat.size);
}

function entryOf({ options, omitted }: State, change: Change, stat: Stat, more: Partial<TarEntry>): TarEntry {
  if (change.type !== 'symlink' && (stat.mode & SET_ID) !== 0) omitted.push({ path: change.path, why: 'of its mode the set-id bits' });
  return {
    path: relative(change.path, options.root),
    type: change.type === 'dir' ? 'dir' : 'symlink',
    mode: change.type === 'symlink' ? 0o777 : stat.mode & KEPT_MODE,
    uid: stat.uid,
    gid: stat.gid,
    size: 0,
    mtime: secondsOf(stat),
    link: change.type === 'symlink' ? (change.target ?? ('' as Bytes)) : ('' as Bytes),
    ...more,
  };
}

function secondsOf(stat: Stat): number {
  return Number(stat.mtimeNs / 1_000_000_000n);
}

function relative(path: Bytes, root: Bytes, prefix = ''): Bytes {
  return `${prefix}${path.slice(root === '/' ? 1 : root.length + 1)}` as Bytes;
}
