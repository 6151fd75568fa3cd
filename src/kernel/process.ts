import { existsSync, fstatSync, readFileSync } from 'node:fs';

/** The numbered fields of /proc/PID/stat, from the state (field 3) on; null when there is no such process. */
function statFields(pid: number | 'self'): readonly string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The program's name, in brackets, may hold anything.
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return null;
  }
}

/** Field 22 of /proc/PID/stat: with it a pid names one process for good. */
export function startTimeOf(pid: number): string | null {
  return statFields(pid)?.[19] ?? null;
}

/** A pid may be given again: only with its start time, field 22 of proc_pid_stat(5), does it say who. A zombie is not it any more. */
export function isSameProcess(process: { readonly pid: number; readonly start: string }): boolean {
  const fields = statFields(process.pid);
  return fields !== null && fields[19] === process.start && fields[0] !== 'Z' && fields[0] !== 'X';
}

/** True while a signal, or Ctrl-Z, keeps it from running. */
export function isStopped(pid: number): boolean {
  return statFields(pid)?.[0] === 'T';
}

let hangupIgnored: boolean | null = null;

/**
 * True when whoever started us wanted SIGHUP ignored (`nohup`). Node itself has
 * made it deadly by the time that this runs, so the traces are read: the shell's
 * `_` names nohup, or the parent ignores it, which a child inherits. Asked
 * first at the start, while the parent is the one that it was.
 */
export function ignoresHangup(): boolean {
  hangupIgnored ??= /(^|\/)nohup$/.test(process.env['_'] ?? '') || (process.ppid > 1 && parentIgnoresHangup());
  return hangupIgnored;
}

function parentIgnoresHangup(): boolean {
  try {
    const ignored = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${process.ppid}/status`, 'latin1'))?.[1] ?? '0';
    return (BigInt(`0x${ignored}`) & 1n) === 1n;
  } catch {
    return false;
  }
}

/** What this process may have; null where nothing limits it, or the kernel doesn't tell. */
export interface OwnLimits {
  /** descriptors: the most that it may ask for */
  readonly descriptors: number | null;
  /** bytes in one file */
  readonly fileSize: number | null;
  /** processes and threads of the user; root has no limit */
  readonly processes: number | null;
}

/**
 * getrlimit(2): the hard limit of descriptors and the soft ones of
 * bytes in a file and of processes. Null for unlimited, and where `/proc` doesn't say.
 */
export function ownLimits(): OwnLimits {
  const text = attempt(() => readFileSync('/proc/self/limits', 'latin1')) ?? '';
  const number = (line: RegExp): number | null => {
    const found = line.exec(text)?.[1];
    return found === undefined ? null : Number(found);
  };
  return { descriptors: number(/^Max open files +\S+ +(\d+)/m), fileSize: number(/^Max file size +(\d+)/m), processes: process.getuid?.() === 0 ? null : number(/^Max processes +(\d+)/m) };
}

/**
 * The limits of descriptors that whoever started us meant for a program. Node raises
 * its own to the hard limit before this runs, so the parent's are read, which a child
 * inherits; null where they are no lower, or others.
 */
export function callersDescriptors(): { readonly soft: number; readonly hard: number } | null {
  const own = descriptorsOf('self');
  const parent = descriptorsOf(process.ppid);
  return own !== null && parent !== null && own.hard === parent.hard && parent.soft < own.soft ? parent : null;
}

function descriptorsOf(pid: number | 'self'): { readonly soft: number; readonly hard: number } | null {
  const [, soft, hard] = /^Max open files +(\d+) +(\d+)/m.exec(attempt(() => readFileSync(`/proc/${pid}/limits`, 'latin1')) ?? '') ?? [];
  return soft === undefined || hard === undefined ? null : { soft: Number(soft), hard: Number(hard) };
}

function attempt<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

/** True when fd 0, 1 or 2 is the controlling terminal. */
export function hasOwnTerminal(): boolean {
  const terminal = Number(statFields('self')?.[4] ?? 0);
  return terminal !== 0 && [0, 1, 2].some((fd) => deviceOf(fd) === terminal);
}

/** True when this process's group has the terminal: then the kernel gives Ctrl-C to the agent as well. */
export function isForeground(): boolean {
  const fields = statFields('self');
  return fields !== null && Number(fields[5]) > 0 && fields[5] === fields[2];
}

/** True when the scheduler runs this process before all ordinary ones (`chrt -f`, `chrt -r`). */
export function isRealTime(): boolean {
  return REAL_TIME.has(statFields('self')?.[38] ?? '');
}

/** SCHED_FIFO, SCHED_RR, SCHED_DEADLINE */
const REAL_TIME: ReadonlySet<string> = new Set(['1', '2', '6']);

/** True when this process holds CAP_SYS_ADMIN in its user namespace. */
export function hasSysAdmin(): boolean {
  const caps = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? '0';
  return ((BigInt(`0x${caps}`) >> 21n) & 1n) === 1n;
}

/** True in the first user namespace, or in one that maps all ids: where root is real enough to mount as root. */
export function hasAllIds(): boolean {
  return existsSync('/proc/self/uid_map') && /^\s*0\s+0\s+4294967295\s*$/.test(readFileSync('/proc/self/uid_map', 'latin1'));
}

function deviceOf(fd: number): number {
  try {
    return fstatSync(fd).rdev;
  } catch {
    return -1;
  }
}
