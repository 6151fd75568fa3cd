import type { AuditEvent } from '../audit/event.js';
import type { Audit } from '../audit/write.js';
import type { DriverEvent } from '../kernel/driver.js';

type ExecEvent = Extract<DriverEvent, { event: 'exec' }>;

/** Records of programs that were about to start: many come at once, and are written at once. */
export interface ExecLog {
  readonly add: (event: ExecEvent) => void;
  readonly flush: () => void;
}

/** Gathers until `flush`, which writes all of them in one go. Throws what the log does. */
export function makeExecLog(audit: Audit): ExecLog {
  let waiting: AuditEvent[] = [];
  return {
    add: (event) => void waiting.push(execRecord(event)),
    flush: () => {
      const events = waiting;
      waiting = [];
      if (events.length > 0) audit.recordAll(events);
    },
  };
}

/** Who starts it, and what. Advice: the tree can change the arguments after they were read. */
function execRecord({ pid, path, exe, cwd, argv, cut }: ExecEvent): AuditEvent {
  return { kind: 'exec', subject: { pid, exe, argv: null, cwd }, object: { path, argv }, detail: { advisory: true, ...(cut ? { cut } : {}) } };
}
