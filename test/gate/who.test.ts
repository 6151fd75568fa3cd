import { beforeAll, expect, test } from 'vitest';
import { behindGate, buildHarness } from './harness.js';

beforeAll(buildHarness);

test('in a storm, too, it is known whose a connection is', async () => {
  const code = `
import socket, threading, time
def one():
  held = []
  for i in range(150):
    s = socket.socket(); s.setblocking(False); s.connect_ex(("192.0.2.7", 80)); held.append(s)
  time.sleep(3)
# A thread's connection is its process's.
t = threading.Thread(target=one); t.start(); t.join()`;

  const { messages } = await behindGate(['/usr/bin/python3', '-c', code], { conn: () => 'hold' });

  const told = messages.flatMap((message) => (message.t === 'who' && message.pid > 0 ? [message.pid] : []));
  expect(told.length).toBe(150);
  expect(new Set(told).size).toBe(1);
});
