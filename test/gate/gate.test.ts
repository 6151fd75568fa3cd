import { existsSync, readFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serveOnLoopback } from '../helpers/loopback.js';
import { python } from '../helpers/sandbox.js';
import { needs } from '../helpers/needs.js';
import { allowing, behindGate, buildHarness, listen, REFUSAL, sh, startBehindGate, type Answers } from './harness.js';

const withCurl = needs('curl');

const web = createHttp((request, response) => response.end(`hello ${request.headers.host ?? ''}\n`));
let port = 0;

beforeAll(async () => {
  buildHarness();
  port = await serveOnLoopback(web);
});
afterAll(() => web.close());

/** of 10 ms of a processor */
function ticksOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

const allow = (...names: string[]): Answers => allowing(names, port);

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

describe('data', () => {
  const sum = 'import hashlib,sys';

  test.each([
    ['tproxy', 'ok.test', 65536], ['redir', 'ok.test', 65536], ['notify', 'ok.test', 65536], ['tproxy', '2001:db8::7', 65536], ['tproxy', 'ok.test', 3000],
  ] as const)('50 MB up and down arrive unchanged, with half-close (rung `%s`, %s, read by %i)', async (rung, host, step) => {
    const echo = await listen((socket) => socket.pipe(socket));
    const code = `${sum}
import socket,threading,os
d=os.urandom(1<<20)
s=socket.create_connection(("${host}",7),60)
h=hashlib.sha256()
def w():
  for _ in range(50): s.sendall(d)
  s.shutdown(1)
t=threading.Thread(target=w); t.start()
n=0
while True:
  b=s.recv(${step})
  if not b: break
  n+=len(b); h.update(b)
t.join()
e=hashlib.sha256()
for _ in range(50): e.update(d)
print(n, h.digest()==e.digest())`;

    const { out, messages } = await behindGate(['/usr/bin/python3', '-c', code], { conn: () => ({ addrs: ['127.0.0.1'], port: echo.port }) }, { rung });
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

  test('what a flow begins with is held whole until the answer: several datagrams, and a large one', async () => {
    const echo = createSocket('udp4', (message, from) => echo.send(message, from.port, from.address));
    echo.bind(0, '127.0.0.1');
    await once(echo, 'listening');
    const code = `import socket
for sizes in ((1,2,0,1200,1200,3),(20000,)):
  s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(10); s.connect(("9.9.9.9",4000))
  for n in sizes: s.send(b"x"*n)
  print([len(s.recv(65536)) for _ in sizes])`;

    const { out } = await behindGate(['/usr/bin/python3', '-c', code], { udp: () => ({ addr: '127.0.0.1', port: echo.address().port }) });
    echo.close();

    expect(out).toBe('[1, 2, 0, 1200, 1200, 3]\n[20000]\n');
  });

  test('a flow that is cut ends, and what comes next of it is asked about', async () => {
    const echo = createSocket('udp4', (message, from) => echo.send(message, from.port, from.address));
    echo.bind(0, '127.0.0.1');
    await once(echo, 'listening');
    const code = `import socket,time
s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(1); s.connect(("9.9.9.9",4000))
got=0
for _ in range(600):
  try:
    s.send(b"x"); s.recv(9); got+=1
  except socket.timeout: continue
  except OSError as e: print(got>0,type(e).__name__); break
  time.sleep(0.05)`;
    let asked = 0;

    const run = await startBehindGate(['/usr/bin/python3', '-c', code], { udp: () => ((asked += 1) === 1 ? { addr: '127.0.0.1', port: echo.address().port } : null) });
    const { id } = await run.seen('udp');
    await once(echo, 'message');
    setTimeout(() => run.channel.send({ t: 'cut', id }), 300);
    const { out } = await run.done;
    run.channel.close();
    echo.close();

    expect(out).toBe('True ConnectionRefusedError\n');
    expect(await run.seen('close', (close) => close.id === id)).toMatchObject({ error: 'EPERM' });
  });

  test('a new flow has the place of one that has been silent', async () => {
    const echo = createSocket('udp4', (message, from) => echo.send(message, from.port, from.address));
    echo.bind(0, '127.0.0.1');
    await once(echo, 'listening');
    const code = `import socket,time
def flow():
  s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(120); s.connect(("9.9.9.9",4000)); s.send(b"x")
  return s,s.recv(9)
first=[flow() for _ in range(256)]
def again():
  # Not until all of them are forgotten, after a minute.
  for _ in range(300):
    try: return flow()
    except ConnectionRefusedError: time.sleep(0.1)
print(again()[1])`;

    const { out, messages } = await behindGate(['/usr/bin/python3', '-c', code], { udp: () => ({ addr: '127.0.0.1', port: echo.address().port }) });
    echo.close();

    expect(out).toBe("b'x'\n");
    expect(messages.findIndex(({ t }) => t === 'close')).toBeLessThan(messages.findLastIndex(({ t }) => t === 'udp'));
  });

  test('a ping gets no false answer', async () => {
    const { status } = await behindGate(sh('command -v ping >/dev/null || exit 9; ping -c1 -W1 8.8.8.8 >/dev/null 2>&1'), {});

    expect(status).not.toBe(0);
  });
});

describe('doors', () => {
  const server = 'import http.server,sys\nclass H(http.server.BaseHTTPRequestHandler):\n  def do_GET(s):\n    s.send_response(200); s.end_headers(); s.wfile.write(b"inside")\nhttp.server.ThreadingHTTPServer(("127.0.0.1",3000),H).serve_forever()';

  test.each([false, true])('NP16 a published port reaches the sandbox, and shuts (IPv4 only: %s)', async (only4) => {
    const run = await startBehindGate(['/usr/bin/python3', '-c', server], {}, { only4 });
    run.channel.send({ t: 'publish', id: 1, addr: '127.0.0.1', port: 0, inside: 3000 });
    const door = await run.seen('door', ({ id, error }) => id === 1 && error === null);

    // Anybody on this machine may come to its port: a thread for each, and a time for each try.
    const get = async (): Promise<string> => {
      for (let i = 0; i < 2000; i += 1) {
        try {
          return await (await fetch(`http://127.0.0.1:${door.port}/`, { signal: AbortSignal.timeout(30_000) })).text();
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

  test.runIf(existsSync('/proc/net/if_inet6'))('NP16 a port that is published on an address of IPv6 is open on no other', async () => {
    const run = await startBehindGate(['/usr/bin/python3', '-c', server], {});
    const publish = async (id: number, addr: string, port: number): Promise<{ error: string | null; port: number }> => {
      run.channel.send({ t: 'publish', id, addr, port, inside: 3000 });
      return run.seen('door', (door) => door.id === id);
    };
    const both: (string | null)[] = [];
    // Somebody else's port of IPv4 may have the number.
    for (let id = 1; id < 20 && !both.includes(null); id += 2) {
      const six = await publish(id, '::', 0);
      expect(six.error).toBeNull();
      both.push((await publish(id + 1, '0.0.0.0', six.port)).error);
    }
    run.channel.close();
    await run.done;

    expect(both).toContain(null);
  });

  test('rung `notify` goes on when there were more destinations than it has listeners', async () => {
    const up = await listen((socket) => socket.end('up'));
    const code = `
import socket
def go(i):
  s=socket.create_connection((f"192.0.{i >> 8}.{i & 255}",4000),120); s.settimeout(120)
  return s.recv(9)
print(sum(go(i) == b"up" for i in list(range(2200)) + [0, 1, 2199]))`;

    const { out } = await behindGate(['/usr/bin/python3', '-c', code], { conn: () => ({ addrs: ['127.0.0.1'], port: up.port }) }, { rung: 'notify' });
    await up.close();

    expect(out).toBe('2203\n');
  });

  test('who comes by a forwarded port when there is no room waits, for which the gate does nothing, and is served then', async () => {
    const code = `import socket, time
c = []
while len(c) < 140:
  try: c.append(socket.create_connection(('127.0.0.1', 5432)))
  except ConnectionRefusedError: time.sleep(0.1)
for s in c:
  try: s.recv(1)
  except ConnectionResetError: pass
print('all')`;
    const held: number[] = [];
    const run = await startBehindGate([python, '-c', code], { conn: ({ id }) => (held.push(id), 'hold') }, { descriptors: 700 });
    run.channel.send({ t: 'forward', id: 2, port: 5432 });
    const { limit } = await run.seen('ready');
    await run.seen('conn', () => held.length === limit);

    const before = ticksOf(run.pids.gate);
    await pause(1000);
    const spent = ticksOf(run.pids.gate) - before;
    const answer = setInterval(() => {
      for (const id of held.splice(0)) run.channel.send({ t: 'conn', id, verdict: 'deny', ...REFUSAL });
    }, 20);
    const { out } = await run.done;
    clearInterval(answer);
    run.channel.close();

    expect(limit).toBe(128);
    expect(out).toBe('all\n');
    expect(spent).toBeLessThan(10);
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
