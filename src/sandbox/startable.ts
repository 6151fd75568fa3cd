import type { Bytes } from '../bytes.js';
import { AgentfwError } from '../errors.js';
import { ownLimits, type OwnLimits } from '../kernel/process.js';
import { refuseNested } from './nested.js';
import { refuseProc } from './program.js';

/** Refuses what no start can come of, before anything is made. */
export function refuseUnstartable(program: Bytes, cwd: Bytes): void {
  refuseNested();
  requireRoom(ownLimits());
  refuseProc(program, cwd);
}

/** What the driver wants, which numbers those that it keeps from 200 on (`NS_FD_END` of driver/ns.h). */
const DESCRIPTORS = 209;

/** For the audit log, the record, the policy and what a capture copies. Beyond its limit the kernel ends us, without a word. */
const FILE_SIZE = 16 << 20;

/** With a few less the start ends anywhere, and can't even take back what it began. */
export function requireRoom({ descriptors, fileSize }: OwnLimits): void {
  if (descriptors !== null && descriptors < DESCRIPTORS) {
    throw tooLittle(`Only ${descriptors} files may be open at once here, and a run needs ${DESCRIPTORS}.`, 'Raise the hard limit: ulimit -Hn');
  }
  if (fileSize !== null && fileSize < FILE_SIZE) {
    throw tooLittle(`A file may have only ${fileSize} bytes here, and a run writes some of up to ${FILE_SIZE}.`, 'Raise the largest size of a file: ulimit -f');
  }
}

function tooLittle(message: string, hint: string): AgentfwError {
  return new AgentfwError('AFW_RLIMIT', message, { status: 125, hint });
}
