import { constants, existsSync, statfsSync } from 'node:fs';
import { toBuffer, toText, type Bytes } from '../bytes.js';
import { AgentfwError } from '../errors.js';
import { startSweeper } from '../kernel/background.js';
import { AT_FDCWD, KernelError, type Fd, type Kernel } from '../kernel/kernel.js';
import { isSameProcess, isStopped } from '../kernel/process.js';
import { removeTree } from '../kernel/remove.js';
import { PRIVATE_WORK } from '../view/draft.js';
import { markBare } from './keep-layers.js';
import { noteRecord } from './note.js';
import type { SandboxRecord } from './sandbox.js';
import { lockCommit, readRecord, sandboxDir, supervisorOf, type Store } from './store.js';
import type { Outcome } from './supervise.js';
import { trashSandbox } from './trash.js';

/**
 * Records the end of a run whose tree is gone. Layers that were written
 * without fsync reach the disk first, and the new record along with them: it
 * gets its name only then, so that `stopped` is never said too early. What is
 * thrown away at once need not reach the disk.
 */
export function recordStop(store: Store, record: SandboxRecord, outcome: Outcome, thrownAway = false): SandboxRecord {
  requirePlace(store, record.tag);
  const { groups: _groups, ...rest } = record;
  const layers = markBare(store.kernel, record.layers);
  const stopped: SandboxRecord = {
    ...rest,
    layers,
    state: record.bootId === store.context.bootId() || record.durable ? 'stopped' : 'unclean',
    stopped: store.context.now().toISOString(),
    driver: null,
    init: null,
    exit: outcome.exit,
  };
  const note = noteRecord(store, stopped);
  if (!record.durable && outcome.started && !thrownAway) syncLayers(store.kernel, record);
  note.sync();
  note.write();
  if (outcome.started && !thrownAway) dropWork(store, record);
  return stopped;
}

/** The kernel lets the agent go on where its layers are, and nothing says where that is. */
function requirePlace({ dir }: Store, tag: string): void {
  if (existsSync(toBuffer(dir))) return;
  throw new AgentfwError('AFW_STORE_GONE', `The store ${toText(dir)} was moved away while ${tag} ran, so its end can't be recorded. What the agent wrote is in the store.`, {
    ...{ status: 125, hint: `Name its new place: AGENTFW_STATE_DIR=PLACE agentfw diff ${tag}` },
  });
}

/**
 * The overlays' work directories, which the next run makes anew: the kernel
 * leaves one of mode 000 in each, over which a plain `rm -r` of the store
 * would stumble. What can't be removed waits for that next run.
 */
export function dropWork(store: Store, { tag, layers }: SandboxRecord): void {
  for (const { dir } of layers) dropIn(store.kernel, dir, 'work' as Bytes);
  dropIn(store.kernel, sandboxDir(store, tag), PRIVATE_WORK);
}

function dropIn(kernel: Kernel, dir: Bytes, name: Bytes): void {
  if (kernel.statOrNull(AT_FDCWD, dir) === null) return;
  const at = kernel.open(AT_FDCWD, dir, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    removeTree(kernel, at, name);
  } finally {
    kernel.close(at);
  }
}

/** True when the agent has filled the filesystem that its layers lie on: what it wrote may be cut short. */
export function isDiskFull(record: SandboxRecord): boolean {
  return record.layers.some(({ dir }) => {
    // One that went with its filesystem is told by whoever looks for changes in it.
    if (!existsSync(toBuffer(dir))) return false;
    const { bavail, bsize } = statfsSync(toBuffer(dir));
    return bavail * bsize < FULL_BYTES;
  });
}

const FULL_BYTES = 1 << 20;

/**
 * One syncfs per filesystem. It waits for all that anybody writes there, seconds on a
 * busy disk: where nothing lies in a layer, its directory is all that there is to sync.
 */
export function syncLayers(kernel: Kernel, record: SandboxRecord): void {
  const done = new Set<bigint>();
  for (const { dir } of record.layers) {
    const stat = kernel.statOrNull(AT_FDCWD, dir);
    if (stat === null || done.has(stat.dev)) continue;
    const fd = kernel.open(AT_FDCWD, dir, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      if (syncEmpty(kernel, fd)) continue;
      done.add(stat.dev);
      kernel.syncfs(fd);
    } finally {
      kernel.close(fd);
    }
  }
}

/** False where the layer holds something, or keeps us from looking: the agent may have changed its mode. */
function syncEmpty(kernel: Kernel, layer: Fd): boolean {
  let upper: Fd | null = null;
  try {
    upper = kernel.open(layer, 'upper' as Bytes, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    if (kernel.list(upper).length > 0) return false;
    kernel.fsync(upper);
    return true;
  } catch (error) {
    if (error instanceof KernelError) return false;
    throw error;
  } finally {
    if (upper !== null) kernel.close(upper);
  }
}

/** `--rm`, or a start that came to nothing: the caller holds the running lock. */
export function removeSandbox(store: Store, record: SandboxRecord): void {
  const lock = lockCommit(store, record.tag, () => undefined);
  try {
    trashSandbox(store, record);
  } finally {
    lock.release();
  }
  startSweeper(store.dir);
}

const KILL_WAIT_MS = 10_000;
const POLL_MS = 10;

/** A supervisor that doesn't do its part of the end by then is looked at. */
const WAKE_MS = 100;

/**
 * Ends a sandbox's tree: pid 1 is killed, and the kernel ends the rest. True
 * when it ran and is gone now, its supervisor with it; false when there was nothing to end.
 */
export async function killSandbox(store: Store, tag: string): Promise<boolean> {
  const supervisor = supervisorOf(store, tag);
  let killed = false;
  for (let waited = 0; waited < KILL_WAIT_MS; waited += POLL_MS) {
    const record = readRecord(store, tag);
    if (record.state !== 'running' && record.state !== 'starting') {
      if (killed) await awaitEnd(store, tag, supervisor);
      return killed;
    }
    for (const target of [record.init, record.driver]) {
      if (target !== null && isSameProcess(target)) {
        killed = true;
        strike(target.pid);
        break;
      }
    }
    if (waited % WAKE_MS === WAKE_MS - POLL_MS) wakeSupervisor(store, tag);
    await pause();
  }
  if (!killed) throw new AgentfwError('AFW_RUNNING', `Sandbox ${tag} is still starting.`, { hint: 'Try again in a moment' });
  return true;
}

/** Until the supervisor has counted what changed: the next command would find the sandbox held. Not for ever, as it may have a person to ask. */
async function awaitEnd(store: Store, tag: string, supervisor: number | null): Promise<void> {
  for (let waited = 0; waited < KILL_WAIT_MS && supervisor !== null && supervisorOf(store, tag) === supervisor; waited += POLL_MS) {
    if (waited % WAKE_MS === WAKE_MS - POLL_MS) wakeSupervisor(store, tag);
    await pause();
  }
}

/** One that is stopped (Ctrl-Z) neither says what it has started nor sees that it has ended. */
function wakeSupervisor(store: Store, tag: string): void {
  const pid = supervisorOf(store, tag);
  if (pid !== null && isStopped(pid)) strike(pid, 'SIGCONT');
}

/** It may have ended since we looked. */
function strike(pid: number, signal: 'SIGKILL' | 'SIGCONT' = 'SIGKILL'): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function pause(): Promise<void> {
  return new Promise((go) => void setTimeout(go, POLL_MS));
}

/** Waits until an earlier run's tree is gone: it may outlive its supervisor by a moment. */
export async function awaitGone(record: SandboxRecord): Promise<boolean> {
  for (let waited = 0; waited < KILL_WAIT_MS; waited += POLL_MS) {
    const left = [record.driver, record.init].some((target) => target !== null && isSameProcess(target));
    if (!left) return true;
    await pause();
  }
  return false;
}
