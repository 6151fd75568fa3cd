import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { briefly, subjectOf } from '../../src/gate/who.js';
import { tempDir } from '../kernel/temp.js';
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

test('of a command line of megabytes no more is read than a record shows, and it says so', () => {
  const proc = tempDir();
  mkdirSync(join(proc, '7'));
  writeFileSync(join(proc, '7', 'cmdline'), ['sh', 'x'.repeat(6 << 20), 'end', ''].join('\0'));

  const { argv } = subjectOf(7, proc);
  expect(argv?.map((word) => word.length)).toEqual([2, 32 * 1024 - 3, 1]);
  expect(argv?.at(-1)).toBe('…');
});

test('a list of questions has the start of what each process says of itself', () => {
  const long = 'x'.repeat(4000);

  expect(briefly({ pid: 7, exe: '/bin/sh', argv: ['sh', '-c', 'true'], cwd: '/' })).toEqual({ pid: 7, exe: '/bin/sh', argv: ['sh', '-c', 'true'], cwd: '/' });
  expect(briefly({ pid: 7, exe: null, argv: null, cwd: null })).toEqual({ pid: 7, exe: null, argv: null, cwd: null });
  expect(briefly({ pid: 7, exe: long, argv: ['sh', long, 'end'], cwd: long })).toEqual({ pid: 7, exe: `${'x'.repeat(512)}…`, argv: ['sh', `${'x'.repeat(509)}…`, '…'], cwd: `${'x'.repeat(512)}…` });
  expect(briefly(null)).toBeNull();
});

test('of more than 64 words the first are told', () => {
  const proc = tempDir();
  mkdirSync(join(proc, '7'));
  writeFileSync(join(proc, '7', 'cmdline'), `${Array.from({ length: 100 }, (_, at) => `${at}`).join('\0')}\0`);

  expect(subjectOf(7, proc).argv).toEqual(Array.from({ length: 64 }, (_, at) => `${at}`));
});
