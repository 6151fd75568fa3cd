import { readFileSync } from 'node:fs';
import { processesOf } from './processes.js';
import type { SandboxRecord } from './sandbox.js';

const PAGE = 4096;

/**
 * Memory of a whole tree where no control group counts it: each process's
 * share of what it has in memory, or all of it where the process keeps us from
 * looking closer. Files in memory that no process maps are not seen.
 */
export function memoryOf(record: SandboxRecord): number {
  return processesOf(record).reduce((sum, { pid }) => sum + memoryOfOne(pid), 0);
}

function memoryOfOne(pid: number): number {
  const share = /^Pss:\s+(\d+) kB$/m.exec(read(pid, 'smaps_rollup') ?? '')?.[1];
  if (share !== undefined) return Number(share) * 1024;
  return Number(read(pid, 'statm')?.split(' ')[1] ?? 0) * PAGE;
}

function read(pid: number, name: string): string | null {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return null; // it has ended
  }
}

/** Processes and threads of a tree. */
export function tasksOf(record: SandboxRecord): number {
  return processesOf(record).reduce((sum, { pid }) => sum + Number(/^Threads:\s+(\d+)$/m.exec(read(pid, 'status') ?? '')?.[1] ?? 0), 0);
}
