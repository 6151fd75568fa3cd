import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { serveControl, type ControlServer, type ControlState } from '../../src/gate/control.js';
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

test('of more clients than anybody needs the last are turned away, the others are served', async () => {
  const open: Socket[] = [];
  for (let count = 0; count < 32; count += 1) open.push(await client());

  expect(await said(await client())).toBe('closed');
  expect(await said(open[31]!)).toMatchObject({ ok: true });
  open[0]!.destroy();
  await vi.waitFor(async () => expect(await said(await client())).toMatchObject({ ok: true }));
});

test('a watcher that doesn’t read is dropped: what waits for it is not kept without end', async () => {
  const socket = await client();
  socket.pause();
  const gone = once(socket, 'close');
  socket.write(encodeFrame({ do: 'watch' }));
  await said(await client());
  told = { ...told, rung: 'x'.repeat(1 << 20) };
  for (let count = 0; count < 40; count += 1) server.changed();
  let got = 0;
  socket.on('data', (chunk: Buffer) => (got += chunk.length));
  socket.resume();
  await gone;

  expect(got).toBeLessThan(10 << 20);
});
