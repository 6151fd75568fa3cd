import { joinBytes, type Bytes } from '../bytes.js';
import { AgentfwError } from '../errors.js';
import { FieldError, listField, numberField, objectField, textField } from '../fields.js';
import { isGroupFrozen } from '../kernel/cgroup.js';
import { letGoOn, stopForGood, type Process } from '../kernel/driver.js';
import { readWhole, replaceFile } from '../kernel/files.js';
import { AT_FDCWD } from '../kernel/kernel.js';
import { isSameProcess, startTimeOf } from '../kernel/process.js';
import { membersOf } from './processes.js';
import type { SandboxRecord } from './sandbox.js';
import { groupOf, isHeld } from './freezer.js';
import { lockCommit, readRecord, sandboxDir, type Store } from './store.js';
import { recordEffect } from './trail.js';

/** `frozen.json` of a sandbox, written before anything is stopped: whatever dies after that, `thaw` knows what stays as it was. */
interface Freeze {
  /** the run that was frozen */
  readonly driver: Process;
  /** what stood still before, by the agent's own doing */
  readonly before: readonly Process[];
}

const FILE = 'frozen.json' as Bytes;

/** True while `freeze` holds it: its first process stands still. */
export function isFrozen(store: Store, record: SandboxRecord): boolean {
  return freezeOf(store, record) !== null && stands(record);
}

/** False when it was frozen already. */
export async function freezeSandbox(store: Store, tag: string, onWait: () => void): Promise<boolean> {
  const lock = lockCommit(store, tag, onWait);
  try {
    const record = readRecord(store, tag);
    const driver = runningDriver(record);
    if (isFrozen(store, record)) return false;
    const before = (membersOf(driver.pid) ?? []).filter(isHeld).flatMap(named);
    replaceFile(store.kernel, fileOf(store, tag), `${JSON.stringify({ version: 1, driver, before })}\n`);
    recordEffect(store, tag, { kind: 'freeze', detail: { by: 'agentfw freeze' } });
    await stopForGood(driver, lock.fd);
    return true;
  } finally {
    lock.release();
  }
}

/** False when it was not frozen. Also for one whose freezer died in the middle. */
export async function thawSandbox(store: Store, tag: string, onWait: () => void): Promise<boolean> {
  const lock = lockCommit(store, tag, onWait);
  try {
    const record = readRecord(store, tag);
    const driver = runningDriver(record);
    const freeze = freezeOf(store, record);
    // Whatever the agent stopped itself in one that is not frozen is its own business.
    const group = groupOf(record);
    if (freeze === null && !stands(record) && !(group !== null && isGroupFrozen(group))) return false;
    await letGoOn(driver, group, lock.fd, freeze?.before ?? []);
    if (freeze !== null) store.kernel.unlink(AT_FDCWD, fileOf(store, tag));
    recordEffect(store, tag, { kind: 'thaw', detail: { by: 'agentfw thaw' } });
    return true;
  } finally {
    lock.release();
  }
}

/** What is started in a frozen sandbox would run alone, on what nobody else sees change. */
export function refuseFrozen(store: Store, record: SandboxRecord): void {
  if (!isFrozen(store, record)) return;
  throw new AgentfwError('AFW_FROZEN', `Sandbox ${record.tag} is frozen.`, { status: 125, hint: `Let it go on first: agentfw thaw ${record.tag}` });
}

function runningDriver({ tag, state, driver }: SandboxRecord): Process {
  if (state === 'running' && driver !== null && isSameProcess(driver)) return driver;
  throw new AgentfwError('AFW_NOT_RUNNING', `Sandbox ${tag} is ${state === 'starting' ? 'still starting' : 'not running'}.`, {
    hint: state === 'starting' ? 'Try again in a moment' : 'List what runs: agentfw list',
  });
}

/** The first process of a sandbox is stopped by nobody inside. */
function stands({ init }: SandboxRecord): boolean {
  return init !== null && isHeld(init.pid);
}

function named(pid: number): Process[] {
  const start = startTimeOf(pid);
  return start === null ? [] : [{ pid, start }];
}

/** Null: there is none, or it is of an earlier run. One that a disk has damaged still says that it is frozen. */
function freezeOf(store: Store, { tag, driver }: SandboxRecord): Freeze | null {
  const text = readWhole(store.kernel, fileOf(store, tag));
  if (text === null || driver === null) return null;
  const freeze = freezeIn(text) ?? { driver, before: [] };
  return freeze.driver.pid === driver.pid && freeze.driver.start === driver.start ? freeze : null;
}

/** Null: nobody of ours wrote that. */
function freezeIn(text: Buffer): Freeze | null {
  try {
    const fields = objectField(JSON.parse(text.toString('utf8')), 'frozen.json');
    return { driver: processIn(fields['driver']), before: listField(fields['before'], 'before').map(processIn) };
  } catch (error) {
    if (error instanceof FieldError || error instanceof SyntaxError) return null;
    throw error;
  }
}

function processIn(value: unknown): Process {
  const { pid, start } = objectField(value, 'process');
  return { pid: numberField(pid, 'pid'), start: textField(start, 'start') };
}

function fileOf(store: Store, tag: string): Bytes {
  return joinBytes(sandboxDir(store, tag), FILE);
}
