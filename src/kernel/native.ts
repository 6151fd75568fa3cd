import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Bytes } from '../bytes.js';
import { type Fd, type Kernel, KernelError, type NameFilter, type WalkEntry, type WalkOptions, type WalkPiece, type Xattr } from './kernel.js';
import { copyOfStat, PackedEntries, STAT_WORDS, viewOf } from './packed.js';

/** An opaque handle of the addon. */
type WalkHandle = object;

/** What native/addon.cc exports. A number below zero is -errno. */
interface Addon {
  open(at: number, path: string, flags: number, mode: number, resolve: number): number;
  close(fd: number): number;
  pipe(): readonly [number, number] | number;
  stat(at: number, name: string, words: BigUint64Array): number;
  list(fd: number): string | number;
  readlink(at: number, name: string): string | number;
  readFile(at: number, name: string, into: Buffer): number;
  mkdir(at: number, name: string, mode: number): number;
  symlink(target: string, at: number, name: string): number;
  link(oldAt: number, oldName: string, newAt: number, newName: string): number;
  mknod(at: number, name: string, mode: number, dev: number): number;
  unlink(at: number, name: string): number;
  rmdir(at: number, name: string): number;
  rename(oldAt: number, oldName: string, newAt: number, newName: string, flags: number): number;
  chmod(at: number, name: string, mode: number): number;
  chown(at: number, name: string, uid: number, gid: number): number;
  utimes(at: number, name: string, atimeNs: bigint, mtimeNs: bigint): number;
  readXattrs(at: number, name: string): string | number;
  setXattr(at: number, name: string, key: string, value: Buffer): number;
  removeXattr(at: number, name: string, key: string): number;
  copy(src: number, dst: number): number;
  sameBytes(a: number, b: number): number;
  fsync(fd: number): number;
  syncfs(fd: number): number;
  domain(fd: number): Bytes;
  exitNow(status: number): never;
  forgetProgram(): number;
  flock(fd: number, operation: number): number;
  landBatch(steps: Buffer, names: Buffer, lanes: Uint32Array, status: Uint8Array, threads: number, most: number): void;
  findNames(roots: string, literals: string, endings: string, pieces: string, skip: string, avoid: string, limit: bigint): { readonly paths: string; readonly closed: string; readonly entries: number; readonly dirs: number; readonly unread: string };
  errorText(errno: number): string;
  walkOpen(upper: number, base: number, bits: number, before: bigint, ...names: string[]): WalkHandle | number;
  walkNext(walk: WalkHandle): ArrayBuffer | number;
  walkFailedPath(walk: WalkHandle): string;
  walkClose(walk: WalkHandle): void;
  statLines(words: Uint32Array, paths: string, cells: string, crowds: readonly CrowdLines[], ...paint: string[]): Uint8Array;
}

const addon = loadAddon();

function loadAddon(): Addon {
  const file = fileURLToPath(new URL('../../build/Release/agentfw.node', import.meta.url));
  try {
    return createRequire(import.meta.url)(file) as Addon;
  } catch (cause) {
    // Any other failure (wrong Node ABI, missing library) speaks for itself.
    if ((cause as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw cause;
    throw new Error(`the native addon is not built (looked for ${file}): run \`npm run build\``, { cause });
  }
}

/** Names by number, from Node's table; where two share one, the name Node's own errors use. */
const CODES = new Map<number, string>([
  ...Object.entries(constants.errno).map(([code, errno]) => [errno, code] as const),
  [constants.errno.EAGAIN, 'EAGAIN'],
  [constants.errno.ENOTSUP, 'ENOTSUP'],
  // Node's table stops short of these, which filesystems do report.
  [116, 'ESTALE'],
  [117, 'EUCLEAN'],
]);

function failure(errno: number, syscall: string, path: Bytes | null): KernelError {
  const code = CODES.get(errno) ?? `E${errno}`;
  const where = path === null ? '' : ` '${Buffer.from(path, 'latin1').toString('utf8')}'`;
  return new KernelError(code, errno, syscall, path, `${code}: ${addon.errorText(errno)}, ${syscall}${where}`);
}

/** The value of a call, or its error thrown. */
function check<T>(result: T | number, syscall: string, path: Bytes | null): T {
  if (typeof result === 'number' && result < 0) throw failure(-result, syscall, path);
  return result as T;
}

function stringsIn(packed: string): Bytes[] {
  // Each is ended by a NUL, so the last piece is empty.
  return packed.split('\0').slice(0, -1) as Bytes[];
}

function packedList(list: readonly string[]): string {
  return list.map((one) => `${one}\0`).join('');
}

function packedFilter({ literals, endings, pieces }: NameFilter): [string, string, string] {
  return [packedList(literals), packedList(endings), packedList(pieces)];
}

// Filled by each stat and decoded at once; calls are synchronous.
const statWords = new BigUint64Array(STAT_WORDS);
const statView = viewOf(statWords.buffer);

const LOCK = { shared: 1, exclusive: 2, dontWait: 4, unlock: 8 } as const;
const UNREADABLE = { fail: 0, skip: 1, unlock: 2 } as const;
const LOOK = { no: 0, head: 1, lines: 2 } as const;

/** Sorted by name, as the order of listxattr is the filesystem's. */
function xattrs(at: Fd, name: Bytes): Xattr[] {
  const packed = check<string>(addon.readXattrs(at, name), 'getxattr', name);
  const found: Xattr[] = [];
  for (let from = 0; from < packed.length; ) {
    const nameEnd = packed.indexOf('\0', from);
    const start = packed.indexOf('\0', nameEnd + 1) + 1;
    const end = start + Number(packed.slice(nameEnd + 1, start - 1));
    found.push({ name: packed.slice(from, nameEnd) as Bytes, value: Buffer.from(packed.slice(start, end), 'latin1') });
    from = end;
  }
  return found.length < 2 ? found : found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Before all that a file's ctime can be. */
const NEVER = -(2n ** 63n);

function* walkPieces(upper: Fd, base: Fd | null, options: WalkOptions): Generator<WalkPiece> {
  const bits =
    (options.family === 'trusted' ? 1 : 0) |
    (options.compare ? 2 : 0) |
    (UNREADABLE[options.unreadable ?? 'fail'] << 2) |
    (LOOK[options.look ?? 'no'] << 4) |
    (options.origins === false ? 0 : 0x40);
  const handle = check<WalkHandle>(addon.walkOpen(upper, base ?? -1, bits, options.before ?? NEVER, ...(options.names === undefined ? [] : packedFilter(options.names))), 'walk', null);
  try {
    const parents: Bytes[] = [];
    for (;;) {
      const chunk = addon.walkNext(handle);
      if (typeof chunk === 'number') {
        check(chunk, 'walk', addon.walkFailedPath(handle) as Bytes);
        return;
      }
      yield new PackedEntries(chunk, parents);
    }
  } finally {
    addon.walkClose(handle);
  }
}

function* walk(upper: Fd, base: Fd | null, options: WalkOptions): Generator<WalkEntry> {
  for (const piece of walkPieces(upper, base, options)) {
    for (let at = 0; at < piece.end; at = piece.after(at)) yield piece.entry(at);
  }
}

/** Linux, by way of the addon. */
export const native: Kernel = {
  open: (at, path, flags, mode = 0, resolve = 0) => check(addon.open(at, path, flags, mode, resolve), 'openat2', path),
  close: (fd) => void check(addon.close(fd), 'close', null),
  stat(at, name) {
    check(addon.stat(at, name, statWords), 'statx', name);
    return copyOfStat(statView);
  },
  statOrNull(at, name) {
    const result = addon.stat(at, name, statWords);
    if (result === -constants.errno.ENOENT || result === -constants.errno.ENOTDIR) return null;
    check(result, 'statx', name);
    return copyOfStat(statView);
  },
  list: (fd) => stringsIn(check(addon.list(fd), 'getdents64', null)),
  readFile: (at, name, into) => check<number>(addon.readFile(at, name, into), 'read', name),
  readlink: (at, name) => check<string>(addon.readlink(at, name), 'readlinkat', name) as Bytes,
  mkdir: (at, name, mode) => void check(addon.mkdir(at, name, mode), 'mkdirat', name),
  symlink: (target, at, name) => void check(addon.symlink(target, at, name), 'symlinkat', name),
  link: (oldAt, oldName, newAt, newName) => void check(addon.link(oldAt, oldName, newAt, newName), 'linkat', newName),
  mknod: (at, name, mode, dev) => void check(addon.mknod(at, name, mode, dev), 'mknodat', name),
  unlink: (at, name) => void check(addon.unlink(at, name), 'unlinkat', name),
  rmdir: (at, name) => void check(addon.rmdir(at, name), 'unlinkat', name),
  rename: (oldAt, oldName, newAt, newName, flags) =>
    void check(addon.rename(oldAt, oldName, newAt, newName, flags), 'renameat2', newName),
  chmod: (at, name, mode) => void check(addon.chmod(at, name, mode), 'fchmodat2', name),
  chown: (at, name, uid, gid) => void check(addon.chown(at, name, uid, gid), 'fchownat', name),
  utimes: (at, name, atimeNs, mtimeNs) => void check(addon.utimes(at, name, atimeNs, mtimeNs), 'utimensat', name),
  xattrs,
  setXattr: (at, name, key, value) => void check(addon.setXattr(at, name, key, value), 'setxattr', name),
  removeXattr: (at, name, key) => void check(addon.removeXattr(at, name, key), 'removexattr', name),
  copy: (src, dst) => (check<number>(addon.copy(src, dst), 'copy_file_range', null) === 0 ? 'reflink' : 'copy'),
  sameBytes: (a, b) => check<number>(addon.sameBytes(a, b), 'read', null) === 1,
  fsync: (fd) => void check(addon.fsync(fd), 'fsync', null),
  syncfs: (fd) => void check(addon.syncfs(fd), 'syncfs', null),
  domain: (fd) => addon.domain(fd),
  flock(fd, kind, wait) {
    const result = addon.flock(fd, LOCK[kind] | (wait ? 0 : LOCK.dontWait));
    if (!wait && result === -constants.errno.EAGAIN) return false;
    check(result, 'flock', null);
    return true;
  },
  forgetProgram: () => addon.forgetProgram(),
  landBatch: ({ steps, names, lanes, status, threads, most }) => addon.landBatch(steps, names, lanes, status, threads, most),
  walk,
  walkPieces,
};

/** What is searched for, and where. */
export interface FindRequest {
  readonly roots: readonly Bytes[];
  readonly filter: NameFilter;
  /** names of directories that are not entered, and paths of them */
  readonly skip: readonly Bytes[];
  readonly avoid: readonly Bytes[];
  /** entries after which the search gives up */
  readonly limit: number;
}

/** What a search found; `entries` it met. */
export interface FindResult {
  /** sorted; names with bytes beyond ASCII are always among them */
  readonly paths: readonly Bytes[];
  /** directories of the user's own that they may not read or search: an agent could, after a chmod in its layer */
  readonly closed: readonly Bytes[];
  readonly entries: number;
  /** directories that the disk did not give */
  readonly unread: readonly Bytes[];
}

/** Searches whole trees for names, links never followed, by several threads: the caller waits. */
export function findNames({ roots, filter, skip, avoid, limit }: FindRequest): FindResult {
  const [literals, endings, pieces] = packedFilter(filter);
  const { paths, closed, entries, unread } = addon.findNames(packedList(roots), literals, endings, pieces, packedList(skip), packedList(avoid), BigInt(limit));
  return { paths: stringsIn(paths).sort(), closed: stringsIn(closed).sort(), entries, unread: stringsIn(unread).sort() };
}

/**
 * Ends this process without Node's own exit handler, which sets the terminal
 * back to what it was at our start: a pager in the same pipeline has changed
 * it since. For the `exit` event only, when all is written.
 */
export function exitNow(status: number): never {
  return addon.exitNow(status);
}

/** Its ends, to read from and to write to; other than Node's own, a write to it waits. Throws `KernelError`. */
export function makePipe(): readonly [Fd, Fd] {
  return check<readonly [number, number]>(addon.pipe(), 'pipe2', null);
}

/** Entries of a walk that get one line each, alike but for name and numbers of lines. */
export interface CrowdLines {
  /** they are sorted by rank, path and order */
  readonly rank: number;
  readonly order: number;
  readonly letter: string;
  /** absolute, with a slash at its end; printable ASCII, as the names are */
  readonly dir: string;
  readonly notes: string;
  /** of the walk, and their places there */
  readonly memory: ArrayBuffer;
  readonly at: Uint32Array;
}

/** Lines of a table that is sorted and laid out by the addon. */
export interface StatLines {
  /** of each line that is given: rank, order, and length of its name */
  readonly words: Uint32Array;
  /** what they are sorted by, each ended by a NUL */
  readonly paths: string;
  /** letter, name and amount of each, each ended by a NUL */
  readonly cells: string;
  readonly crowds: readonly CrowdLines[];
  /** what stands before and behind a number of added and of removed lines */
  readonly paint: readonly [string, string, string, string];
}

/** The table of `diff --stat`, as UTF-8. */
export function statLines({ words, paths, cells, crowds, paint }: StatLines): Uint8Array {
  return addon.statLines(words, paths, cells, crowds, ...paint);
}
