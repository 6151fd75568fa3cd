import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { AuditEvent } from '../../src/audit/event.js';
import type { GateCommand } from '../../src/gate/channel.js';
import { makeOutbox, type Outbox } from '../../src/gate/outbox.js';

const event: AuditEvent = { kind: 'conn' };
const forget: GateCommand = { t: 'forget' };

function outbox(audit?: () => void): { box: Outbox; said: string[] } {
  const said: string[] = [];
  const box = makeOutbox({
    audit: (events) => {
      audit?.();
      said.push(`audit ${events.length}`);
    },
    channel: { send: (...commands) => void said.push(`send ${commands.length}`), close: () => undefined, ended: new Promise(() => undefined) },
    failed: (error) => void said.push(String(error)),
  });
  return { box, said };
}

test('what one turn decides is written together, and before it is answered', async () => {
  const { box, said } = outbox();
  box.send(forget);
  box.record(event);
  box.send(forget);
  box.record(event);

  expect(said).toEqual([]);
  await turn();
  expect(said).toEqual(['audit 2', 'send 2']);
  await turn();
  expect(said).toHaveLength(2);
});

test('what can\'t be written is not answered', async () => {
  const { box, said } = outbox(() => {
    throw new Error('full');
  });
  box.record(event);
  box.send(forget);
  await turn();

  expect(said).toEqual(['Error: full']);
});

test('after its end it takes nothing: the log may be closed', async () => {
  const { box, said } = outbox();
  box.record(event);
  box.end();
  box.record(event);
  await turn();

  expect(said).toEqual(['audit 1']);
});
