import { createServer as createHttp } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { python } from '../helpers/sandbox.js';
import { needs } from '../helpers/needs.js';
import { behindGate, buildHarness, listen, REFUSAL, sh, startBehindGate, type Answers } from './harness.js';

const withCurl = needs('curl');

const web = createHttp((request, response) => response.end(`hello ${request.headers.host ?? ''}\n`));
let port = 0;

beforeAll(async () => {
  buildHarness();
  web.listen(0, '127.0.0.1');
  await once(web, 'listening');
  port = (web.address() as AddressInfo).port;
});
afterAll(() => web.close());

const allow = (...names: string[]): Answers => ({ conn: ({ name, ip }) => (names.includes(name ?? ip) ? { addrs: ['127.0.0.1'], port } : null) });

describe.each(['tproxy', 'redir', 'notify'] as const)('rung `%s`', (rung) => {
  withCurl.test('an allowed name is dialled, a refused one reads why in its own language', async () => {
    const script = 'curl -sS -m 60 http://ok.test/; curl -s -m 60 http://no.test/; curl -sS -m 60 -H "Accept: application/json" http://no.test/; curl -sS -m 60 https://no.test/ 2>&1; curl -sS -m 60 http://no.test:22/ 2>&1';

    const { out, messages } = await behindGate(sh(script), allow('ok.test'), { rung });

    expect(out).toContain('hello ok.test');
    expect(out).toContain(`Forbidden by agentfw: ${REFUSAL.message}\nRule: ${REFUSAL.rule}\n${REFUSAL.how}`);
    expect(out).toContain(JSON.stringify({ error: 'forbidden by agentfw', message: REFUSAL.message, rule: REFUSAL.rule, how: REFUSAL.how }));
    expect(out).toMatch(/access denied/i);
    expect(messages.filter(({ t }) => t === 'conn')).toHaveLength(5);
    expect(messages.filter(({ t }) => t === 'close')).toHaveLength(5);
  });

  withCurl.test('NP13 an IPv6 destination is captured like any other', async () => {
    const { out, messages } = await behindGate(sh('curl -sS -m 60 "http://[2001:db8::7]/"'), {}, { rung });

    expect(out).toContain('Forbidden by agentfw');
    expect(messages).toContainEqual(expect.objectContaining({ t: 'conn', ip: '2001:db8::7', name: null, port: 80 }));
  });

  withCurl.test('a kernel without IPv6 has the same gate, for IPv4: names, answers of any server, refused datagrams', async () => {
    const script = `curl -sS -m 60 http://ok.test/; curl -s -m 60 -o /dev/null -w '%{http_code}\n' http://no.test/; getent ahostsv4 ok.test | head -1; ${python} -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(60)
s.sendto(bytes.fromhex("0001010000010000000000000267740474657374000001" "0001"), ("9.9.9.9", 53)); print(s.recvfrom(600)[1][0])
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(60); u.connect(("192.0.2.1", 4433)); u.send(b"x")
try: u.recv(10)
except OSError as error: print(type(error).__name__)'`;

    const { out, err, messages } = await behindGate(sh(script), allow('ok.test'), { rung, only4: true });

    expect(out, err).toMatch(/^hello ok\.test\n403\n198\.19\.\d+\.\d+ .*\n9\.9\.9\.9\nConnectionRefusedError\n$/);
    expect(messages).toContainEqual(expect.objectContaining({ t: 'conn', name: 'ok.test', port: 80 }));
    expect(messages.find(({ t }) => t === 'ready')).toMatchObject({ rung, ipv6: false });
  });

  withCurl.test('NP14 the sandbox has a loopback of its own, and its gate port leads nowhere', async () => {
    const script = `curl -s -m 60 http://127.0.0.1:${port}/; echo $?; curl -s -m 60 http://127.0.0.1:61/; echo $?; curl -s -m 60 http://198.18.0.2:61/; echo $?`;

    const { out, messages } = await behindGate(sh(script), allow('127.0.0.1'), { rung });

    expect(out).toMatch(/^7\n(7|56)\n(7|56)\n$/);
    expect(messages.some(({ t }) => t === 'conn')).toBe(false);
  });
});

describe('as root without an outer user namespace', () => {
  withCurl.test('the gate works the same', async () => {
    if (process.getuid?.() !== 0) return;

    const { out } = await behindGate(sh('curl -sS -m 60 http://ok.test/'), allow('ok.test'), { as: 'root' });

    expect(out).toBe('hello ok.test\n');
  });
});

describe('first bytes', () => {
  const python = (code: string): string[] => ['/usr/bin/python3', '-c', code];
  const raw = (host: string, p: number, bytes: string): string[] =>
    python(`import socket\ns=socket.create_connection((${JSON.stringify(host)},${p}),60)\ns.settimeout(60)\ns.sendall(${bytes})\ntry:\n  print(s.recv(200))\nexcept OSError as e: print(type(e).__name__)`);

  test.each([
    ['NT13 a Host that is not the name', 80, 'b"GET / HTTP/1.1\\r\\nHost: evil.test\\r\\n\\r\\n"', '403'],
    ['NT19 an absolute-form request for another host', 80, 'b"GET http://evil.test/ HTTP/1.1\\r\\nHost: ok.test\\r\\n\\r\\n"', '403'],
    ['NT04 CONNECT through an allowed host', 80, 'b"CONNECT evil.test:443 HTTP/1.1\\r\\nHost: ok.test\\r\\n\\r\\n"', '403'],
    ['two Host headers', 80, 'b"GET / HTTP/1.1\\r\\nHost: ok.test\\r\\nHost: evil.test\\r\\n\\r\\n"', '403'],
    ['a bare LF', 80, 'b"GET / HTTP/1.1\\nHost: evil.test\\n\\n"', '403'],
    ['no HTTP at all on 80', 80, 'b"SSH-2.0-x\\r\\n"', 'ConnectionResetError'],
    ['no TLS on 443', 443, 'b"SSH-2.0-x\\r\\n"', 'ConnectionResetError'],
    ['HTTP on 443', 443, 'b"GET / HTTP/1.1\\r\\nHost: ok.test\\r\\n\\r\\n"', '403'],
    ['a foreign Host on any port', 8080, 'b"GET / HTTP/1.1\\r\\nHost: evil.test:8080\\r\\n\\r\\n"', '403'],
    ['NT13 blank lines before a foreign Host', 8080, 'b"\\r\\n\\n GET / HTTP/1.1\\r\\nHost: evil.test\\r\\n\\r\\n"', 'ConnectionResetError'],
    ['NT13 a method of its own before a foreign Host', 8080, 'b"FOO / HTTP/1.1\\r\\nHost: evil.test\\r\\n\\r\\n"', 'ConnectionResetError'],
    ['NT13 other blanks in a request line', 8080, 'b"GET\\t/\\tHTTP/1.1\\r\\nHost: evil.test\\r\\n\\r\\n"', 'ConnectionResetError'],
    ['NT13 blanks behind a request line', 8080, 'b"GET / HTTP/1.1 \\r\\nHost: evil.test\\r\\n\\r\\n"', '403'],
    ['NT13 a folded Host', 8080, 'b"GET / HTTP/1.1\\r\\nX: a\\r\\n Host: ok.test\\r\\nHost: evil.test\\r\\n\\r\\n"', '403'],
    ['NT07 a Host with a user in it', 8080, 'b"GET / HTTP/1.1\\r\\nHost: ok.test@evil.test\\r\\n\\r\\n"', '403'],
    ['NT07 an authority with a user in it', 8080, 'b"GET http://ok.test@evil.test/ HTTP/1.1\\r\\nHost: ok.test\\r\\n\\r\\n"', '403'],
    ['NT16 HTTP/2 by prior knowledge', 8080, 'b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n"', '403'],
    ['a Host with another port', 8080, 'b"GET / HTTP/1.1\\r\\nHost: ok.test:22\\r\\n\\r\\n"', '403'],
  ])('%s is a question, and refused', async (_, p, bytes, expected) => {
    const { out, messages } = await behindGate(raw('ok.test', p, bytes), allow('ok.test'));

    expect(out).toContain(expected);
    expect(messages.some(({ t }) => t === 'first')).toBe(true);
  });

  test.each([
    ['NT13 an SNI that is not the name', 'evil.test', 'evil.test'],
    ['NT14 a ClientHello without SNI', '', null],
  ])('%s is a question, and refused with a TLS alert', async (_, sni, seen) => {
    const code = `import socket,ssl\nc=ssl._create_unverified_context()\ns=socket.create_connection(("ok.test",443),60)\ntry:\n  c.wrap_socket(s,server_hostname=${sni === '' ? 'None' : JSON.stringify(sni)})\nexcept ssl.SSLError as e: print(e.reason)`;

    const { out, messages } = await behindGate(python(code), allow('ok.test'));

    expect(out).toBe('TLSV1_ALERT_ACCESS_DENIED\n');
    expect(messages).toContainEqual(expect.objectContaining({ t: 'first', spoke: 'tls', sni: seen }));
  });

  const hello = (sni: string): string => `
import socket,ssl
i,o=ssl.MemoryBIO(),ssl.MemoryBIO()
c=ssl._create_unverified_context().wrap_bio(i,o,server_hostname="${sni}")
try: c.do_handshake()
except ssl.SSLWantReadError: pass
b=o.read()
def say(data, port=8443):
  s=socket.create_connection(("ok.test",port),60); s.settimeout(60); s.sendall(data)
  try: print(s.recv(20).hex())
  except OSError as e: print(type(e).__name__)
`;

  test.each([
    ['records of another version', 'b"\\x16\\x05\\x07"+b[3:]', 'evil.test', 'tls'],
    ['records of version 0', 'b"\\x16\\x00\\x00"+b[3:]', 'evil.test', 'tls'],
    ['an alert before it, which servers pass over', 'b"\\x15\\x03\\x01\\x00\\x02\\x01\\x5a"+b', undefined, 'bad'],
    ['a change of ciphers before it', 'b"\\x14\\x03\\x03\\x00\\x01\\x01"+b', undefined, 'bad'],
    ['the form of SSL 2, which has no names', 'b"\\x80\\x2e\\x01\\x03\\x01\\x00\\x03\\x00\\x00\\x00\\x20\\x00\\x00\\x2f"+b"r"*32', null, 'tls'],
    ['a second name', 'b.replace(b"\\x00\\x0c\\x00\\x00\\x09evil.test", b"\\x00\\x0c\\x00\\x00\\x02ok\\x00\\x00\\x04.com")', undefined, 'bad'],
  ])('NT13 a ClientHello on any port with %s is no way around its name', async (_, bytes, sni, spoke) => {
    const { out, messages } = await behindGate(python(`${hello('evil.test')}say(${bytes})`), allow('ok.test'));

    expect(messages).toContainEqual(expect.objectContaining({ t: 'first', spoke, ...(sni === undefined ? {} : { sni }) }));
    expect(out).toMatch(/^(15030100020231|ConnectionResetError)/);
  });

  test('a ClientHello with the name in capitals passes at once', async () => {
    const { messages } = await behindGate(python(`${hello('OK.Test')}say(b, 443)`), allow('ok.test'));

    expect(messages.some(({ t }) => t === 'first')).toBe(false);
    expect(messages).toContainEqual(expect.objectContaining({ t: 'close', spoke: 'tls' }));
  });

  test('a ClientHello in many small records and segments still shows its name', async () => {
    const code = `
import socket,ssl,time
i,o=ssl.MemoryBIO(),ssl.MemoryBIO()
c=ssl._create_unverified_context().wrap_bio(i,o,server_hostname="evil.test")
try: c.do_handshake()
except ssl.SSLWantReadError: pass
b=o.read()[5:]
s=socket.create_connection(("ok.test",443),60); s.setsockopt(6,1,1)
for k in range(0,len(b),40):
  p=b[k:k+40]; s.sendall(b"\\x16\\x03\\x01"+len(p).to_bytes(2,"big")+p); time.sleep(0.001)
print(s.recv(20).hex())`;

    const { out, messages } = await behindGate(python(code), allow('ok.test'));

    expect(out).toBe('15030100020231\n');
    expect(messages).toContainEqual(expect.objectContaining({ t: 'first', sni: 'evil.test' }));
  });

  test('NT13 a request line in pieces that look like no HTTP never arrives whole; other words do', async () => {
    let heard = '';
    const server = await listen((socket) => socket.on('data', (chunk: Buffer) => {
      heard += chunk.toString('latin1');
      socket.write(chunk);
    }));
    const code = `
import socket
def say(*pieces):
  s=socket.create_connection(("ok.test",4000),60); s.settimeout(60); s.setsockopt(6,1,1)
  try:
    for p in pieces:
      s.sendall(p); print(s.recv(99))
  except OSError as e: print(type(e).__name__)
say(b"hi", b" there", b"\\nGET / HTTP/1.1\\n")
say(b"FOO", b" /", b" HTT", b"P/1.1\\r\\nHost: evil.test\\r\\n\\r\\n")
say(b"\\r\\n", b"get", b"\\t/ http/1.0\\n")
say(b"x"*40, b" / HTTP/1.1\\r\\n")
say(b"\\x00\\x01", b"FOO / HTTP/1.1\\r\\n")`;

    const { out, messages } = await behindGate(python(code), { conn: () => ({ addrs: ['127.0.0.1'], port: server.port }) });
    await server.close();

    expect(out.split('\n')).toEqual([
      "b'hi'", "b' there'", "b'\\nGET / HTTP/1.1\\n'",
      "b'FOO'", "b' /'", "b' HTT'", 'ConnectionResetError',
      "b'\\r\\n'", "b'get'", 'ConnectionResetError',
      `b'${'x'.repeat(40)}'`, "b' / HTTP/1.1\\r\\n'",
      "b'\\x00\\x01'", "b'FOO / HTTP/1.1\\r\\n'", '',
    ]);
    expect(heard).not.toMatch(/Host|http/);
    expect(messages.filter((message) => message.t === 'first' && message.spoke === 'bad')).toHaveLength(2);
    expect(messages.filter(({ t }) => t === 'close')).toHaveLength(5);
  });

  test('a server that speaks first is heard before the client speaks', async () => {
    const ssh = await listen((socket) => socket.write('SSH-2.0-test\r\n'));
    const code = 'import socket\ns=socket.create_connection(("ok.test",22),60)\nprint(s.recv(99))';

    const { out } = await behindGate(python(code), { conn: () => ({ addrs: ['127.0.0.1'], port: ssh.port }) });
    await ssh.close();

    expect(out).toContain('SSH-2.0-test');
  });
});

describe('data', () => {
  const sum = 'import hashlib,sys';

  test('50 MB up and down arrive unchanged, with half-close', async () => {
    const echo = await listen((socket) => socket.pipe(socket));
    const code = `${sum}
import socket,threading,os
d=os.urandom(1<<20)
s=socket.create_connection(("ok.test",7),60)
h=hashlib.sha256()
def w():
  for _ in range(50): s.sendall(d)
  s.shutdown(1)
t=threading.Thread(target=w); t.start()
n=0
while True:
  b=s.recv(1<<16)
  if not b: break
  n+=len(b); h.update(b)
t.join()
e=hashlib.sha256()
for _ in range(50): e.update(d)
print(n, h.digest()==e.digest())`;

    const { out, messages } = await behindGate(['/usr/bin/python3', '-c', code], { conn: () => ({ addrs: ['127.0.0.1'], port: echo.port }) });
    await echo.close();

    expect(out).toBe(`${50 << 20} True\n`);
    expect(messages).toContainEqual(expect.objectContaining({ t: 'close', up: 50 << 20, down: 50 << 20, error: null }));
  });

  test('a reset of the server resets the client', async () => {
    const server = await listen((socket) => socket.once('data', () => socket.resetAndDestroy()));
    const code = 'import socket\ns=socket.create_connection(("ok.test",7),60)\ns.sendall(b"x")\ntry: print(s.recv(9))\nexcept OSError as e: print(type(e).__name__)';

    const { out } = await behindGate(['/usr/bin/python3', '-c', code], { conn: () => ({ addrs: ['127.0.0.1'], port: server.port }) });
    await server.close();

    expect(out).toBe('ConnectionResetError\n');
  });

  withCurl.test('the next vetted address is tried when the first refuses', async () => {
    const { out } = await behindGate(sh('curl -sS -m 60 http://ok.test/'), { conn: () => ({ addrs: ['127.0.0.9', '127.0.0.1'], port }) });

    expect(out).toBe('hello ok.test\n');
  });
});

describe('DNS', () => {
  const query = (server: string, qtype: number, tcp: boolean): string => `
import socket,struct
q=struct.pack(">HHHHHH",7,0x100,1,0,0,0)+b"\\x02Ok\\x04tEst\\0"+struct.pack(">HH",${qtype},1)
f=socket.AF_INET6 if ":" in "${server}" else socket.AF_INET
s=socket.socket(f,socket.SOCK_STREAM if ${tcp ? 1 : 0} else socket.SOCK_DGRAM); s.settimeout(60)
s.connect(("${server}",53)); s.send((struct.pack(">H",len(q)) if ${tcp ? 1 : 0} else b"")+q)
print(s.recv(600)[${tcp ? 2 : 0}:].hex())`;

  test.each([['8.8.8.8', false], ['1.1.1.1', true], ['2001:4860:4860::8888', false], ['2001:4860:4860::8888', true]])('NP01, NP02 a query to %s (tcp %s) is answered here', async (server, tcp) => {
    const { out, messages } = await behindGate(['/usr/bin/python3', '-c', query(server, 1, tcp)], {});

    expect(out.trim()).toMatch(/^00078180000100010000000002/);
    expect(out.trim()).toMatch(/c613[0-9a-f]{4}$/);
    expect(messages).toContainEqual(expect.objectContaining({ t: 'dns', name: 'ok.test', type: 1 }));
    expect(messages.some(({ t }) => t === 'conn' || t === 'udp')).toBe(false);
  });

  test.each([['nxdomain', '8183'], ['refused', '8185'], ['nodata', '8180']] as const)('`%s` is what the client gets', async (verdict, flags) => {
    const { out } = await behindGate(['/usr/bin/python3', '-c', query('8.8.8.8', 1, false)], { dns: () => verdict });

    expect(out).toContain(`0007${flags}00010000`);
  });

  test.each([
    [600_000, ['1', '16', '16']], [0, ['1', '1', '28', '65', '16', '16']],
  ])('a name that is asked again within %i ms has the same address, and is asked once', async (dnsKeep, asked) => {
    const code = `
import socket,struct
def ask(t):
  q=struct.pack(">HHHHHH",7,0x100,1,0,0,0)+b"\\x02ok\\x04test\\0"+struct.pack(">HH",t,1)
  s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(60); s.connect(("8.8.8.8",53)); s.send(q)
  r=s.recv(600); print(r[3]&15, r[7], r[-4:-2].hex() if r[7] else "")
for t in (1,1,28,65,16,16): ask(t)`;
    const { out, messages } = await behindGate(['/usr/bin/python3', '-c', code], { dnsKeep });

    expect(out).toBe(`0 1 c613\n0 1 c613\n${'0 0 \n'.repeat(4)}`);
    expect(messages.flatMap((message) => (message.t === 'dns' ? [String(message.type)] : []))).toEqual(asked);
  });

  test('a name that was refused, or whose time is over, is asked again', async () => {
    const again = sh('getent ahostsv4 no.test; getent ahostsv4 no.test; getent ahostsv4 ok.test >/dev/null; sleep 0.2; getent ahostsv4 ok.test >/dev/null');
    const { messages } = await behindGate(again, { dnsKeep: 1, dns: (name, type) => (name === 'no.test' ? 'nxdomain' : type === 1 ? 'fake' : 'nodata') });
    const names = messages.flatMap((message) => (message.t === 'dns' && message.type === 1 ? [message.name] : []));

    expect(names.filter((name) => name === 'no.test').length).toBeGreaterThanOrEqual(2);
    expect(names.filter((name) => name === 'ok.test').length).toBeGreaterThanOrEqual(2);
  });

  test('the reverse of a fake address is its name', async () => {
    const { out } = await behindGate(sh('getent hosts ok.test | cut -d" " -f1 | xargs getent hosts'), {});

    expect(out).toMatch(/198\.19\.0\.1\s+ok\.test/);
  });
});

describe('UDP', () => {
  test.each(['8.8.8.8', '2001:db8::1'])('NP04, NP05 a datagram to %s is refused at once and asked once', async (ip) => {
    const code = `import socket
s=socket.socket(socket.AF_INET6 if ":" in "${ip}" else socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(60)
s.connect(("${ip}",443))
for _ in range(3):
  try: s.send(b"quic"); s.recv(9)
  except OSError as e: print(type(e).__name__)`;

    const { out, messages } = await behindGate(['/usr/bin/python3', '-c', code], {});

    expect(out).toBe('ConnectionRefusedError\n'.repeat(3));
    expect(messages.filter(({ t }) => t === 'udp')).toHaveLength(1);
  });

  test('an explicit rule lets datagrams through, both ways', async () => {
    const echo = createSocket('udp4', (message, from) => echo.send(`re:${message.toString()}`, from.port, from.address));
    echo.bind(0, '127.0.0.1');
    await once(echo, 'listening');
    const code = `import socket
for f,ip in ((socket.AF_INET,"9.9.9.9"),(socket.AF_INET6,"2001:db8::9")):
  s=socket.socket(f,socket.SOCK_DGRAM); s.settimeout(60)
  for i in range(3):
    s.sendto(b"x%d"%i,(ip,4000)); print(s.recvfrom(99)[0:2])`;

    const { out } = await behindGate(['/usr/bin/python3', '-c', code], { udp: () => ({ addr: '127.0.0.1', port: echo.address().port }) });
    echo.close();

    expect(out).toContain("(b're:x2', ('9.9.9.9', 4000))");
    expect(out).toContain("(b're:x2', ('2001:db8::9', 4000, 0, 0))");
  });

  test('a ping gets no false answer', async () => {
    const { status } = await behindGate(sh('command -v ping >/dev/null || exit 9; ping -c1 -W1 8.8.8.8 >/dev/null 2>&1'), {});

    expect(status).not.toBe(0);
  });
});

describe('doors', () => {
  const server = 'import http.server,sys\nclass H(http.server.BaseHTTPRequestHandler):\n  def do_GET(s):\n    s.send_response(200); s.end_headers(); s.wfile.write(b"inside")\nhttp.server.HTTPServer(("127.0.0.1",3000),H).serve_forever()';

  test.each([false, true])('NP16 a published port reaches the sandbox, and shuts (IPv4 only: %s)', async (only4) => {
    const run = await startBehindGate(['/usr/bin/python3', '-c', server], {}, { only4 });
    run.channel.send({ t: 'publish', id: 1, addr: '127.0.0.1', port: 0, inside: 3000 });
    const door = await run.seen('door', ({ id, error }) => id === 1 && error === null);

    const get = async (): Promise<string> => {
      for (let i = 0; i < 2000; i += 1) {
        try {
          return await (await fetch(`http://127.0.0.1:${door.port}/`)).text();
        } catch {
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      }
      return 'never';
    };
    expect(await get()).toBe('inside');
    expect(await run.seen('ingress')).toMatchObject({ door: 1, ip: '127.0.0.1', inside: 3000 });
    run.channel.send({ t: 'shut', id: 1 });
    await run.seen('door', ({ error }) => error === 'ESHUTDOWN');
    await expect(fetch(`http://127.0.0.1:${door.port}/`)).rejects.toThrow();

    run.channel.close();
    await run.done;
  });

  for (const only4 of [false, true]) withCurl.test(`a forwarded port leads to what the supervisor names (IPv4 only: ${only4})`, async () => {
    const run = await startBehindGate(sh('for i in $(seq 1000); do curl -s -m 60 http://127.0.0.1:5432/ && break; sleep 0.1; done'), {
      conn: ({ forward, port: p }) => (forward && p === 5432 ? { addrs: ['127.0.0.1'], port, check: 'never' } : null),
    }, { only4 });
    run.channel.send({ t: 'forward', id: 2, port: 5432 });

    expect((await run.done).out).toContain('hello 127.0.0.1:5432');
    run.channel.close();
  });
});
