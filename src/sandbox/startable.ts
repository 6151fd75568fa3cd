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

/** Threads of Node, the driver, the gate and the agent, which a user who runs nothing else has left. With less, Node may also hang at its end. */
const PROCESSES = 16;

/** With a few less the start ends anywhere, and can't even take back what it began. */
export function requireRoom({ descriptors, fileSize, processes }: OwnLimits): void {
  if (descriptors !== null && descriptors < DESCRIPTORS) {
    throw tooLittle(`Only ${descriptors} files may be open at once here, and a run needs ${DESCRIPTORS}.`, 'Raise the hard limit: ulimit -Hn');
  }
  if (processes !== null && processes < PROCESSES) {
    throw tooLittle(`Only ${processes} processes and threads may run here, and a run needs ${PROCESSES} beside what you run already.`, 'Raise the limit of processes: ulimit -u');
  }
  if (fileSize !== null && fileSize < FILE_SIZE) {
    throw tooLittle(`A file may have only ${fileSize} bytes here, and a run writes some of up to ${FILE_SIZE}.`, 'Raise the largest size of a file: ulimit -f');
  }
}

function tooLittle(message: string, hint: string): AgentfwError {
  return new AgentfwError('AFW_RLIMIT', message, { status: 125, hint });
}
