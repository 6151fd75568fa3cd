import { readFileSync } from 'node:fs';
import { createServer, type ServerOptions } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serveOnLoopback } from '../helpers/loopback.js';
import { helpers, python } from '../helpers/sandbox.js';
import { startUpstream, type Upstream } from '../helpers/upstream.js';
import { behindGate, buildHarness, listen, type Answers } from './harness.js';

/** By hand, so that the sanitizers see it too. */
const SCRIPT = readFileSync(join(helpers, 'http-requests.py'), 'utf8');
const ODD = readFileSync(join(helpers, 'http-odd.py'), 'utf8');
/** Takes what the strict one refuses, and what has no Host. */
const LENIENT: ServerOptions & { readonly requireHostHeader: boolean } = { insecureHTTPParser: true, requireHostHeader: false };

describe('plain HTTP, request by request', () => {
  let up: Upstream;
  beforeAll(async () => {
    buildHarness();
    up = await startUpstream();
  });
  afterAll(() => up.close());

  const run = (check: 'match' | 'always', first: boolean): ReturnType<typeof behindGate> => {
    const answers: Answers = { conn: () => ({ addrs: ['127.0.0.1'], port: up.port, check }), first: () => first };
    return behindGate([python, '-c', SCRIPT, 'ok.test', String(up.port), 'other.test'], answers);
  };

  test.each(['match', 'always'] as const)('a request for another host never arrives, whoever judged the first (`check: %s`)', async (check) => {
    const before = up.seen.length;
    const { out, messages } = await run(check, check === 'always');

    const lines = out.trim().split('\n');
    // Where the first was judged, only what is like it may follow: a POST is not like a GET.
    expect(lines[0]).toBe(check === 'match' ? 'kept 200 200 200 200' : 'kept 200 200 cut');
    expect(lines.filter((line) => line.startsWith('second') || line.startsWith('garbage')).map((line) => line.replace(' 200', ''))).toEqual(['second cut', 'garbage cut']);
    expect(lines.find((line) => line.startsWith('upgrade'))).toBe('upgrade 101 GET /smuggled HT');
    expect(up.seen.slice(before).filter((line) => line.includes('smuggled'))).toEqual([]);
    expect(messages.filter((message) => message.t === 'first' && message.spoke === 'bad').length).toBeGreaterThan(0);
    expect(messages.filter(({ t }) => t === 'close')).toHaveLength(messages.filter(({ t }) => t === 'conn').length);
  });

  test.each([
    ['switches, with answers before it', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n', 'echo'],
    ['switches', 'HTTP/1.1 101\r\n\r\n', 'echo'],
    ['does not, with answers before it', 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX: HTTP/1.1 101 \r\nContent-Length: 0\r\n\r\n', 'cut'],
    ['answers with a head that ends otherwise', 'HTTP/1.1 100 Continue\n\nHTTP/1.1 101 Switching Protocols\r\n\r\n', 'cut'],
    ['answers by another number', 'HTTP/1.1 1010 What\r\n\r\n', 'cut'],
  ])('a request to switch that the server %s, in one piece and byte by byte: what follows is read until then', async (_, answer, then) => {
    for (const size of [answer.length, 1]) {
      const server = await listen((socket) => {
        socket.setNoDelay();
        socket.once('data', () => {
          for (let at = 0; at < answer.length; at += size) socket.write(answer.slice(at, at + size));
          socket.pipe(socket);
        });
      });
      const code = `import socket
s=socket.create_connection(("ok.test",${server.port}),60); s.settimeout(60)
s.sendall(b"GET / HTTP/1.1\\r\\nHost: ok.test\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\nExpect: 100-continue\\r\\n\\r\\n")
got=b""
try:
  while len(got) < ${answer.length}: got+=s.recv(999)
  s.sendall(b"GET / HTTP/1.1\\r\\nHost: other.test\\r\\n\\r\\n")
  more=s.recv(999); print("echo" if b"other.test" in more else "cut")
except OSError: print("cut")`;

      const { out } = await behindGate([python, '-c', code], { conn: () => ({ addrs: ['127.0.0.1'], port: server.port }) });
      await server.close();

      expect(out).toBe(`${then}\n`);
    }
  });

  test('behind a switch to what names hosts again (TLS, HTTP) nothing passes unread', async () => {
    const server = await listen((socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n');
        socket.pipe(socket);
      });
    });
    const code = `import socket
for to in "websocket","tcp","TLS/1.0","websocket, tls/1.2, HTTP/1.1","HTTP/2.0","h2","H2C":
  s=socket.create_connection(("ok.test",${server.port}),60); s.settimeout(60)
  s.sendall(b"OPTIONS * HTTP/1.1\\r\\nHost: ok.test\\r\\nConnection: Upgrade\\r\\nUpgrade: %s\\r\\n\\r\\n"%to.encode())
  try:
    got=b""
    while not got.endswith(b"\\r\\n\\r\\n"): got+=s.recv(1)
    s.sendall(b"\\x16\\x03\\x01\\x00\\x10hello other.test"); print(to,"echo" if s.recv(99) else "cut")
  except OSError: print(to,"cut")`;
    const { out } = await behindGate([python, '-c', code], { conn: () => ({ addrs: ['127.0.0.1'], port: server.port }) });
    await server.close();

    expect(out.trim().split('\n')).toEqual(['websocket echo', 'tcp echo', 'TLS/1.0 cut', 'websocket, tls/1.2, HTTP/1.1 cut', 'HTTP/2.0 cut', 'h2 cut', 'H2C cut']);
  });

  test('NT28 where the first was judged, none that asks by a header for another method follows it', async () => {
    const code = `import socket
for extra in "", "X-HTTP-Method-Override: DELETE\\r\\n", "x_method_override: PUT\\r\\n", "X-Method: PUT\\r\\n":
  s=socket.create_connection(("ok.test",${up.port}),60); s.settimeout(60)
  try:
    for more in "", extra:
      s.sendall(f"GET / HTTP/1.1\\r\\nHost: ok.test\\r\\n{more}\\r\\n".encode()); print(s.recv(9999)[9:12].decode(), end=" ")
  except OSError: print("cut", end=" ")
print()`;
    const answers: Answers = { conn: () => ({ addrs: ['127.0.0.1'], port: up.port, check: 'always' }), first: ({ override }) => !override };

    expect((await behindGate([python, '-c', code], answers)).out).toBe('200 200 200 cut 200 cut 200 200 \n');
  });

  test('NT28 where the first was judged, those that follow have the methods that were named', async () => {
    const code = `import socket
for target in "/", "/?_method=DELETE", "/?a=1&%5Fmethod=PUT", "/?.method=PUT", "/?a_method=PUT":
  s=socket.create_connection(("ok.test",${up.port}),60); s.settimeout(60)
  try:
    for method in "GET", "POST", "GET", "DELETE":
      s.sendall(f"{method} {target if method == 'POST' else '/'} HTTP/1.1\\r\\nHost: ok.test\\r\\nContent-Length: 0\\r\\n\\r\\n".encode()); print(s.recv(9999)[9:12].decode() or "end", end=" ")
  except OSError: print("cut", end=" ")
print()`;
    const answers: Answers = { conn: () => ({ addrs: ['127.0.0.1'], port: up.port, check: 'always' }), first: () => true, methods: ['GET', 'POST'] };

    expect((await behindGate([python, '-c', code], answers)).out).toBe('200 200 200 cut 200 cut 200 cut 200 cut 200 200 200 cut \n');
  });

  test('NT13 a request whose end two servers could see in two places never arrives', async () => {
    const heard: string[] = [];
    const server = await listen((socket) => socket.on('data', (data) => {
      heard.push(String(data));
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    }));
    const code = `import socket
for fields in (["Content-Length: 5"], ["Transfer-Encoding: chunked"], ["Content-Length: 5", "Transfer-Encoding: chunked"],
    ["Transfer-Encoding: chunked", "Content-Length: 5"], ["Content-Length: 5", "Content-Length: 5"], ["Content-Length: +5"],
    ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], ["Transfer-Encoding: gzip, chunked"], ["Transfer-Encoding: xchunked"],
    ["Content-Length : 5"], ["X: y", " Content-Length: 5"], ["Host: ok.test"]):
  s=socket.create_connection(("ok.test",${server.port}),60); s.settimeout(60)
  s.sendall("\\r\\n".join(["POST / HTTP/1.1", "Host: ok.test", *fields, "", "0\\r\\n\\r\\n"]).encode())
  try: print("passed" if b"200" in s.recv(99) else "cut", *fields, sep="|")
  except OSError: print("cut", *fields, sep="|")`;
    const { out } = await behindGate([python, '-c', code], { conn: () => ({ addrs: ['127.0.0.1'], port: server.port }), first: ({ spoke }) => spoke !== 'bad' });
    await server.close();

    expect(out.split('\n').filter((line) => line.startsWith('passed'))).toEqual(['passed|Content-Length: 5', 'passed|Transfer-Encoding: chunked']);
    expect(out.split('\n').filter((line) => line.startsWith('cut'))).toHaveLength(10);
    expect(heard).toHaveLength(2);
  });

  test.each([1, 2, 3, 4])('NT13 whatever is odd about a request, a server that takes anything hears none for another host (seed %i)', async (seed) => {
    const hosts: string[] = [];
    const server = createServer(LENIENT, (request, response) => {
      hosts.push(request.rawHeaders.filter((_, i, all) => i % 2 === 1 && /^host$/i.test(all[i - 1] ?? '')).join(' and '));
      request.on('error', () => undefined).resume().on('end', () => response.end('heard'));
    });
    // The gate resets what it refuses.
    server.on('connection', (socket) => socket.on('error', () => undefined));
    server.on('clientError', (_, socket) => socket.destroy());
    server.on('connect', (request, socket) => {
      hosts.push(`CONNECT ${request.url}`);
      socket.destroy();
    });
    server.on('upgrade', (_, socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'));
    const port = await serveOnLoopback(server);

    const { out } = await behindGate([python, '-c', ODD, 'ok.test', String(port), String(seed), '400'], { conn: () => ({ addrs: ['127.0.0.1'], port }) });
    server.close();
    server.closeAllConnections();

    expect(out).toBe('said\n');
    expect(hosts.length).toBeGreaterThan(50);
    expect(hosts.filter((host) => host !== `ok.test:${port}`)).toEqual([]);
  });
});
