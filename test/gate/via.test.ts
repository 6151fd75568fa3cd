/** A proxy is the only way out: what is dialled goes through it, and a client that is set up for it finds it in the gate. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createTls } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ConnQuestion } from '../../src/gate/channel.js';
import { viaOf } from '../../src/gate/via.js';
import { serveOnLoopback } from '../helpers/loopback.js';
import { startProxy, type Proxy } from '../helpers/proxy.js';
import { startUpstream, type Upstream } from '../helpers/upstream.js';
import { behindGate, buildHarness, listen, sh, startBehindGate, type Answers } from './harness.js';

describe('through an HTTP proxy', () => {
  let up: Upstream;
  let proxy: Proxy;
  let dir = '';
  const tls = { port: 0, close: (): void => undefined };
  beforeAll(async () => {
    buildHarness();
    up = await startUpstream();
    dir = mkdtempSync(join(tmpdir(), 'agentfw-via-'));
    chmodSync(dir, 0o755);
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=ok.test', '-addext', 'subjectAltName=DNS:ok.test', '-keyout', join(dir, 'key.pem'), '-out', join(dir, 'cert.pem')], { stdio: 'ignore' });
    const server = createTls({ key: readFileSync(join(dir, 'key.pem')), cert: readFileSync(join(dir, 'cert.pem')) }, (_, response) => response.end('by TLS\n'));
    tls.port = await serveOnLoopback(server);
    tls.close = () => void server.close();
    proxy = await startProxy((host, port) => (host === 'no.test' ? null : port === 443 ? tls.port : port === 80 || port === 8080 ? up.port : null));
  });
  afterAll(async () => {
    tls.close();
    await proxy.close();
    await up.close();
    rmSync(dir, { recursive: true });
  });

  /** As the supervisor answers where `proxy.corp.test:3128` is the way out. */
  const over = (port: number, names: readonly string[], login: string | null = null): Answers => ({
    conn: ({ name, ip, port: wanted }: ConnQuestion) => {
      if (name === 'proxy.corp.test' && wanted === 3128) return 'proxy';
      if (!names.includes(name ?? ip)) return null;
      return { addrs: ['127.0.0.1'], port, via: viaOf({ host: 'proxy.corp.test', port: 3128, login, direct: [] }, name ?? ip, wanted, wanted === 80) };
    },
  });
  const PROXIED = 'curl -sS -m 60 -x http://proxy.corp.test:3128';

  test('HTTP is asked for in absolute form, request by request, everything else by CONNECT', async () => {
    const from = proxy.seen.length;
    const { out, err } = await behindGate(sh(`curl -sS -m 60 http://ok.test/a http://ok.test/b?c=://d; curl -sS -m 60 --cacert ${dir}/cert.pem https://ok.test/; curl -sS -m 60 http://ok.test:8080/e`), over(proxy.port, ['ok.test'], 'me:secret'));

    const login = `Basic ${Buffer.from('me:secret').toString('base64')}`;
    expect(out, err).toBe('from upstream\nfrom upstream\nby TLS\nfrom upstream\n');
    expect(proxy.seen.slice(from)).toEqual(['GET http://ok.test/a', 'GET http://ok.test/b?c=://d', 'CONNECT ok.test:443', 'CONNECT ok.test:8080'].map((line) => `${line} ${login}`));
  });

  test('a client that is set up for the proxy is judged by what it asks that for', async () => {
    const from = proxy.seen.length;
    const script = `${PROXIED} http://ok.test/a; ${PROXIED} --cacert ${dir}/cert.pem https://ok.test/; ${PROXIED} http://evil.test/ | head -1; ${PROXIED} -k https://evil.test/; ${PROXIED} http://proxy.corp.test:3128/`;
    const { out, err, messages } = await behindGate(sh(script), over(proxy.port, ['ok.test']));

    // The last asks the proxy for itself: that would never end.
    expect(out, err).toBe('from upstream\nby TLS\nForbidden by agentfw: no rule allows it\nForbidden by agentfw: \nRule: \n');
    expect(err).toMatch(/access denied/);
    expect(proxy.seen.slice(from)).toEqual(['GET http://ok.test/a', 'CONNECT ok.test:443']);
    const asked = messages.flatMap((message) => (message.t === 'conn' ? [`${message.name ?? message.ip}:${message.port}`] : []));
    expect(asked.filter((place) => !place.startsWith('proxy.'))).toEqual(['ok.test:80', 'ok.test:443', 'evil.test:80', 'evil.test:443']);
    const ids = new Set(messages.flatMap((message) => (message.t === 'conn' ? [message.id] : [])));
    expect(messages.filter(({ t }) => t === 'close')).toHaveLength(ids.size);
  });

  test.each([
    ['another SNI in the tunnel', 'CONNECT ok.test:443 HTTP/1.1\\r\\n\\r\\n', 'openssl'],
    ['a second request for another host', 'GET http://ok.test/a HTTP/1.1\\r\\nHost: ok.test\\r\\n\\r\\nGET http://evil.test/smuggled HTTP/1.1\\r\\nHost: evil.test\\r\\n\\r\\n', 'cut'],
    ['a second request for another port', 'GET http://ok.test/a HTTP/1.1\\r\\nHost: ok.test\\r\\n\\r\\nGET http://ok.test:22/smuggled HTTP/1.1\\r\\nHost: ok.test\\r\\n\\r\\n', 'cut'],
    ['CONNECT behind a request', 'GET http://ok.test/a HTTP/1.1\\r\\nHost: ok.test\\r\\n\\r\\nCONNECT evil.test:443 HTTP/1.1\\r\\nHost: evil.test:443\\r\\n\\r\\n', 'cut'],
    ['no authority', 'GET /a HTTP/1.1\\r\\nHost: ok.test\\r\\n\\r\\n', 'cut'],
    ['https in the clear', 'GET https://ok.test/a HTTP/1.1\\r\\nHost: ok.test\\r\\n\\r\\n', 'cut'],
    ['CONNECT without a port', 'CONNECT ok.test HTTP/1.1\\r\\n\\r\\n', 'cut'],
    ['this sandbox itself', 'CONNECT 127.0.0.1:443 HTTP/1.1\\r\\n\\r\\n', 'cut'],
    ['an odd name', 'CONNECT ok.test\\x80:443 HTTP/1.1\\r\\n\\r\\n', 'cut'],
    ['SOCKS', '\\x05\\x01\\x00', 'cut'],
  ])('%s reaches nothing that was not allowed', async (what, said, then) => {
    const from = proxy.seen.length;
    const hello = what.startsWith('another SNI') ? `
import ssl
i, o = ssl.MemoryBIO(), ssl.MemoryBIO()
t = ssl.create_default_context().wrap_bio(i, o, server_hostname="evil.test")
try: t.do_handshake()
except ssl.SSLWantReadError: pass
assert s.recv(100).startswith(b"HTTP/1.1 200")
s.sendall(o.read())` : '';
    const code = `import socket
s = socket.create_connection(("proxy.corp.test", 3128), 60)
s.sendall(b"${said}")${hello}
s.shutdown(1)
try:
  while s.recv(4096): pass
except OSError: pass`;
    await behindGate(['/usr/bin/python3', '-c', code], over(proxy.port, ['ok.test']));

    const arrived = proxy.seen.slice(from);
    expect(arrived.filter((line) => /evil|:22|127\.0\.0\.1/.test(line))).toEqual([]);
    if (then === 'cut') expect(arrived.filter((line) => line.includes('smuggled'))).toEqual([]);
    if (said.startsWith('CONNECT') || said.startsWith('GET /') || said.startsWith('GET https')) expect(arrived.filter((line) => line.startsWith('GET'))).toEqual([]);
  });

  test('a request whose client has said all is not given up while it is asked about', async () => {
    const code = `import socket, time
s = socket.create_connection(("proxy.corp.test", 3128), 60)
s.sendall(b"GET http://ok.test/a HTTP/1.0\\r\\nHost: ok.test\\r\\n\\r\\n")
time.sleep(1)
s.shutdown(1)
print("said", flush=True)
s.recv(1)`;
    const from = proxy.seen.length;
    const run = await startBehindGate(['/usr/bin/python3', '-c', code], { ...over(proxy.port, []), conn: ({ name }) => (name === 'ok.test' ? 'hold' : 'proxy') });
    const said = once(run.child.stdout!, 'data');
    const { id } = await run.seen('conn', ({ name }) => name === 'ok.test');
    await said;
    await new Promise((resolve) => setTimeout(resolve, 200));
    run.channel.send({ t: 'conn', id, verdict: 'allow', addrs: ['127.0.0.1'], port: proxy.port, check: 'match', expect: 'http', ...viaOf({ host: 'proxy.corp.test', port: 3128, login: null, direct: [] }, 'ok.test', 80, true) });
    await run.done;
    run.channel.close();

    expect(proxy.seen.slice(from)).toEqual(['GET http://ok.test/a']);
  });

  test('what the proxy refuses is refused in the client’s language, and told', async () => {
    const { out, err, messages } = await behindGate(sh('curl -sS -m 60 https://no.test/; curl -sS -m 60 http://no.test:8080/; curl -sS -m 60 http://no.test/'), over(proxy.port, ['no.test']));

    expect(err).toContain('access denied');
    expect(out).toContain('Forbidden by agentfw: the proxy answered 403\nRule: net.upstream\n');
    expect(out).toContain('the proxy says no');
    expect(messages.flatMap((message) => (message.t === 'close' ? [message.proxy] : []))).toEqual([403, 403, 0]);
  });

  test.each([['nothing', ''], ['garbage', 'SSH-2.0-x\r\n\r\n'], ['half an answer', 'HTTP/1.1 200'], ['an endless one', `HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(3000)}`]])('a proxy that answers %s and ends', async (_, answer) => {
    const odd = await listen((socket) => socket.once('data', () => socket.end(answer)));
    const { err, messages } = await behindGate(sh('curl -sS -m 60 https://ok.test/'), over(odd.port, ['ok.test']));
    await odd.close();

    expect(err).toContain('access denied');
    expect(messages.find(({ t }) => t === 'close')).toMatchObject({ proxy: 0, down: 0 });
  });

  test('a server that speaks first, in the packet of the proxy’s answer and byte by byte', async () => {
    for (const size of [1000, 1]) {
      const answer = 'HTTP/1.1 200 OK\r\n\r\n220 hello\n';
      const first = await listen((socket) => {
        socket.setNoDelay();
        socket.once('data', () => {
          for (let at = 0; at < answer.length; at += size) socket.write(answer.slice(at, at + size));
          socket.pipe(socket);
        });
      });
      const { out } = await behindGate(['/usr/bin/python3', '-c', 'import socket\ns = socket.create_connection(("ok.test", 25), 60)\nf = s.makefile("rb")\nprint(f.readline().decode(), end="")\ns.sendall(b"EHLO\\n")\nprint(f.readline().decode(), end="")'], over(first.port, ['ok.test']));
      await first.close();

      expect(out).toBe('220 hello\nEHLO\n');
    }
  });

  test('20 MB each way', async () => {
    const far = await listen((socket) => socket.once('data', () => {
      socket.write('HTTP/1.0 200 Connection established\r\n\r\n');
      socket.pipe(socket);
    }));
    const code = `import socket, threading
s = socket.create_connection(("ok.test", 7), 60); n = 20 << 20
threading.Thread(target=lambda: (s.sendall(b"z" * n), s.shutdown(1))).start()
got = 0
while True:
  b = s.recv(1 << 16)
  if not b: break
  got += len(b)
print(got == n)`;
    const { out } = await behindGate(['/usr/bin/python3', '-c', code], over(far.port, ['ok.test']));
    await far.close();

    expect(out).toBe('True\n');
  });
});
