import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { askSandbox, serveControl, type ControlServer, type ControlState } from '../../src/gate/control.js';
import { encodeFrame, frameReader } from '../../src/kernel/frames.js';
import { tempDir } from '../kernel/temp.js';

let dir = '';
let fd = -1;
let server: ControlServer;
let told: ControlState = { questions: [], rules: [], wouldAsk: [], connections: [], doors: [], rung: null, upstream: null };
const clients: Socket[] = [];

beforeEach(async () => {
  dir = tempDir();
  fd = openSync(dir, 'r');
  const no = (): never => { throw new Error('not asked for'); };
  server = await serveControl(dir, { state: () => told, answer: no, net: no });
});
afterEach(() => {
  for (const one of clients.splice(0)) one.destroy();
  server.close();
  closeSync(fd);
});

async function client(): Promise<Socket> {
  const socket = connect(`/proc/self/fd/${fd}/control.sock`);
  clients.push(socket);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

function said(socket: Socket): Promise<unknown> {
  return new Promise((resolve) => {
    socket.on('data', frameReader(resolve, { max: 64 << 20 }));
    socket.on('close', () => resolve('closed'));
    socket.write(encodeFrame({ do: 'state' }));
  });
}

test('who asks one that is stopped is told so, and one that talks nonsense too', async () => {
  expect(await askSandbox(dir, { do: 'state' })).toMatchObject({ ok: true, state: { rung: null } });
  const quiet = tempDir();
  const replies: string[] = [];
  // As the kernel does for a stopped supervisor: it takes the connection, and nobody reads.
  const mute = createServer((socket) => {
    clients.push(socket);
    const words = replies.pop();
    if (words !== undefined) socket.write(words);
  });
  mute.listen(join(quiet, 'control.sock'));
  await once(mute, 'listening');

  await expect(askSandbox(quiet, { do: 'state' }, 50)).rejects.toMatchObject({ code: 'AFW_CONTROL', hint: expect.stringContaining('fg') as string });
  replies.push('\xff'.repeat(64));
  await expect(askSandbox(quiet, { do: 'state' })).rejects.toMatchObject({ code: 'AFW_CONTROL' });
  mute.close();
  expect(await askSandbox(tempDir(), { do: 'state' })).toBe(null);
});

test('of more clients than anybody needs the last are turned away, the others are served', async () => {
  const open: Socket[] = [];
  for (let count = 0; count < 32; count += 1) open.push(await client());

  expect(await said(await client())).toBe('closed');
  expect(await said(open[31]!)).toMatchObject({ ok: true });
  open[0]!.destroy();
  await vi.waitFor(async () => expect(await said(await client())).toMatchObject({ ok: true }));
});

test('a client that asks on and doesn’t read is dropped: what waits for it is not kept without end', async () => {
  const socket = await client();
  socket.pause();
  const gone = once(socket, 'close');
  told = { ...told, rung: 'x'.repeat(1 << 20) };
  for (let count = 0; count < 40; count += 1) socket.write(encodeFrame({ do: 'state' }));
  await said(await client());
  let got = 0;
  socket.on('data', (chunk: Buffer) => (got += chunk.length));
  socket.resume();
  await gone;

  expect(got).toBeLessThan(10 << 20);
});
