import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import type { Bytes } from '../bytes.js';
import type { SandboxRecord } from './sandbox.js';

/** A process of a sandbox, as the host sees it. */
export interface SandboxProcess {
  /** as the host numbers it */
  readonly pid: number;
  readonly argv: readonly Bytes[];
}

/** The driver's own number for the sandbox's pid namespace. */
const PID_NAMESPACE = 202;

/** Every process of a running sandbox: those in the pid namespace of its init, or in one below. */
export function processesOf(record: SandboxRecord): readonly SandboxProcess[] {
  if (record.init === null) return [];
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (/^[0-9]+$/.test(name)) parents.set(Number(name), parentOf(Number(name)));
  }
  const init = record.init.pid;
  // A plain user may not look at the namespace of init.
  const roots = new Set([init, ...((record.driver && membersOf(record.driver.pid)) ?? [])]);
  // Orphans of a sandbox are given to its init, and what `exec` started is a member itself, so descent finds all, in nested namespaces too.
  const isOurs = (pid: number): boolean => {
    for (let at = pid, steps = 0; at > 1 && steps < 4096; at = parents.get(at) ?? 0, steps += 1) {
      if (roots.has(at)) return true;
    }
    return false;
  };
  return [...parents.keys()].filter((pid) => pid !== init && isOurs(pid)).map((pid) => ({ pid, argv: argvOf(pid) }));
}

/** Null: the sandbox has no namespace any more. */
export function membersOf(driver: number): number[] | null {
  const namespace = inodeOf(`/proc/${driver}/fd/${PID_NAMESPACE}`);
  if (namespace === null) return null;
  return readdirSync('/proc').filter((pid) => /^[0-9]+$/.test(pid) && inodeOf(`/proc/${pid}/ns/pid`) === namespace).map(Number);
}

function inodeOf(path: string): number | null {
  try {
    return statSync(path).ino;
  } catch {
    return null;
  }
}

function parentOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return 0;
  }
}

function argvOf(pid: number): Bytes[] {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').slice(0, -1) as Bytes[];
    return words.length > 0 ? words : [readlinkSync(`/proc/${pid}/exe`, 'latin1') as Bytes];
  } catch {
    return [];
  }
}
