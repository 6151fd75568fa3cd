import { readFileSync, readlinkSync } from 'node:fs';
import type { AuditSubject } from '../audit/event.js';

/** What /proc says of a process on the host; fields that can't be read are null. The process chose its argv. */
export function subjectOf(pid: number, proc = '/proc'): AuditSubject {
  const read = <T>(get: () => T): T | null => {
    try {
      return get();
    } catch {
      return null;
    }
  };
  const argv = read(() => readFileSync(`${proc}/${pid}/cmdline`, 'utf8'));
  return {
    pid,
    exe: read(() => readlinkSync(`${proc}/${pid}/exe`)),
    argv: argv === null ? null : argvOf(argv),
    cwd: read(() => readlinkSync(`${proc}/${pid}/cwd`)),
  };
}

/** A process's `cmdline`; more than 64 words are more than a record is for. */
export function argvOf(cmdline: string): string[] {
  return cmdline.split('\0').slice(0, -1).slice(0, 64);
}
