import { readFileSync, readlinkSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { needs } from '../helpers/needs.js';
import { exists } from '../helpers/processes.js';
import { behindGate, buildHarness, HARNESS, listen, sh, startBehindGate, type Answers } from './harness.js';

const withCurl = needs('curl');

let echo: Awaited<ReturnType<typeof listen>>;
beforeAll(async () => {
  buildHarness();
  echo = await listen((socket) => socket.pipe(socket));
});
afterAll(() => echo.close());

const python = (code: string): string[] => ['/usr/bin/python3', '-c', code];
const toEcho: Answers = { conn: () => ({ addrs: ['127.0.0.1'], port: echo.port }) };

/** One client that keeps a stream busy and says when it breaks, one that keeps dialling. */
const BUSY = `
import socket,threading,time
def busy():
  s=socket.create_connection(("ok.test",7),60)
  while True:
    s.sendall(b"x"*65536)
    n=0
    while n<65536:
      b=s.recv(65536)
      if not b: raise SystemExit
      n+=len(b)
threading.Thread(target=busy).start()
while True:
  s=socket.create_connection(("ok.test",7),60); s.sendall(b"a"); s.recv(1); s.close()
`;

describe('NT26, RS02 fails closed', () => {
  test.each(['supervisor', 'gate', 'netd', 'driver'] as const)('kill -9 of the %s under load ends the tree and all egress', async (who) => {
    const before = echo.server.listenerCount('connection');
    const run = await startBehindGate(python(BUSY), toEcho);
    await run.seen('conn');
    await new Promise((resolve) => setTimeout(resolve, 200));

    if (who === 'supervisor') run.channel.close();
    else process.kill(who === 'driver' ? run.child.pid! : run.pids[who], 'SIGKILL');
    const { status } = await run.done;

    expect(status).not.toBe(0);
    for (const pid of [run.pids.gate, run.pids.netd]) await gone(pid);
    await expect.poll(() => connections()).toBe(0);
    expect(echo.server.listenerCount('connection')).toBe(before);
    run.channel.close();
  });

  test.each(['gate', 'netd', 'supervisor'] as const)('what is cut by the end of the %s is a reset to both sides, and no end of data', async (who) => {
    let ended = '';
    const server = await listen((socket) => {
      socket.write('half of it');
      socket.on('end', () => (ended = 'a clean end')).on('error', ({ message }) => (ended = message));
    });
    const client = python(`import socket
s=socket.create_connection(("ok.test",7),60); s.sendall(b"half of it"); s.recv(99); print("up",flush=True)
try: print("clean" if s.recv(9)==b"" else "data",flush=True)
except OSError: print("reset",flush=True)`);
    const run = await startBehindGate(client, { conn: () => ({ addrs: ['127.0.0.1'], port: server.port }) });
    await new Promise((resolve) => run.child.stdout!.once('data', resolve));

    if (who === 'supervisor') run.channel.close();
    else process.kill(run.pids[who], 'SIGKILL');
    const { out } = await run.done;
    await expect.poll(() => ended).toContain('ECONNRESET');
    await server.close();

    // It may have ended with its tree before it could say so.
    expect(['up\n', 'up\nreset\n']).toContain(out);
    run.channel.close();
  });

  test('a message that is no message ends the gate', async () => {
    const run = await startBehindGate(sh('sleep 30'), {});

    run.channel.send({ t: 'nonsense' } as never);

    expect((await run.done).err).toContain('unknown word');
    run.channel.close();
  });
});

describe('what the agent can do about it', () => {
  test('NP07 it has no right over routes, rules, namespaces or low ports', async () => {
    const code = `
import socket,ctypes,os
def t(name,f):
  try: f(); print(name,"DONE")
  except OSError as e: print(name,e.errno)
s=socket.socket()
t("transparent",lambda: s.setsockopt(0,19,1))
t("mark",lambda: s.setsockopt(1,36,1))
t("low",lambda: socket.socket().bind(("127.0.0.1",61)))
t("raw",lambda: socket.socket(socket.AF_INET,socket.SOCK_RAW,1))
t("packet",lambda: socket.socket(socket.AF_PACKET,socket.SOCK_RAW,0))
n=socket.socket(socket.AF_NETLINK,socket.SOCK_RAW,0)
# RTM_NEWLINK lo down
import struct
n.send(struct.pack("IHHII",32,16,5,1,0)+struct.pack("BxHiII",0,0,1,0,1)); r=n.recv(999); print("down",-struct.unpack_from("i",r,16)[0])
f=socket.socket(socket.AF_NETLINK,socket.SOCK_RAW,12)
f.send(struct.pack("IHHII",20,(10<<8)|2,5,1,0)+struct.pack("BBH",1,0,0)); r=f.recv(999); print("nft",-struct.unpack_from("i",r,16)[0])`;

    const { out } = await behindGate(python(code), {});

    expect(out).not.toContain('DONE');
    expect(out).toMatch(/down 1\n/);
    expect(out).toMatch(/nft (1|95|22)\n/);
  });

  withCurl.test('a nested network namespace has no way out at all', async () => {
    const { out, messages } = await behindGate(sh('unshare -Urn curl -s -m 60 http://9.9.9.9/; echo $?'), {});

    expect(out).toMatch(/^7\n$/);
    expect(messages.some(({ t }) => t === 'conn')).toBe(false);
  });

  test('gate and netd are in no process list of it', async () => {
    const run = await startBehindGate(sh('ls /proc | grep -c "^[0-9]"; cat /proc/*/comm'), {});
    const { out } = await run.done;

    expect(out).not.toMatch(/gate-harness\n.*gate-harness\n.*gate-harness/s);
    run.channel.close();
  });
});

describe('confined', () => {
  test.skipIf(HARNESS.endsWith('-san'))('the gate has no capability, a filter, no files and no terminal', async () => {
    const run = await startBehindGate(sh('sleep 1000'), {});
    const status = readFileSync(`/proc/${run.pids.gate}/status`, 'utf8');

    expect(status).toMatch(/CapEff:\t0+\n/);
    expect(status).toMatch(/CapPrm:\t0+\n/);
    expect(status).toMatch(/NoNewPrivs:\t1/);
    expect(status).toMatch(/Seccomp:\t2/);
    for (const fd of [0, 1]) expect(readlinkSync(`/proc/${run.pids.gate}/fd/${fd}`)).toBe('/dev/null');
    const netd = readFileSync(`/proc/${run.pids.netd}/status`, 'utf8');
    expect(netd).toMatch(/CapEff:\t0000000000083400\n/);
    run.channel.close();
    await run.done;
  });
});

describe('NT32 bounds', () => {
  test('silent clients of a refusing gate are let go', async () => {
    const code = `
import socket
c=[socket.create_connection(("no.test",9999),60) for _ in range(300)]
left=0
for s in c:
  s.settimeout(60)
  try: s.recv(1)
  except TimeoutError: left+=1
  except OSError: pass
print(len(c), left)`;

    const { out } = await behindGate(python(code), {});

    expect(out).toBe('300 0\n');
  });

  test('more connections than descriptors: the rest waits, and nothing else breaks', async () => {
    const code = `
import socket,resource
s=resource.getrlimit(resource.RLIMIT_NOFILE); resource.setrlimit(resource.RLIMIT_NOFILE,(s[1],s[1]))
c=[]
for i in range(700):
  try: c.append(socket.create_connection(("127.1.1.%d"%1 if 0 else "ok.test",7),5))
  except OSError as e: print(e); break
print(len(c))
for s in c: s.close()
s=socket.create_connection(("ok.test",7),60); s.settimeout(60); s.sendall(b"hi"); print(s.recv(9))`;

    const run = await startBehindGate(['sh', '-c', 'ulimit -n 20000 2>/dev/null; exec "$@"', 'sh', ...python(code)], toEcho);
    const { out } = await run.done;

    expect(out).toMatch(/^700\nb'hi'\n$/);
    run.channel.close();
  });

  test('10,000 held connections cost little, and all are answered', async () => {
    const code = `
import socket,resource,time,select
h=resource.getrlimit(resource.RLIMIT_NOFILE)[1]; resource.setrlimit(resource.RLIMIT_NOFILE,(h,h))
n=min(10000,h-100); c=[]
for i in range(n):
  s=socket.socket(); s.setblocking(False)
  try: s.connect(("10.1.%d.%d"%(i>>8,i&255),7))
  except BlockingIOError: pass
  c.append(s)
print("made",flush=True)
left=len(c); refused=0
p=select.poll()
m={s.fileno():s for s in c}
for s in c: p.register(s,select.POLLIN)
end=time.time()+300
while m and time.time()<end:
  for fd,ev in p.poll(1000):
    s=m.pop(fd); p.unregister(fd); refused+=1; s.close()
print(refused==len(c))`;
    const held: number[] = [];
    const run = await startBehindGate(python(code), { conn: ({ id }) => (held.push(id), 'hold') });
    const { limit } = await run.seen('ready');
    await run.seen('conn', () => held.length >= Math.min(limit, 9000));
    const rss = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${run.pids.gate}/status`, 'utf8'))?.[1]);
    const answer = setInterval(() => {
      for (const id of held.splice(0)) run.channel.send({ t: 'conn', id, verdict: 'deny', rule: 'r', message: 'm', how: '' });
    }, 20);

    const { out } = await run.done;
    clearInterval(answer);
    run.channel.close();

    expect(out).toBe('made\nTrue\n');
    expect(rss).toBeLessThan(32_000);
  });

  test('a reader that stops reading stops its writer, not the gate', async () => {
    let sent = 0;
    const flood = await listen((socket) => {
      const chunk = Buffer.alloc(1 << 20);
      const more = (): void => {
        while (socket.write(chunk)) sent += chunk.length;
        sent += chunk.length;
      };
      socket.on('drain', more);
      more();
    });
    const code = 'import socket,time\nc=[socket.create_connection(("ok.test",7),60) for _ in range(8)]\ntime.sleep(1000)';

    const run = await startBehindGate(python(code), { conn: () => ({ addrs: ['127.0.0.1'], port: flood.port }) });
    let last = 0;
    await expect.poll(() => {
      const stopped = sent > 0 && sent === last;
      last = sent;
      return stopped;
    }, { interval: 1000 }).toBe(true);
    const rss = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${run.pids.gate}/status`, 'utf8'))?.[1]);
    run.channel.close();
    await run.done;
    await flood.close();

    expect(rss).toBeLessThan(32_000);
    expect(sent).toBeLessThan(256 << 20);
  });
});

async function gone(pid: number): Promise<void> {
  await expect.poll(() => exists(pid)).toBe(false);
}

function connections(): Promise<number> {
  return new Promise((resolve, reject) => echo.server.getConnections((error, count) => (error ? reject(error) : resolve(count))));
}
