import { constants, watch, type FSWatcher } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import { fromBuffer, joinBytes, toBuffer } from '../../bytes.js';
import { errnoOf } from '../../errors.js';
import { AT_FDCWD, O_PATH, RESOLVE, type Fd, type Kernel, type Stat } from '../../kernel/kernel.js';
import { openLocked } from '../../kernel/locked.js';
import type { Layer } from '../../sandbox/sandbox.js';
import { attributesOf } from '../../kernel/attributes.js';
import { appendBases, baseDir, capturedOf, openIndex, readBases, type BaseRecord, type Bases, type CapturedBase } from '../base.js';
import type { FrameWriter } from '../journal/frames.js';
import { packedRefs, referenceOf, type PackedRef } from '../git/packed-ref.js';
import { NOT_SEEN } from '../git/reference.js';

/** What is watched, and how much of it may be kept. `t0` in ns since the epoch. */
export interface CaptureOptions {
  readonly kernel: Kernel;
  readonly sandboxDir: Bytes;
  readonly layers: readonly Layer[];
  readonly t0: bigint;
  /** a bigger base is not copied (but cloned where that costs nothing) */
  readonly fileBytes: number;
  /** of all copies */
  readonly totalBytes: number;
}

/** A running capture. `settle` handles all that was reported so far; `stop` does so and ends it. */
export interface Capture {
  readonly settle: () => void;
  readonly stop: () => CaptureCounts;
}

/** Numbers of paths: kept, known to be unkept, and directories that nobody watched. */
export interface CaptureCounts {
  readonly captured: number;
  readonly unknown: number;
  /** the kernel refused to watch more directories: what came up there was not seen */
  readonly unwatched: number;
}

interface Capturing extends CaptureOptions {
  readonly watchers: Map<string, FSWatcher>;
  readonly seen: Set<Bytes>;
  /** perhaps directories, kept by an earlier run and not met by this one: they are to be watched too */
  readonly known: Set<Bytes>;
  readonly queue: { readonly layer: number; readonly path: Bytes }[];
  readonly index: FrameWriter;
  readonly tops: readonly { readonly upper: Fd; readonly base: Fd }[];
  readonly packed: (path: Bytes) => PackedRef;
  timer: NodeJS.Timeout | null;
  /** when the agent was last seen to write, by the monotonic clock */
  busyAt: number;
  bytes: number;
  blobs: number;
  clones: boolean;
  full: boolean;
  counts: { captured: number; unknown: number; unwatched: number };
}

/** Entries handled before the event loop gets its turn: a millisecond or two. */
const SLICE = 64;
/** While the agent writes, each slice is followed by a pause of so many times its length: the disk and the processors are its. */
const PAUSES = 4;
/** ms without a write of the agent after which the rest is kept as fast as it goes */
const QUIET = 30;
const DIR = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const INSIDE = RESOLVE.beneath | RESOLVE.noSymlinks | RESOLVE.noMagiclinks;

/**
 * Watches the layers and keeps what the base had at each path that appears in
 * them, outside the agent's way: the agent never waits for it, and what comes
 * too late is marked unknown, never guessed.
 */
export function startCapture(options: CaptureOptions): Capture {
  const { kernel, sandboxDir, layers } = options;
  if (kernel.statOrNull(AT_FDCWD, baseDir(sandboxDir)) === null) kernel.mkdir(AT_FDCWD, baseDir(sandboxDir), 0o700);
  const known = readBases(kernel, sandboxDir);
  const [done, open] = partition(known);
  const capturing: Capturing = {
    ...options,
    watchers: new Map(),
    seen: done,
    known: open,
    queue: [],
    index: openIndex(kernel, sandboxDir),
    tops: layers.map((layer) => openTops(kernel, layer)),
    packed: packedRefs(kernel),
    timer: null,
    busyAt: -Infinity,
    bytes: 0,
    blobs: known.size,
    clones: false,
    full: false,
    counts: { captured: 0, unknown: 0, unwatched: 0 },
  };
  layers.forEach((_layer, layer) => watchDir(capturing, layer, '' as Bytes));
  drain(capturing);
  return { settle: () => drain(capturing), stop: () => stop(capturing) };
}

function openTops(kernel: Kernel, layer: Layer): { readonly upper: Fd; readonly base: Fd } {
  const upper = openLocked(kernel, joinBytes(layer.dir, 'upper' as Bytes));
  return { upper, base: kernel.open(AT_FDCWD, layer.base, DIR | O_PATH) };
}

/**
 * What an earlier run kept: of most nothing is left to do. Where the base had a
 * directory, or may have had one, there is more to keep below it.
 */
function partition(known: Bases): readonly [Set<Bytes>, Set<Bytes>] {
  const [done, open] = [new Set<Bytes>(), new Set<Bytes>()];
  for (const [path, { state }] of known) (state === 'dir' || state === 'unknown' ? open : done).add(path);
  return [done, open];
}

/** Watches first and lists afterwards: what was made in between is found twice, not missed. */
function watchDir(capturing: Capturing, layer: number, path: Bytes): void {
  const key = `${layer}/${path}`;
  if (capturing.watchers.has(key)) return;
  const dir = joinBytes((capturing.layers[layer] as Layer).dir, 'upper' as Bytes);
  try {
    const full = path === '' ? dir : joinBytes(dir, path);
    const watcher = watch(toBuffer(full), { encoding: 'buffer', persistent: false }, (_event, name) => {
      capturing.busyAt = performance.now();
      if (name !== null) noticed(capturing, layer, below(path, fromBuffer(name)));
    });
    watcher.on('error', () => undefined);
    capturing.watchers.set(key, watcher);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    capturing.counts.unwatched += 1;
  }
  for (const name of namesIn(capturing, layer, path)) noticed(capturing, layer, below(path, name));
}

function below(path: Bytes, name: Bytes): Bytes {
  return path === '' ? name : joinBytes(path, name);
}

function namesIn({ kernel, tops }: Capturing, layer: number, path: Bytes): Bytes[] {
  try {
    const fd = kernel.open(tops[layer]?.upper ?? -1, path === '' ? ('.' as Bytes) : path, DIR, 0, INSIDE);
    try {
      return kernel.list(fd);
    } finally {
      kernel.close(fd);
    }
  } catch {
    // Gone again, or not for us to read: nothing to watch either way.
    return [];
  }
}

function noticed(capturing: Capturing, layer: number, path: Bytes): void {
  const { base } = capturing.layers[layer] as Layer;
  const absolute = (base === '/' ? `/${path}` : `${base}/${path}`) as Bytes;
  if (capturing.full || capturing.seen.has(absolute)) return;
  capturing.seen.add(absolute);
  capturing.queue.push({ layer, path });
  capturing.timer ??= setTimeout(() => work(capturing), 0);
}

function work(capturing: Capturing): void {
  const start = performance.now();
  handle(capturing, SLICE);
  const now = performance.now();
  const pause = now - capturing.busyAt < QUIET ? PAUSES * (now - start) : 0;
  capturing.timer = capturing.queue.length > 0 ? setTimeout(() => work(capturing), pause) : null;
}

function drain(capturing: Capturing): void {
  while (capturing.queue.length > 0) handle(capturing, Infinity);
}

/** A disk that is full ends the capture, never the run: what is not in the index counts as unknown. */
function handle(capturing: Capturing, most: number): void {
  const batch = capturing.queue.splice(0, most);
  if (capturing.full) return;
  const records = batch.flatMap(({ layer, path }) => recordOf(capturing, layer, path) ?? []);
  try {
    if (records.length > 0) appendBases(capturing.index, records);
  } catch {
    capturing.full = true;
    capturing.counts.unknown += records.length;
  }
}

/** Null for what an earlier run kept: the first version counts. */
function recordOf(capturing: Capturing, layer: number, path: Bytes): BaseRecord | null {
  const top = (capturing.layers[layer] as Layer).base;
  const absolute = (top === '/' ? `/${path}` : `${top}/${path}`) as Bytes;
  const upper = upperOf(capturing, layer, path);
  if (capturing.known.delete(absolute)) {
    if (upper !== null && isDir(upper)) watchDir(capturing, layer, path);
    return null;
  }
  let base: CapturedBase;
  try {
    base = withPacked(capturing, absolute, capture(capturing, layer, path));
  } catch (error) {
    base = capturedOf(null, 'unknown', errnoOf(error) ?? 'error');
  }
  // Below a directory that the base lacks there is nothing to keep.
  if (upper !== null && isDir(upper) && base.state !== 'absent') watchDir(capturing, layer, path);
  capturing.counts[base.state === 'unknown' ? 'unknown' : 'captured'] += 1;
  return { path: absolute, base };
}

/** null also where the agent took the permission to look (chmod 000). */
function upperOf({ kernel, tops }: Capturing, layer: number, path: Bytes): Stat | null {
  try {
    return statIn(kernel, tops[layer]?.upper ?? -1, path);
  } catch {
    return null;
  }
}

function statIn(kernel: Kernel, top: Fd, path: Bytes): Stat | null {
  const slash = path.lastIndexOf('/');
  if (slash < 0) return kernel.statOrNull(top, path);
  let dir: Fd;
  try {
    dir = kernel.open(top, path.slice(0, slash) as Bytes, DIR, 0, INSIDE);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error) ?? '')) return null;
    throw error;
  }
  try {
    return kernel.statOrNull(dir, path.slice(slash + 1) as Bytes);
  } finally {
    kernel.close(dir);
  }
}

function isDir(stat: Stat): boolean {
  return (stat.mode & constants.S_IFMT) === constants.S_IFDIR;
}

/** A reference without a file has its value among the packed ones. */
function withPacked({ packed, t0 }: Capturing, path: Bytes, base: CapturedBase): CapturedBase {
  if (base.state !== 'absent' || referenceOf(path) === null) return base;
  const { value, ctimeNs } = packed(path);
  return capturedOf(null, 'absent', ctimeNs >= t0 ? NOT_SEEN : (value ?? ''));
}

/** Sound only when the base is still what it was at the start: older than T0, before and after the copy. */
function capture(capturing: Capturing, layer: number, path: Bytes): CapturedBase {
  const { kernel, tops, t0 } = capturing;
  const top = tops[layer]?.base ?? -1;
  const before = statIn(kernel, top, path);
  if (before === null) return capturedOf(null, 'absent');
  if (before.ctimeNs >= t0) return capturedOf(before, isDir(before) && before.mtimeNs >= t0 ? 'dir' : 'unknown', 'changed');
  const type = before.mode & constants.S_IFMT;
  if (type === constants.S_IFDIR) return capturedOf(before, 'dir', '', attributesIn(capturing, top, path));
  if (type === constants.S_IFLNK) return capturedOf(before, 'symlink', readlinkIn(kernel, top, path));
  if (type !== constants.S_IFREG) return capturedOf(before, 'other');
  return captureFile(capturing, { top, path, before });
}

function readlinkIn(kernel: Kernel, top: Fd, path: Bytes): Bytes {
  const slash = path.lastIndexOf('/');
  if (slash < 0) return kernel.readlink(top, path);
  const dir = kernel.open(top, path.slice(0, slash) as Bytes, DIR, 0, INSIDE);
  try {
    return kernel.readlink(dir, path.slice(slash + 1) as Bytes);
  } finally {
    kernel.close(dir);
  }
}

/** Null: the directory may not be opened, or is not what it was any more. */
function attributesIn({ kernel, t0 }: Capturing, top: Fd, path: Bytes): string | null {
  let dir: Fd;
  try {
    dir = kernel.open(top, path, DIR, 0, INSIDE);
  } catch {
    return null;
  }
  try {
    const found = attributesOf(kernel, dir, '' as Bytes);
    return kernel.stat(dir, '' as Bytes).ctimeNs < t0 ? found : null;
  } finally {
    kernel.close(dir);
  }
}

interface Capturable {
  readonly top: Fd;
  readonly path: Bytes;
  readonly before: Stat;
}

function captureFile(capturing: Capturing, { top, path, before }: Capturable): CapturedBase {
  const { kernel, sandboxDir, t0, fileBytes, totalBytes } = capturing;
  const isBig = before.size > fileBytes || capturing.bytes + before.size > totalBytes;
  if (isBig && !capturing.clones) return capturedOf(before, 'unknown', 'large');
  capturing.blobs += 1;
  const name = `${capturing.blobs}`;
  const file = joinBytes(baseDir(sandboxDir), name as Bytes);
  const src = kernel.open(top, path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK, 0, INSIDE);
  try {
    const dst = kernel.open(AT_FDCWD, file, constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC, 0o600);
    try {
      capturing.clones = kernel.copy(src, dst) === 'reflink';
    } finally {
      kernel.close(dst);
    }
    const after = kernel.stat(src, '' as Bytes);
    if (!capturing.clones) capturing.bytes += after.size;
    const attributes = attributesOf(kernel, src, '' as Bytes);
    if (after.ctimeNs < t0 && after.ino === before.ino) return capturedOf(after, 'file', name, attributes);
  } finally {
    kernel.close(src);
  }
  kernel.unlink(AT_FDCWD, file);
  return capturedOf(before, 'unknown', 'changed');
}

function stop(capturing: Capturing): CaptureCounts {
  if (capturing.timer !== null) clearTimeout(capturing.timer);
  // What no event has told yet; a directory that comes up is listed in its turn.
  for (const key of [...capturing.watchers.keys()]) {
    const slash = key.indexOf('/');
    const [layer, path] = [Number(key.slice(0, slash)), key.slice(slash + 1) as Bytes];
    for (const name of namesIn(capturing, layer, path)) noticed(capturing, layer, below(path, name));
  }
  drain(capturing);
  for (const watcher of capturing.watchers.values()) watcher.close();
  if (capturing.timer !== null) clearTimeout(capturing.timer);
  const { kernel } = capturing;
  for (const { upper, base } of capturing.tops) {
    kernel.close(upper);
    kernel.close(base);
  }
  kernel.close(capturing.index.fd);
  return capturing.counts;
}
