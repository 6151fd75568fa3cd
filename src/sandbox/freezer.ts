import { readFileSync } from 'node:fs';
import { AgentfwError } from '../errors.js';
import { freezable, isGroupFrozen, isInGroup } from '../kernel/cgroup.js';
import { holdStill, type Held } from '../kernel/driver.js';
import { isSameProcess } from '../kernel/process.js';
import type { Lock } from './lock.js';
import { membersOf } from './processes.js';
import type { SandboxRecord } from './sandbox.js';

/** Stops and continues all of a running sandbox, see docs/driver-protocol.md. */
export interface Freezer {
  /** nothing of the sandbox runs any more when this returns */
  readonly hold: () => Promise<void>;
  /** lets go on what was held; throws when something ran all the same, or all has ended */
  readonly release: () => void;
  /** the same without a look, for the way out */
  readonly letGo: () => void;
}

/** `lock`: the sandbox's commit lock, which is kept until all goes on again. */
export function freezerOf(record: SandboxRecord, lock: Lock): Freezer {
  const { tag, state, driver } = record;
  if (state !== 'running' || driver === null) {
    throw new AgentfwError('AFW_RUNNING', `Sandbox ${tag} is still starting.`, { hint: 'Try again in a moment' });
  }
  const group = groupOf(record);
  let held: Held | null = null;
  const letGo = (): void => {
    held?.release();
    held = null;
  };
  return {
    hold: async () => {
      held ??= await holdStill(driver, group, lock.fd);
    },
    release: () => {
      if (held === null) return;
      const why = isSameProcess(driver) ? (isStill(driver.pid, held.by === 'group' ? group : null) ? null : 'a program was started in it') : 'it has ended';
      letGo();
      if (why !== null) throw new AgentfwError('AFW_NOT_STILL', `Sandbox ${tag} did not stay as it was: ${why} while its changes were copied.`, { hint: `Try again, or end it first: agentfw kill ${tag}` });
    },
    letGo,
  };
}

/** What is started by `exec` comes from outside: being stopped keeps nobody from it. */
function isStill(driver: number, group: string | null): boolean {
  const frozen = group !== null && isGroupFrozen(group);
  return membersOf(driver)?.every((pid) => isStopped(pid) || (frozen && isInGroup(pid, group))) ?? false;
}

/** The control group by which all of it can be frozen; null for none. */
export function groupOf({ groups }: SandboxRecord): string | null {
  return freezable(groups ?? []);
}

function isStopped(pid: number): boolean {
  const state = stateOf(pid) ?? 'X';
  return 'TtZXx'.includes(state) || (state === 'D' && waitsForChild(pid));
}

/** In vfork, whose child is as still: the driver's own rule (driver/procs.c). */
function waitsForChild(pid: number): boolean {
  try {
    return /^(?:kernel_clone|_do_fork|wait_for_vfork_done)/.test(readFileSync(`/proc/${pid}/wchan`, 'latin1'));
  } catch {
    return false;
  }
}

/** True for what a signal stopped. */
export function isHeld(pid: number): boolean {
  return stateOf(pid) === 'T';
}

function stateOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2)[0] ?? null;
  } catch {
    return null;
  }
}
