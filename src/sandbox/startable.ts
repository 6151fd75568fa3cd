import type { Bytes } from '../bytes.js';
import { AgentfwError } from '../errors.js';
import { mostDescriptors } from '../kernel/process.js';
import { refuseNested } from './nested.js';
import { refuseProc } from './program.js';

/** Refuses what no start can come of, before anything is made. */
export function refuseUnstartable(program: Bytes, cwd: Bytes): void {
  refuseNested();
  requireDescriptors(mostDescriptors());
  refuseProc(program, cwd);
}

/** What the driver wants, which numbers those that it keeps from 200 on (`NS_FD_END` of driver/ns.h). */
const NEEDED = 209;

/** With a few less the start ends anywhere, and can't even take back what it began. */
export function requireDescriptors(most: number | null): void {
  if (most === null || most >= NEEDED) return;
  throw new AgentfwError('AFW_DESCRIPTORS', `Only ${most} files may be open at once here, and a run needs ${NEEDED}.`, {
    status: 125,
    hint: 'Raise the hard limit: ulimit -Hn',
  });
}
