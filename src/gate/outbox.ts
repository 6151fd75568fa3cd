import type { AuditEvent } from '../audit/event.js';
import type { Channel, GateCommand } from './channel.js';

/** Where records and answers go; `failed` is told what writing threw. */
export interface OutboxOptions {
  /** must not return before they are written */
  readonly audit: (events: readonly AuditEvent[]) => void;
  readonly channel: Channel;
  readonly failed: (error: unknown) => void;
}

/**
 * What is decided in one turn of the event loop is written down together, and
 * then answered together: a record comes before its effect all the same, and
 * a hundred connections cost one write and one wake-up of the gate.
 */
export interface Outbox {
  readonly record: (event: AuditEvent) => void;
  readonly send: (command: GateCommand) => void;
  /** now, not at the end of the turn */
  readonly flush: () => void;
  /** the same for the last time: nothing is taken any more */
  readonly end: () => void;
}

/** Records are written before the answers that they are about are sent. What fails goes to `failed`. */
export function makeOutbox({ audit, channel, failed }: OutboxOptions): Outbox {
  let events: AuditEvent[] = [];
  let commands: GateCommand[] = [];
  let due: NodeJS.Immediate | null = null;
  let ended = false;
  const flush = (): void => {
    if (due !== null) clearImmediate(due);
    due = null;
    const [records, answers] = [events, commands];
    events = [];
    commands = [];
    try {
      if (records.length > 0) audit(records);
      if (answers.length > 0) channel.send(...answers);
    } catch (error) {
      failed(error);
    }
  };
  const add = <T>(to: T[], item: T): void => {
    if (ended) return;
    to.push(item);
    due ??= setImmediate(flush);
  };
  return {
    record: (event) => add(events, event),
    send: (command) => add(commands, command),
    flush,
    end: () => {
      ended = true;
      flush();
    },
  };
}
