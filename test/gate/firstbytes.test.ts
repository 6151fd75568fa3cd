import { createServer as createHttp } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serveOnLoopback } from '../helpers/loopback.js';
import { allowing, behindGate, buildHarness, listen, type Answers } from './harness.js';

const web = createHttp((request, response) => request.resume().on('end', () => response.end(`${request.method} ${request.headers.host ?? ''}\n`)));
let port = 0;

beforeAll(async () => {
  buildHarness();
  port = await serveOnLoopback(web);
});
afterAll(() => web.close());

const allow = (...names: string[]): Answers => allowing(names, port);

describe('first bytes', () => {
  const python = (code: string): string[] => ['/usr/bin/python3', '-c', code];
  const raw = (host: string, p: number, bytes: string): string[] =>
    python(`import socket\ns=socket.create_connection((${JSON.stringify(host)},${p}),60)\ns.settimeout(60)\ns.sendall(${bytes})\ntry:\n  # The settings of HTTP/2 come before what it says.\n  b=s.recv(200)\n  print(b if len(b) > 9 else b+s.recv(200))\nexcept OSError as e: print(type(e).__name__)`);

  test.each([
    ['NT13 a Host that is not the name', 80, 'b"GET / HTTP/1.1\\r\\nHost: evil.test\\r\\n\\r\\n"', '403'],
    ['NT19 an absolute-form request for another host', 80, 'b"GET http://evil.test/ HTTP/1.1\\r\\nHost: ok.test\\r\\n\\r\\n"', '403'],
    ['NT04 CONNECT without a version', 8080, 'b"CONNECT evil.test:443\\r\\nHost: ok.test\\r\\n\\r\\n"', '403'],
    ['NT04 CONNECT of an object, with a version', 8080, 'b"CONNECT {evil.test:443 HTTP/1.1\\r\\nHost: ok.test:8080\\r\\n\\r\\n"', '403'],
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
    ['NT13 a request without a version', 8080, 'b"GET /\\r\\nHost: evil.test\\r\\n\\r\\n"', '403'],
    ['NT13 a request without a version or a path', 8080, 'b"GET x\\nHost: evil.test\\r\\n\\r\\n"', '403'],
    ['NT13 a method that only servers know, without a version', 8080, 'b"MERGE /\\r\\nHost: evil.test\\r\\n\\r\\n"', 'ConnectionResetError'],
    ['NT13 a request of another protocol\'s version', 8080, 'b"get / RTSP/1.0\\r\\nHost: evil.test\\r\\n\\r\\n"', 'ConnectionResetError'],
    ['NT13 a request of another version, by a known method', 8080, 'b"GET / ICE/1.0\\r\\nHost: evil.test\\r\\n\\r\\n"', '403'],
    ['NT13 blanks of another alphabet', 8080, 'b"GET\\xa0/\\x85HTTP/1.1\\r\\nHost: evil.test\\r\\n\\r\\n"', 'ConnectionResetError'],
    ['NT13 control characters before a request', 8080, 'b"\\0GET / HTTP/1.1\\r\\nHost: evil.test\\r\\n\\r\\n"', 'ConnectionResetError'],
    ['NT13 a method of more letters than any', 8080, 'b"A" * 99 + b" / HTTP/1.1\\r\\nHost: evil.test\\r\\n\\r\\n"', 'ConnectionResetError'],
    ['NT13 a method that is no word', 8080, 'b"G\\x1b[31mET\\xff / HTTP/1.1\\r\\nHost: evil.test\\r\\n\\r\\n"', 'ConnectionResetError'],
    ['NT13 a request behind the PROXY protocol', 8080, 'b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\\r\\nGET / HTTP/1.1\\r\\nHost: evil.test\\r\\n\\r\\n"', 'ConnectionResetError'],
    ['NT13 a request behind the PROXY protocol, binary', 8080, 'b"\\r\\n\\r\\n\\0\\r\\nQUIT\\n\\x20\\0\\0\\0GET / HTTP/1.1\\r\\nHost: evil.test\\r\\n\\r\\n"', 'ConnectionResetError'],
    ['NT07 an authority that ends in a fragment', 8080, 'b"GET http://ok.test#@evil.test/ HTTP/1.1\\r\\nHost: ok.test\\r\\n\\r\\n"', '403'],
    ['NT13 a folded Host', 8080, 'b"GET / HTTP/1.1\\r\\nX: a\\r\\n Host: ok.test\\r\\nHost: evil.test\\r\\n\\r\\n"', '403'],
    ['NT13 a control character in a header\'s name', 8080, 'b"GET / HTTP/1.1\\r\\nHost: ok.test:8080\\r\\nHost\\x0b: evil.test\\r\\n\\r\\n"', '403'],
    ['NT13 a form feed before a header\'s name', 8080, 'b"GET / HTTP/1.1\\r\\nHost: ok.test:8080\\r\\n\\x0cHost: evil.test\\r\\n\\r\\n"', '403'],
    ['NT13 a control character in a header\'s value', 8080, 'b"GET / HTTP/1.1\\r\\nHost: ok.test:8080\\r\\nX: a\\x0bHost: evil.test\\r\\n\\r\\n"', '403'],
    ['NT13 a version that is no number', 8080, 'b"GET / HTTP/1.\\x0b\\r\\nHost: ok.test:8080\\r\\n\\r\\n"', '403'],
    ['NT07 a Host with a user in it', 8080, 'b"GET / HTTP/1.1\\r\\nHost: ok.test@evil.test\\r\\n\\r\\n"', '403'],
    ['NT07 an authority with a user in it', 8080, 'b"GET http://ok.test@evil.test/ HTTP/1.1\\r\\nHost: ok.test\\r\\n\\r\\n"', '403'],
    ['NT16 HTTP/2 by prior knowledge', 8080, 'b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n"', 'Forbidden by agentfw'],
    ['a target with another port', 80, 'b"GET http://ok.test:22/ HTTP/1.1\\r\\nHost: ok.test\\r\\n\\r\\n"', '403'],
    ['NT13 a Host that proxies would take away', 80, 'b"GET / HTTP/1.1\\r\\nHost: ok.test\\r\\nConnection: close , HOST\\t\\r\\n\\r\\n"', '403'],
    ['NT13 a length that proxies would take away', 80, 'b"POST / HTTP/1.1\\r\\nHost: ok.test\\r\\nProxy-Connection:content-length\\r\\nContent-Length: 0\\r\\n\\r\\n"', '403'],
    ['a Host with another port', 8080, 'b"GET / HTTP/1.1\\r\\nHost: ok.test:22\\r\\n\\r\\n"', '403'],
  ])('%s is a question, and refused', async (_, p, bytes, expected) => {
    const { out, messages } = await behindGate(raw('ok.test', p, bytes), allow('ok.test'));

    expect(out).toContain(expected);
    expect(messages.some(({ t }) => t === 'first')).toBe(true);
  });

  test('NATS, whose first line has a method of HTTP, passes as it is', async () => {
    const echo = await listen((socket) => socket.pipe(socket));
    const line = 'b\'CONNECT {"verbose":false,"name":"nats://ok.test","protocol":1}\\r\\nPING\\r\\n\'';
    const { out, messages } = await behindGate(raw('ok.test', 4222, line), allowing(['ok.test'], echo.port));
    await echo.close();

    expect(out).toContain('CONNECT {"verbose":false,"name":"nats://ok.test","protocol":1}\\r\\nPING\\r\\n');
    expect(messages.some(({ t }) => t === 'first')).toBe(false);
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
def record(body): return b[:3]+len(body).to_bytes(2,"big")+body
# With one more extension at its end.
def more(kind, data):
  at=43; at+=1+b[at]; at+=2+int.from_bytes(b[at:at+2],"big"); at+=1+b[at]
  data=kind.to_bytes(2,"big")+len(data).to_bytes(2,"big")+data
  size=lambda at,n: (int.from_bytes(b[at:at+n],"big")+len(data)).to_bytes(n,"big")
  return record(b[5:6]+size(6,3)+b[9:at]+size(at,2)+b[at+2:]+data)
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

  test.each([
    ['evil.test', 'the right name in a second extension', 'more(0, b"\\0\\x0a\\0\\0\\x07ok.test")', { spoke: 'bad' }],
    ['ok.test', 'another, hidden name (ESNI)', 'more(0xffce, b"x" * 40)', { spoke: 'tls', sni: 'ok.test', ech: true }],
    ['ok.test', 'another, hidden name (ECH)', 'more(0xfe0d, b"x" * 40)', { spoke: 'tls', sni: 'ok.test', ech: true }],
    ['ok.test', 'a second message in its record', 'record(b[5:] + b"\\x01\\0\\0\\0")', { spoke: 'bad' }],
    ['ok.test', 'an empty record before it', 'b[:3] + b"\\0\\0" + b', { spoke: 'bad' }],
  ])('NT13, NT14 a ClientHello for %s with %s does not pass unasked', async (sni, _, bytes, question) => {
    const { out, messages } = await behindGate(python(`${hello(sni)}say(${bytes})`), allow('ok.test'));

    expect(messages).toContainEqual(expect.objectContaining({ t: 'first', ...question }));
    expect(out).toMatch(/^(15030100020231|ConnectionResetError)/);
  });

  test.each([
    ['192.0.2.7', '192.0.2.7', 'tproxy'], ['2001:db8::7', '[2001:db8::7]', 'tproxy'], ['::ffff:192.0.2.7', '192.0.2.7', 'tproxy'],
    ['192.0.2.7', '192.0.2.7', 'redir'], ['2001:db8::7', '[2001:db8::7]', 'redir'], ['192.0.2.7', '192.0.2.7', 'notify'], ['2001:db8::7', '[2001:db8::7]', 'notify'],
  ] as const)('by address: requests to %s that say so pass unasked, of any method (%s, rung `%s`)', async (ip, said, rung) => {
    const code = `import http.client
c=http.client.HTTPConnection("${ip}",8080,timeout=60)
for method in "GET","POST","GET":
  c.request(method,"/",headers={"Host":"${said}:8080"}); print(c.getresponse().read().decode().strip())`;

    const { out, messages } = await behindGate(python(code), { conn: () => ({ addrs: ['127.0.0.1'], port }) }, { rung });

    expect(out).toBe(['GET', 'POST', 'GET'].map((method) => `${method} ${said}:8080\n`).join(''));
    expect(messages.some(({ t }) => t === 'first')).toBe(false);
  });

  test.each([
    ['a name', 'ok.test'], ['another address', '192.0.2.8'], ['another notation', '0xc0000207'], ['a number', '3221225991'], ['one that is longer', '192.0.2.70'], ['the address in brackets', '[192.0.2.7]'],
  ])('by address: a Host that is %s is a question, and refused', async (_, said) => {
    const { out, messages } = await behindGate(raw('192.0.2.7', 80, `b${JSON.stringify(`GET / HTTP/1.1\r\nHost: ${said}\r\n\r\n`)}`), { conn: () => ({ addrs: ['127.0.0.1'], port }) });

    expect(out).toContain('403');
    expect(messages).toContainEqual(expect.objectContaining({ t: 'first', spoke: 'http', host: said }));
  });

  test.each([['no name passes unasked', '', []], ['a name is a question', 'evil.test', ['evil.test']]] as const)('by address: a ClientHello with %s', async (_, sni, asked) => {
    const server = await listen((socket) => socket.once('data', () => socket.end('plain')));

    const { out, messages } = await behindGate(python(`${hello(sni)}\nsay(b,443)`.replaceAll('"ok.test"', '"192.0.2.7"').replace('server_hostname=""', 'server_hostname=None')), { conn: () => ({ addrs: ['127.0.0.1'], port: server.port }) });
    await server.close();

    expect(out).toBe(asked.length === 0 ? `${Buffer.from('plain').toString('hex')}\n` : '15030100020231\n');
    expect(messages.flatMap((message) => (message.t === 'first' ? [message.sni] : []))).toEqual(asked);
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
say(b"\\x00\\xc1" + b"\\0" * 32, b"FOO / HTTP/1.1\\r\\n")
say(b"\\x00", b"FOO", b" /x RTSP/", b"1.0\\r\\n")
say(b"0032git-upload-pack", b" /project.git\\0host=ok.test\\0", b"\\n")
say(b"get", b" 5 4\\n")`;

    const { out, messages } = await behindGate(python(code), { conn: () => ({ addrs: ['127.0.0.1'], port: server.port }) });
    await server.close();

    expect(out.split('\n')).toEqual([
      "b'hi'", "b' there'", "b'\\nGET / HTTP/1.1\\n'",
      "b'FOO'", "b' /'", "b' HTT'", 'ConnectionResetError',
      "b'\\r\\n'", "b'get'", 'ConnectionResetError',
      `b'${'x'.repeat(40)}'`, 'ConnectionResetError',
      `b'\\x00\\xc1${'\\x00'.repeat(32)}'`, "b'FOO / HTTP/1.1\\r\\n'",
      "b'\\x00'", "b'FOO'", "b' /x RTSP/'", 'ConnectionResetError',
      "b'0032git-upload-pack'", "b' /project.git\\x00host=ok.test\\x00'", "b'\\n'",
      "b'get'", "b' 5 4\\n'", '',
    ]);
    expect(heard).not.toMatch(/Host|http/);
    expect(messages.filter((message) => message.t === 'first' && message.spoke === 'bad')).toHaveLength(4);
    expect(messages.filter(({ t }) => t === 'close')).toHaveLength(8);
  });

  test('blank lines end, and zeros are no reason to read on for ever', async () => {
    let heard = 0;
    const server = await listen((socket) => socket.on('data', (chunk: Buffer) => {
      heard += chunk.length;
      if (chunk.includes('!')) socket.write(`${heard} `);
    }));
    const code = `
import socket
def say(data):
  s=socket.create_connection(("ok.test",4000),60); s.settimeout(60)
  try:
    s.sendall(data); print(s.recv(99))
  except OSError as e: print("cut")
say(b"\\0" * 3000000 + b"GET / HTTP/1.1!")
say(b"\\r\\n" * 40000 + b"!")
say(b"\\r\\n" * 30000 + b"!")`;

    const { out } = await behindGate(python(code), { conn: () => ({ addrs: ['127.0.0.1'], port: server.port }) });
    await server.close();

    expect(out).toMatch(/^b'3000015 '\ncut\nb'\d+ '\n$/);
  });

  test('a server that speaks first is heard before the client speaks', async () => {
    const ssh = await listen((socket) => socket.write('SSH-2.0-test\r\n'));
    const code = 'import socket\ns=socket.create_connection(("ok.test",22),60)\nprint(s.recv(99))';

    const { out } = await behindGate(python(code), { conn: () => ({ addrs: ['127.0.0.1'], port: ssh.port }) });
    await ssh.close();

    expect(out).toContain('SSH-2.0-test');
  });
});
