/** Processes of this machine, by what /proc says. */
import { readdirSync, readFileSync } from 'node:fs';

export function parentOf(pid: number): number {
  return Number(statOf(pid)?.[1] ?? 0);
}

export function childrenOf(pid: number): readonly number[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((one) => parentOf(one) === pid);
}

/** A zombie doesn't: the first process of a container may be one that never reaps. */
export function exists(pid: number): boolean {
  const state = statOf(pid)?.[0];
  return state !== undefined && state !== 'Z' && state !== 'X';
}

/** What /proc tells from the state on. */
function statOf(pid: number): readonly string[] | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return null;
  }
}

export function strike(pid: number): void {
  try {
    if (pid > 1) process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
