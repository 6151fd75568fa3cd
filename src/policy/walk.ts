import { lstatSync, readdir, readdirSync, type Dirent } from 'node:fs';
import { joinBytes, toBuffer, toText, type Bytes } from '../bytes.js';

/** By the type in its directory (getdents64(2)); links are not followed. */
export type EntryKind = 'dir' | 'file' | 'symlink' | 'other';

/** A walk over names, no file opened. */
export interface WalkRequest {
  readonly roots: readonly Bytes[];
  /** names of directories that are not entered */
  readonly skip: ReadonlySet<string>;
  /** directories that are not entered, e.g. network mounts */
  readonly avoid: ReadonlySet<Bytes>;
  /** entries after which the walk gives up */
  readonly limit: number;
  /** sees every entry; false keeps out of a directory. The path is the visitor's to join: few entries need theirs */
  readonly visit: (dir: Bytes, name: Bytes, kind: EntryKind) => boolean;
}

/** Numbers of what was met. */
export interface WalkResult {
  readonly entries: number;
  readonly dirs: number;
  /** why not everything was seen, or null */
  readonly incomplete: string | null;
}

/** Directories read at a time from a cold disk. */
const WIDTH = 16;
/** A directory in the cache takes 20–50 µs; this many slow ones mean that the disk is asked. */
const SLOW_MS = 4;
const SLOW_ONES = 16;

interface Walk {
  readonly request: WalkRequest;
  readonly queue: Bytes[];
  entries: number;
  dirs: number;
  readonly unread: Bytes[];
}

/**
 * Walks trees, links never followed. What is cached is read one by one, which
 * is twice as fast as handing each directory to a thread; when the disk has to
 * be asked, several are read at once.
 */
export async function walk(request: WalkRequest): Promise<WalkResult> {
  const state: Walk = { request, queue: [...new Set(request.roots)], entries: 0, dirs: 0, unread: [] };
  readCached(state);
  if (hasMore(state)) await readParallel(state);
  const { entries, dirs, unread } = state;
  return { entries, dirs, incomplete: whyIncomplete(entries, request.limit, unread) };
}

/** Why a search may have missed something; null when it has seen all. `remote`: mounts that it did not enter. */
export function whyIncomplete(entries: number, limit: number, unread: readonly Bytes[], remote: readonly Bytes[] = []): string | null {
  if (entries > limit) return `gave up after ${entries} entries`;
  const [first] = unread;
  if (first === undefined) return remote.length === 0 ? null : `it keeps out of what other machines or programs mount: ${remote.map(toText).join(', ')}`;
  return unread.length === 1 ? `1 directory could not be read: ${toText(first)}` : `${unread.length} directories could not be read, the first of them ${toText(first)}`;
}

function hasMore({ queue, entries, request }: Walk): boolean {
  return queue.length > 0 && entries <= request.limit;
}

function readCached(state: Walk): void {
  for (let slow = 0; slow < SLOW_ONES && hasMore(state); ) {
    const dir = state.queue.pop() as Bytes;
    const start = performance.now();
    try {
      take(state, dir, readdirSync(toBuffer(dir), { withFileTypes: true, encoding: 'latin1' }));
    } catch (error) {
      failed(state, dir, error as NodeJS.ErrnoException);
    }
    if (performance.now() - start > SLOW_MS) slow += 1;
  }
}

function readParallel(state: Walk): Promise<void> {
  let active = 0;
  return new Promise((resolve, reject) => {
    const next = (): void => {
      while (active < WIDTH && hasMore(state)) {
        const dir = state.queue.pop() as Bytes;
        active += 1;
        readdir(toBuffer(dir), { withFileTypes: true, encoding: 'latin1' }, (error, list) => {
          active -= 1;
          try {
            if (error === null) take(state, dir, list);
            else failed(state, dir, error);
            next();
          } catch (thrown) {
            reject(thrown instanceof Error ? thrown : new Error(String(thrown)));
          }
        });
      }
      if (active === 0) resolve();
    };
    next();
  });
}

function take(state: Walk, dir: Bytes, list: readonly Dirent[]): void {
  const { request } = state;
  state.dirs += 1;
  state.entries += list.length;
  for (const dirent of list) {
    const name = dirent.name as Bytes;
    const kind = kindOf(dirent, dir);
    const enter = request.visit(dir, name, kind);
    if (kind !== 'dir' || !enter || request.skip.has(name)) continue;
    const path = joinBytes(dir, name);
    if (!request.avoid.has(path)) state.queue.push(path);
  }
}

/** A directory that could not be read; a visitor's own error goes on. */
function failed(state: Walk, dir: Bytes, error: NodeJS.ErrnoException): void {
  if (error.syscall !== 'scandir') throw error;
  if (!isGone(error)) state.unread.push(dir);
}

/** Gone, or closed to the user: that of their own is hidden, see `findNames`. */
export function isGone(error: NodeJS.ErrnoException): boolean {
  return ['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM'].includes(error.code ?? '');
}

function kindOf(dirent: Dirent, dir: Bytes): EntryKind {
  if (dirent.isFile()) return 'file';
  if (dirent.isDirectory()) return 'dir';
  if (dirent.isSymbolicLink()) return 'symlink';
  if (dirent.isFIFO() || dirent.isSocket() || dirent.isCharacterDevice() || dirent.isBlockDevice()) return 'other';
  // The filesystem gives no types.
  const stat = lstatSync(toBuffer(joinBytes(dir, dirent.name as Bytes)), { throwIfNoEntry: false });
  return stat?.isDirectory() === true ? 'dir' : stat?.isSymbolicLink() === true ? 'symlink' : stat?.isFile() === true ? 'file' : 'other';
}
