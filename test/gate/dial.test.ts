import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { behindGate, buildHarness, listen, startBehindGate } from './harness.js';

beforeAll(buildHarness);

const python = (code: string): string[] => ['/usr/bin/python3', '-c', code];

describe('a client that ends its side before it is answered', () => {
  let server: Awaited<ReturnType<typeof listen>>;
  beforeAll(async () => (server = await listen((socket) => socket.resume().on('end', () => socket.end('hello')))));
  afterAll(() => server.close());

  test('hears what the server says first', async () => {
    const client = 'import socket\nfor _ in range(20):\n  s=socket.create_connection(("ok.test",7),60); s.shutdown(socket.SHUT_WR); print(s.recv(9).decode())';

    const { out } = await behindGate(python(client), { conn: () => ({ addrs: ['127.0.0.1'], port: server.port }) });

    expect(out).toBe('hello\n'.repeat(20));
  });

  test('is gone when nobody has its socket any more', async () => {
    // Both at once: between the two its socket would be looked for, and found.
    const client = 'import socket,time\ns=socket.create_connection(("held.test",7),60); s.close(); time.sleep(1000)';
    const run = await startBehindGate(python(client), { conn: () => 'hold' });
    const { id } = await run.seen('conn');

    expect(await run.seen('close', (one) => one.id === id)).toMatchObject({ up: 0, down: 0 });

    run.channel.close();
    await run.done;
  });
});

test('what a client said before it left, while it was decided, reaches the server all the same', async () => {
  const heard: string[] = [];
  const server = await listen((socket) => socket.on('data', (chunk: Buffer) => heard.push(chunk.toString())).on('end', () => socket.end()));
  const client = 'import socket,time\ns=socket.create_connection(("ok.test",7),60); s.sendall(b"a line"); s.close(); time.sleep(1000)';
  const run = await startBehindGate(python(client), { conn: () => 'hold' });
  const { id } = await run.seen('left');
  run.channel.send({ t: 'conn', id, verdict: 'allow', addrs: ['127.0.0.1'], port: server.port, expect: 'any', check: 'match' });

  expect(await run.seen('close', (one) => one.id === id)).toMatchObject({ up: 6, error: null });
  expect(heard).toEqual(['a line']);

  run.channel.close();
  await run.done;
  await server.close();
});

/** Two addresses with one port: the first takes no connection and refuses none. */
const DEAF = `import socket,threading
deaf=socket.socket(); deaf.bind(("127.0.0.2",0)); deaf.listen(0); port=deaf.getsockname()[1]
fill=[socket.socket() for _ in range(4)]
for s in fill: s.setblocking(False); s.connect_ex(("127.0.0.2",port))
good=socket.create_server(("127.0.0.1",port)); print(port,flush=True)
while True:
  c,_=good.accept(); c.recv(999); c.sendall(b"HTTP/1.1 204 OK\\r\\nConnection: close\\r\\n\\r\\n"); c.close()`;

describe('an address that does not answer', () => {
  test.each(['match', 'always'] as const)('gives way to the next one, with first bytes that are there (check `%s`)', async (check) => {
    const servers = spawn('/usr/bin/python3', ['-c', DEAF], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [said] = await once(servers.stdout, 'data') as [Buffer];
    const client = 'import socket\ns=socket.create_connection(("ok.test",80),60); s.sendall(b"GET / HTTP/1.1\\r\\nHost: ok.test\\r\\n\\r\\n"); print(s.recv(12).decode())';

    const { out } = await behindGate(python(client), { conn: () => ({ addrs: ['127.0.0.2', '127.0.0.1'], port: Number(said.toString()), check }), first: () => true });
    servers.kill();

    expect(out).toBe('HTTP/1.1 204\n');
  });
});

test('the port that a connection leaves from can be published all the same, while it is open and when it has gone', async () => {
  const ports: number[] = [];
  const server = await listen((socket) => {
    ports.push(socket.remotePort!);
    socket.end('x');
  });
  const client = 'import socket,time\na=socket.create_connection(("ok.test",7),60); a.recv(9); a.close()\nb=socket.create_connection(("ok.test",7),60); b.recv(9); time.sleep(1000)';
  const run = await startBehindGate(python(client), { conn: () => ({ addrs: ['127.0.0.1'], port: server.port }) });
  await expect.poll(() => ports.length).toBe(2);
  for (const [at, port] of ports.entries()) run.channel.send({ t: 'publish', id: at + 1, addr: '127.0.0.1', port, inside: 7 });

  for (const [at, port] of ports.entries()) expect(await run.seen('door', ({ id }) => id === at + 1)).toMatchObject({ error: null, port });

  run.channel.close();
  await run.done;
  await server.close();
});

/** Reads the head of a request, says no and leaves: what is not read makes a reset of it. */
const EARLY = `import socket,threading
server=socket.create_server(("127.0.0.1",0)); print(server.getsockname()[1],flush=True)
def one(c):
  try: c.recv(999); c.sendall(b"HTTP/1.1 413 Payload Too Large\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
  except OSError: pass
  c.close()
while True: threading.Thread(target=one,args=server.accept()[:1]).start()`;

test('an answer that comes before the request has ended reaches the client, though the server has gone', async () => {
  const server = spawn('/usr/bin/python3', ['-c', EARLY], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [said] = await once(server.stdout, 'data') as [Buffer];
  const client = `import socket
got=0
for _ in range(100):
  s=socket.create_connection(("ok.test",80),60)
  try:
    s.sendall(b"POST / HTTP/1.1\\r\\nHost: ok.test\\r\\nContent-Length: 20000000\\r\\n\\r\\n")
    while True: s.sendall(b"x"*65536)
  except OSError: pass
  try: got+=s.recv(12)==b"HTTP/1.1 413"
  except OSError: pass
print(got)`;

  const { out } = await behindGate(python(client), { conn: () => ({ addrs: ['127.0.0.1'], port: Number(said.toString()) }) });
  server.kill();

  expect(out).toBe('100\n');
});

/** Says much, hears all the same what is said to it, and prints that. */
const HEARS = `import os,socket,threading
server=socket.create_server(("127.0.0.1",0)); print(server.getsockname()[1],flush=True)
def talk(c):
  try:
    while True: c.sendall(b"x"*1000)
  except OSError: pass
def one(c):
  threading.Thread(target=talk,args=(c,)).start()
  text=b""
  try:
    while d:=c.recv(99): text+=d
  except OSError: pass
  os.write(1,text+b"\\n")
while True: threading.Thread(target=one,args=server.accept()[:1]).start()`;

test('what a client says last reaches the server, though it leaves without having read all of the answer', async () => {
  const server = spawn('/usr/bin/python3', ['-c', HEARS], { stdio: ['ignore', 'pipe', 'inherit'] });
  let heard = '';
  server.stdout.on('data', (chunk: Buffer) => (heard += chunk.toString()));
  await expect.poll(() => heard).toMatch(/\n/);
  const port = Number(heard.split('\n')[0]);
  const client = `import socket
for _ in range(200):
  s=socket.create_connection(("ok.test",7),60)
  s.setsockopt(6,1,1); s.sendall(b"first,"); s.recv(9999); s.sendall(b"last"); s.close()`;

  await behindGate(python(client), { conn: () => ({ addrs: ['127.0.0.1'], port }) });
  await expect.poll(() => heard.split('\n').length).toBe(202);
  server.kill();

  expect(heard).toBe(`${port}\n${'first,last\n'.repeat(200)}`);
});

test('a client that sends all of a large body before it reads hears why it is refused, and nothing counts as sent', async () => {
  const client = `import urllib.request,urllib.error
for _ in range(10):
  try: urllib.request.urlopen("http://ok.test/",data=b"x"*20000000,timeout=60)
  except OSError as e: print(e)`;

  const { out, messages } = await behindGate(python(client), { conn: () => null });

  expect(out).toBe('HTTP Error 403: Forbidden by agentfw\n'.repeat(10));
  expect(messages.flatMap((one) => (one.t === 'close' ? [one.up] : []))).toEqual(Array.from({ length: 10 }, () => 0));
});
