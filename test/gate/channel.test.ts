import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openChannel } from '../../src/gate/channel.js';

let dir = '';
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), 'agentfw-channel-'))));
afterEach(() => rmSync(dir, { recursive: true }));

/** Both ends of a unix stream; nothing is read at the gate's. */
async function pair(): Promise<{ readonly supervisor: Socket; readonly gate: Socket }> {
  const path = join(dir, 's');
  const server = createServer({ pauseOnConnect: true }).listen(path);
  await once(server, 'listening');
  const supervisor = connect(path);
  const [gate] = (await once(server, 'connection')) as [Socket];
  server.close();
  return { supervisor, gate };
}

test('a gate that ends with an answer unread has ended, not failed', async () => {
  const { supervisor, gate } = await pair();
  const channel = openChannel(supervisor, () => undefined);
  channel.send({ t: 'forget' });
  await new Promise((resolve) => supervisor.write('', resolve));
  gate.destroy();

  expect(await channel.ended).toBeNull();
});

test('an answer to a gate that has gone is no failure either', async () => {
  const { supervisor, gate } = await pair();
  supervisor.pause();
  gate.destroy();
  await once(gate, 'close');
  const channel = openChannel(supervisor, () => undefined);
  channel.send({ t: 'forget' });

  expect(await channel.ended).toBeNull();
});

test('one that had gone before anybody listened has ended', async () => {
  const { supervisor, gate } = await pair();
  gate.destroy();
  supervisor.resume();
  await once(supervisor, 'close');

  expect(await openChannel(supervisor, () => undefined).ended).toBeNull();
});

test('what is no message is a failure', async () => {
  const { supervisor, gate } = await pair();
  const channel = openChannel(supervisor, () => undefined);
  gate.write(Buffer.from([2, 0, 0, 0, 0x7b, 0x7d]));

  expect(await channel.ended).toBeInstanceOf(Error);
  gate.destroy();
});
