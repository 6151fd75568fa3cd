import { constants } from 'node:fs';
import type { Bytes } from '../bytes.js';
import { fromText, isWithin, joinBytes, toText } from '../bytes.js';
import type { Context } from '../context.js';
import { AgentfwError, errnoOf } from '../errors.js';
import { readWhole, replaceFile } from '../kernel/files.js';
import { AT_FDCWD, RENAME, type Kernel } from '../kernel/kernel.js';
import { removeGroups } from '../kernel/cgroup.js';
import { isSameProcess } from '../kernel/process.js';
import { suggest } from '../policy/suggest.js';
import { holderOf, isLocked, pauseHere, tryLock, waitLock, type Lock } from './lock.js';
import { flagless, isClaimed, secureStore, storePath } from './place.js';
import { decodeRecord, encodeRecord } from './record.js';
import type { Layer, SandboxRecord } from './sandbox.js';
import { checkTag, isTag, tagFor } from './tag.js';

export type { Lock } from './lock.js';

/** An opened store. docs/store.md describes each file in it. */
export interface Store {
  readonly context: Context;
  readonly kernel: Kernel;
  /** real path, without symlinks */
  readonly dir: Bytes;
}

/** What a new sandbox is made from; the rest of its record starts empty. */
export interface NewSandbox {
  /** null: made from the agent's name */
  readonly tag: string | null;
  readonly argv: readonly Bytes[];
  readonly cwd: Bytes;
  readonly mode: SandboxRecord['mode'];
  readonly net: SandboxRecord['net'];
  readonly durable: boolean;
}

/** A sandbox that was just made, and is nobody else's. */
export interface CreatedSandbox {
  /** state `starting`, no layers yet */
  readonly record: SandboxRecord;
  readonly dir: Bytes;
  /** the `running` lock, already held */
  readonly running: Lock;
}

/** Sandboxes newest first, and those whose record can't be read. */
export interface Listing {
  readonly records: readonly SandboxRecord[];
  readonly broken: readonly { readonly tag: string; readonly error: unknown }[];
}

/** Opens the store, making it at first use. Refuses one that others could have chosen or can write. */
export function openStore(context: Context): Store {
  const dir = secureStore(context, storePath(context.env));
  return { context, kernel: context.kernel, dir };
}

/** The store whose real path `dir` is, as `openStore` gave it to who started us; null when it was removed since. Makes nothing. */
export function reopenStore(context: Context, dir: Bytes): Store | null {
  return isClaimed(context.kernel, dir) ? { context, kernel: context.kernel, dir } : null;
}

/** Throws `AFW_TAG` for what is no tag, so that no path comes of it. */
export function sandboxDir(store: Store, tag: string): Bytes {
  return joinBytes(storeDirOf(store, 'sandboxes'), fromText(checkTag(tag)));
}

/** One of the store's three directories. */
export function storeDirOf(store: Store, name: 'sandboxes' | 'commits' | 'trash'): Bytes {
  return joinBytes(store.dir, name as Bytes);
}

/**
 * A directory for layer `id` on the filesystem of `mountRoot`. The random part
 * keeps a new sandbox apart from a discarded one of the same tag whose layers
 * are still being removed.
 */
export function foreignLayerDir(store: Store, mountRoot: Bytes, tag: string, id: number): Bytes {
  const unique = store.context.random(6).toString('hex');
  const root = joinBytes(mountRoot, `.agentfw-${store.context.uid}` as Bytes);
  return `${root}/${checkTag(tag)}.${unique}/${id}` as Bytes;
}

/** A tag for an agent that no sandbox has. */
export function newTag(store: Store, agent: Bytes): string {
  for (;;) {
    const tag = tagFor(agent, store.context.random);
    if (isTag(tag) && !hasSandbox(store, tag)) return tag;
  }
}

/** False also for what is no tag. */
export function hasSandbox(store: Store, tag: string): boolean {
  return isTag(tag) && store.kernel.statOrNull(AT_FDCWD, sandboxDir(store, tag)) !== null;
}

/**
 * Makes a sandbox whole before it gets its name, so that no crash leaves half
 * of one, and returns it with its `running` lock held.
 */
export function createSandbox(store: Store, made: NewSandbox): CreatedSandbox {
  const tag = made.tag === null ? newTag(store, made.argv[0] ?? ('' as Bytes)) : checkTag(made.tag);
  const { kernel } = store;
  const sandboxes = storeDirOf(store, 'sandboxes');
  if (hasSandbox(store, tag)) throw tagTaken(tag);
  const draft = joinBytes(sandboxes, `${DRAFT}${store.context.random(8).toString('hex')}` as Bytes);
  kernel.mkdir(AT_FDCWD, draft, 0o700);
  for (const name of ['layers', 'base', 'private'] as Bytes[]) kernel.mkdir(AT_FDCWD, joinBytes(draft, name), 0o700);
  const running = tryLock(kernel, joinBytes(draft, RUNNING));
  if (running === null) throw new Error('a new lock is held by another process');
  const record = recordFor(store, made, tag, markStart(kernel, draft));
  replaceFile(kernel, joinBytes(draft, RECORD), encodeRecord(record));
  try {
    kernel.rename(AT_FDCWD, draft, AT_FDCWD, joinBytes(sandboxes, fromText(tag)), RENAME.noReplace);
  } catch (error) {
    running.release();
    throw errnoOf(error) === 'EEXIST' ? tagTaken(tag) : errnoOf(error) === 'EINVAL' ? flagless(store.dir) : error;
  }
  syncDir(kernel, sandboxes);
  return { record, dir: sandboxDir(store, tag), running };
}

/** Name of a sandbox that is being made; one left by a crash is swept with the trash. */
export const DRAFT = '.new-';
const RECORD = 'sandbox.json' as Bytes;
const RUNNING = 'running.lock' as Bytes;
const COMMIT = 'commit.lock' as Bytes;

/** Makes the marker whose ctime is T0, or makes it new, and returns that (ns): the kernel's own clock, as for every file of the base. Throws `KernelError`. */
export function markStart(kernel: Kernel, dir: Bytes): bigint {
  const path = joinBytes(dir, 't0' as Bytes);
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW;
  kernel.close(kernel.open(AT_FDCWD, path, flags, 0o600));
  // An old one has the ctime of then.
  kernel.chmod(AT_FDCWD, path, 0o600);
  return kernel.stat(AT_FDCWD, path).ctimeNs;
}

function recordFor(store: Store, made: NewSandbox, tag: string, t0: bigint): SandboxRecord {
  const now = store.context.now().toISOString();
  const { argv, cwd, mode, net, durable } = made;
  return {
    ...{ version: 1, tag, state: 'starting', mode, argv, cwd, created: now, started: now, stopped: null, t0 },
    ...{ bootId: store.context.bootId(), layers: [], driver: null, init: null, exit: null, degraded: [], net },
    ...{ mounts: [], durable },
  };
}

function tagTaken(tag: string): AgentfwError {
  return new AgentfwError('AFW_TAG_TAKEN', `There is a sandbox ${tag} already.`, {
    status: 2,
    hint: `Choose another --tag, or run again in it: agentfw run --in ${tag} -- AGENT`,
  });
}

function syncDir(kernel: Kernel, dir: Bytes): void {
  const fd = kernel.open(AT_FDCWD, dir, constants.O_RDONLY | constants.O_DIRECTORY);
  kernel.fsync(fd);
  kernel.close(fd);
}

/** The record with its state as of now: a run that died counts as stopped, or unclean after a machine crash. */
export function readRecord(store: Store, tag: string): SandboxRecord {
  const dir = sandboxDir(store, tag);
  const file = joinBytes(dir, RECORD);
  requireOwnDir(store, dir);
  const text = readWhole(store.kernel, file);
  if (text === null) throw noSandbox(store, tag);
  const record = decodeRecord(text.toString('utf8'), toText(file));
  if (record.tag !== tag) {
    // A copy, or one that was renamed: what was asked of it would be done to the other.
    throw new AgentfwError('AFW_STORE_RECORD', `${toText(file)} is the record of sandbox ${record.tag}.`, { hint: `Move that directory out of the store, or give it its name back: ${record.tag}` });
  }
  return settled(store, inPlace(store, record));
}

/** RS04. As with the store itself: what a link leads to, or somebody else owns, says nothing of what an agent of ours did. */
function requireOwnDir({ kernel, context: { uid } }: Store, dir: Bytes): void {
  const stat = kernel.statOrNull(AT_FDCWD, dir);
  if (stat === null || ((stat.mode & constants.S_IFMT) === constants.S_IFDIR && stat.uid === uid)) return;
  const why = stat.uid === uid ? 'it is not a directory' : `it belongs to uid ${stat.uid}`;
  throw new AgentfwError('AFW_STORE_FILE', `Refusing to use ${toText(dir)} as a sandbox: ${why}.`, { hint: 'agentfw never makes one like that: move it away' });
}

/** Where the store was moved, its own layers lie beside the record still: taken for missing, they would be changes that nobody sees. */
function inPlace(store: Store, record: SandboxRecord): SandboxRecord {
  const here = sandboxDir(store, record.tag);
  if (record.layers.every(({ dir }) => isWithin(dir, here))) return record;
  const tail = `/sandboxes/${record.tag}/`;
  const moved = ({ dir }: Layer): Bytes => {
    const at = dir.lastIndexOf(tail);
    return at < 0 ? dir : joinBytes(here, dir.slice(at + tail.length) as Bytes);
  };
  return { ...record, layers: record.layers.map((layer) => ({ ...layer, dir: moved(layer) })) };
}

/** Replaces the record durably. Call it only with one of the sandbox's locks held. */
export function writeRecord(store: Store, record: SandboxRecord): void {
  replaceFile(store.kernel, joinBytes(sandboxDir(store, record.tag), RECORD), encodeRecord(record));
}

function settled(store: Store, record: SandboxRecord): SandboxRecord {
  if (record.state !== 'running' && record.state !== 'starting') return record;
  if (isLocked(store.kernel, joinBytes(sandboxDir(store, record.tag), RUNNING))) return record;
  // Its supervisor could not: an empty control group is all that it leaves outside the store.
  removeGroups(record.groups ?? []);
  const crashed = record.bootId !== store.context.bootId() && !record.durable;
  return { ...record, state: crashed ? 'unclean' : 'stopped', driver: null, init: null };
}

/**
 * The lock that a run holds from before its start until its end. Where only the
 * end is not recorded yet, or another command is about to let go, it waits, 10 s
 * at most; `onWait` tells the user. AFW_RUNNING while the agent runs, AFW_BUSY.
 */
export function lockRunning(store: Store, tag: string, onWait: (what: string) => void = () => undefined): Lock {
  const file = joinBytes(sandboxDir(store, tag), RUNNING);
  for (let waited = 0; ; waited += TRY_MS) {
    const record = readRecord(store, tag);
    const lock = inSandbox(store, tag, () => tryLock(store.kernel, file));
    if (lock !== null) return stillThere(store, tag, file, lock);
    if (isAlive(record) || (waited >= LET_GO_MS && isOpen(record))) throw new AgentfwError('AFW_RUNNING', `Sandbox ${tag} is running.`, { hint: `End it first: agentfw kill ${tag}` });
    if (waited >= LET_GO_MS) throw new AgentfwError('AFW_BUSY', `Another command holds sandbox ${tag}: a commit, a discard, or a run that begins or ends.`, { hint: 'Try again when it has ended' });
    if (waited === SAY_MS) onWait(`what else holds ${tag} to let go`);
    pauseHere(PAUSE_MS);
  }
}

const PAUSE_MS = 20;
/** The pause, and what a try takes that is refused. */
const TRY_MS = 50;
const SAY_MS = 500;
const LET_GO_MS = 10_000;

function isOpen({ state }: SandboxRecord): boolean {
  return state === 'starting' || state === 'running';
}

/** A tree that has ended leaves `running` behind until its supervisor has counted what changed. */
function isAlive(record: SandboxRecord): boolean {
  return isOpen(record) && (record.init === null || isSameProcess(record.init));
}

/** Discarded by another command a moment ago, its files are missing one by one. */
function inSandbox<T>(store: Store, tag: string, look: () => T): T {
  try {
    return look();
  } catch (error) {
    throw hasSandbox(store, tag) ? error : noSandbox(store, tag);
  }
}

/** The supervisor of a sandbox that runs. */
export function supervisorOf(store: Store, tag: string): number | null {
  return holderOf(store.kernel, joinBytes(sandboxDir(store, tag), RUNNING));
}

/** The lock of commit, discard and undo. Waits for the holder; `onWait` tells the user. */
export function lockCommit(store: Store, tag: string, onWait: () => void): Lock {
  readRecord(store, tag);
  const file = joinBytes(sandboxDir(store, tag), COMMIT);
  return stillThere(store, tag, file, inSandbox(store, tag, () => waitLock(store.kernel, file, onWait)));
}

/** The sandbox may have been discarded while we waited: then what we hold is a lock in the trash. */
function stillThere(store: Store, tag: string, file: Bytes, lock: Lock): Lock {
  const now = store.kernel.statOrNull(AT_FDCWD, file);
  const ours = store.kernel.stat(lock.fd, '' as Bytes);
  if (now !== null && now.ino === ours.ino && now.dev === ours.dev) return lock;
  lock.release();
  throw noSandbox(store, tag);
}

function noSandbox(store: Store, tag: string): AgentfwError {
  return new AgentfwError('AFW_NO_SANDBOX', `There is no sandbox ${tag}`, { hint: hintFor(store, tag) });
}

/** What to do about a tag that no sandbox has: the nearest one, if it looks like a slip. */
export function hintFor(store: Store, tag: string): string {
  const near = suggest(tag, tagsOf(store));
  return near === null ? 'List them: agentfw list' : `Did you mean ${near}?`;
}

function tagsOf(store: Store): string[] {
  const sandboxes = store.kernel.open(AT_FDCWD, storeDirOf(store, 'sandboxes'), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return store.kernel.list(sandboxes).filter(isTag);
  } finally {
    store.kernel.close(sandboxes);
  }
}

/** The newest first. A record that can't be read is `broken`, and no reason not to tell of the others. */
export function listRecords(store: Store): Listing {
  const records: SandboxRecord[] = [];
  const broken: { tag: string; error: unknown }[] = [];
  for (const tag of tagsOf(store)) {
    try {
      records.push(readRecord(store, tag));
    } catch (error) {
      // Discarded between the listing and the reading: gone, not broken.
      if (hasSandbox(store, tag)) broken.push({ tag, error });
    }
  }
  records.sort((a, b) => (a.created < b.created ? 1 : a.created > b.created ? -1 : a.tag < b.tag ? -1 : 1));
  return { records, broken };
}
