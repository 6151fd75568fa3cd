import { constants } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import { joinBytes, parentOf } from '../../bytes.js';
import { errnoOf } from '../../errors.js';
import { openOwn } from '../../kernel/files.js';
import { AT_FDCWD, type Fd, type Kernel, type Stat } from '../../kernel/kernel.js';
import { nodeDisk } from '../apply/disk.js';
import { framesIn, writeList } from '../journal/frames.js';
import { readHostFile } from '../conflict/host-file.js';
import type { Header } from '../journal/journal.js';
import { LONGEST_REFERENCE, referenceOf, valueOf } from '../git/packed-ref.js';
import { spotOf, statPlace, type OpenDirs } from '../apply/open-dirs.js';
import type { Running } from '../apply/run.js';
import type { StoreContext } from '../store-context.js';
import { absolute, below, isIdent, numbered, type Place, type Step } from '../plan/step.js';
import { newIndexes } from '../git/new-indexes.js';
import { mayBeIndex, meaningOfIndex } from '../git/touched-index.js';

/**
 * I17: what agentfw landed or restored is not host-changed for the sandbox it
 * came from. The file `epochs` of a sandbox says which objects these are; a
 * store-wide one says which objects an undo put back as they had been.
 */
export interface Epoch {
  readonly ino: bigint;
  readonly size: number;
  readonly mtimeNs: bigint;
  /** nothing that happened to the object at or before this is the host's doing */
  readonly ctimeNs: bigint;
  /** a directory that landed with all that is in it */
  readonly tree: boolean;
  /** of a git index: what it says, however often `git status` writes it anew; of a reference its value; else '' */
  readonly meaning: string;
  /** of a directory: what it landed with, whatever comes and goes in it; null where that wasn't seen */
  readonly owner: Owner | null;
}

/** With the time of birth, as a filesystem gives a number of an inode again. */
export type Owner = Pick<Stat, 'mode' | 'uid' | 'gid' | 'btimeNs'>;

/** What agentfw landed since T0, by absolute path; `hasTrees`: some stand for all below them. */
export interface Epochs {
  readonly byPath: ReadonlyMap<Bytes, Epoch>;
  readonly hasTrees: boolean;
}

/** Beside the record of the sandbox. */
export const EPOCHS = 'epochs' as Bytes;
/** of a path that agentfw took away */
const NOTHING = '0 0 0 0 0';

/** By path, what a git index says: of those that landed, and of repositories whose objects did. */
export type Meanings = Map<Bytes, string>;

/**
 * Appends what this journal landed, and returns what the git indexes among it
 * say. Repeating it adds the same again, which does no harm.
 */
export function appendEpochs(ctx: StoreContext, header: Header, running: Running): Meanings {
  const meanings: Meanings = new Map();
  const landedNs = ctx.kernel.stat(running.writer.fd, '' as Bytes).mtimeNs;
  const lines = linesOf(running, landedNs, meanings);
  const dir = joinBytes(joinBytes(ctx.stateDir, 'sandboxes' as Bytes), header.tag as Bytes);
  if (header.tag === '' || ctx.kernel.statOrNull(AT_FDCWD, dir) === null) {
    while (lines.next().done !== true);
    return meanings;
  }
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
  const fd = openOwn(ctx.kernel, joinBytes(dir, EPOCHS), flags, 0o600);
  try {
    const writer = { fd, disk: ctx.disk ?? nodeDisk, at: 0 };
    // A record that a crash cut short is written over.
    for (const frame of framesIn(fd)) writer.at = frame.end;
    writeList(writer, 'E', lines);
    ctx.kernel.fsync(fd);
  } finally {
    ctx.kernel.close(fd);
  }
  return meanings;
}

/**
 * Nothing is looked at but directories and a git index: what landed has the identity that the journal says, and
 * what happened to it before `landedNs` was our own doing, unless it changed
 * the content stamps too.
 */
function* linesOf({ dirs, steps, refused }: Running, landedNs: bigint, meanings: Meanings): Generator<string> {
  const repositories = new Map<Bytes, Place>();
  for (const [index, step] of numbered(steps)) {
    const { host, act, type } = step;
    if (refused.has(index) || act === 'drop' || dirs.roots[host.root]?.as !== undefined) continue;
    noteRepository(repositories, host);
    // A name that came or went made the ctime of the file new.
    const other = step.link ?? step.twin;
    const file = step.link === null ? step.old : step.fresh;
    if (other !== null && file !== null) yield `${absolute(dirs.roots, other)}\0${file.ino} ${file.size} ${file.mtimeNs} ${landedNs} 0\0`;
    const path = absolute(dirs.roots, host);
    const { ino, size, mtimeNs } = landedIdent(step) ?? GONE;
    const meaning = type !== 'file' || act === 'take' ? null : meaningOf(dirs, step, path);
    if (meaning !== null && mayBeIndex(path)) meanings.set(path, meaning);
    const said = meaning === null ? ownerOf(dirs, step, landedNs) : ` ${meaning}`;
    yield ino === 0n ? `${path}\0${NOTHING}\0` : `${path}\0${ino} ${size} ${mtimeNs} ${landedNs} ${step.tree ? 1 : 0}${said}\0`;
    if (step.tree && step.act !== 'take') yield* indexLines(dirs, step, { landedNs, meanings });
  }
  for (const place of repositories.values()) noteIndex(dirs, place, { landedNs, meanings });
}

const OBJECTS = '.git/objects/';

function noteRepository(repositories: Map<Bytes, Place>, { root, path }: Place): void {
  const at = path.lastIndexOf(OBJECTS);
  if (at === -1 || (at > 0 && path[at - 1] !== '/')) return;
  const dir = path.slice(0, at + '.git'.length) as Bytes;
  repositories.set(`${root}/${dir}` as Bytes, { root, path: dir });
}

/** Objects landed and the index did not: nobody who only looks makes it name one of them. */
function noteIndex(dirs: OpenDirs, dir: Place, { landedNs, meanings }: Reading): void {
  const place = below(dir, 'index' as Bytes);
  const path = absolute(dirs.roots, place);
  const read = meanings.has(path) ? null : readIndex(dirs, place);
  if (read !== null && read.stat.ctimeNs <= landedNs) meanings.set(path, read.meaning);
}

/** Mode and owner of a directory, unless the host touched it already. */
function ownerOf(dirs: OpenDirs, step: Step, landedNs: bigint): string {
  if (step.type !== 'dir') return '';
  const now = statQuietly(dirs, step.host);
  return now === null || now.ctimeNs > landedNs || !isIdent(now, landedIdent(step)) ? '' : ` ${now.mode} ${now.uid} ${now.gid} ${now.btimeNs}`;
}

function statQuietly(dirs: OpenDirs, place: Place): Stat | null {
  try {
    return statPlace(dirs, place);
  } catch (error) {
    // Only to spare the user a conflict later.
    if (errnoOf(error) === null) throw error;
    return null;
  }
}

/** What a git index or reference says that landed; null for one that was written again since. */
function meaningOf(dirs: OpenDirs, step: Step, path: Bytes): string | null {
  if (referenceOf(path) !== null) return landedReference(dirs, step);
  if (!mayBeIndex(step.host.path)) return null;
  const read = readIndex(dirs, step.host);
  return read === null || !isIdent(read.stat, landedIdent(step)) ? null : read.meaning;
}

/** A branch or tag, which git may put among the packed ones at any time. */
function landedReference(dirs: OpenDirs, step: Step): string | null {
  const content = readHostFile(dirs.kernel, absolute(dirs.roots, step.host), LONGEST_REFERENCE);
  return content !== null && isIdent(statPlace(dirs, step.host), landedIdent(step)) ? valueOf(content) : null;
}

interface Reading {
  readonly landedNs: bigint;
  readonly meanings: Meanings;
}

function* indexLines(dirs: OpenDirs, { host }: Step, { landedNs, meanings }: Reading): Generator<string> {
  for (const place of newIndexes(dirs, host)) {
    const read = readIndex(dirs, place);
    if (read === null || read.stat.ctimeNs > landedNs) continue;
    const { ino, size, mtimeNs } = read.stat;
    const at = absolute(dirs.roots, place);
    meanings.set(at, read.meaning);
    yield `${at}\0${ino} ${size} ${mtimeNs} ${landedNs} 0 ${read.meaning}\0`;
  }
}

/** A git index that a path has now; null for anything else. */
export function readIndex(dirs: OpenDirs, place: Place): { readonly stat: Stat; readonly meaning: string } | null {
  const { kernel } = dirs;
  let fd: Fd | null = null;
  try {
    const { at, name } = spotOf(dirs, place);
    fd = kernel.open(at, name, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stat = kernel.stat(fd, '' as Bytes);
    const meaning = (stat.mode & constants.S_IFMT) === constants.S_IFREG ? meaningOfIndex(kernel, fd) : null;
    return meaning === null ? null : { stat, meaning };
  } catch (error) {
    // Only to spare the user a conflict later.
    if (errnoOf(error) === null) throw error;
    return null;
  } finally {
    if (fd !== null) kernel.close(fd);
  }
}

const GONE = { ino: 0n, size: 0, mtimeNs: 0n };

function landedIdent(step: Step): Step['fresh'] {
  if (step.act === 'take') return null;
  if (step.act === 'meta') return step.old;
  const { fresh } = step;
  return step.act === 'write' && fresh !== null && step.old !== null ? { ...fresh, ino: step.old.ino } : fresh;
}

/** The last word on each path. Empty where nothing landed yet. Throws `KernelError`, also for a file that is not ours. */
export function readEpochs(kernel: Kernel, sandboxDir: Bytes): Epochs {
  const byPath = new Map<Bytes, Epoch>();
  let hasTrees = false;
  const file = joinBytes(sandboxDir, EPOCHS);
  if (kernel.statOrNull(AT_FDCWD, file) === null) return { byPath, hasTrees };
  const fd = openOwn(kernel, file, constants.O_RDONLY);
  try {
    for (const { body } of framesIn(fd)) {
      const fields = body.split('\0');
      for (let at = 0; at + 1 < fields.length; at += 2) {
        const epoch = epochOf(fields[at + 1] as string);
        hasTrees ||= epoch.tree;
        byPath.set(fields[at] as Bytes, epoch);
      }
    }
  } finally {
    kernel.close(fd);
  }
  return { byPath, hasTrees };
}

function epochOf(field: string): Epoch {
  const [ino = '0', size, mtime = '0', ctime = '0', tree, meaning = '', uid, gid, btime] = field.split(' ');
  const owner = btime === undefined ? null : { mode: Number(meaning), uid: Number(uid), gid: Number(gid), btimeNs: BigInt(btime) };
  return { ino: BigInt(ino), size: Number(size), mtimeNs: BigInt(mtime), ctimeNs: BigInt(ctime), tree: tree === '1', meaning: owner === null ? meaning : '', owner };
}

/** True when nothing is there because agentfw took it away. */
export function tookAway(epochs: Epochs, path: Bytes): boolean {
  return epochs.byPath.get(path)?.ino === 0n;
}

/** True when agentfw landed an object at this very path. */
export function hasLanded(epochs: Epochs, path: Bytes): boolean {
  return (epochs.byPath.get(path)?.ino ?? 0n) !== 0n;
}

/** The directory that agentfw landed at this very path, if it is still the one: later commits into it and the host's files make its times new. */
export function landedDir(epochs: Epochs, path: Bytes, now: Stat): Owner | null {
  const own = epochs.byPath.get(path);
  return isDir(now) && own?.ino === now.ino && own.owner?.btimeNs === now.btimeNs ? own.owner : null;
}

/** True when the host's object is one that agentfw put there, and nobody touched it since. */
export function isOurs(epochs: Epochs, path: Bytes, now: Stat): boolean {
  const own = epochs.byPath.get(path);
  if (own !== undefined && own.ino === now.ino && now.ctimeNs <= own.ctimeNs && sameContent(own, now)) return true;
  if (!epochs.hasTrees) return false;
  for (let at = path; at !== '/'; ) {
    at = parentOf(at);
    const above = epochs.byPath.get(at);
    if (above?.tree === true) return now.ctimeNs <= above.ctimeNs;
  }
  return false;
}

function sameContent(own: Epoch, now: Stat): boolean {
  return isDir(now) || (own.size === now.size && own.mtimeNs === now.mtimeNs);
}

function isDir(stat: Stat): boolean {
  return (stat.mode & constants.S_IFMT) === constants.S_IFDIR;
}
