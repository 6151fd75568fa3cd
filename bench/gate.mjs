// Loopback, the gate (with policy, resolver and records), a plain Node CONNECT
// proxy and, as root, a bare relay into a namespace (relay.c: the floor) side by side: the same clients and server, interleaved, best of
// ROUNDS. Needs `npm run build` and a C compiler.
//
//     node bench/gate.mjs [SECONDS [ROUNDS]]
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const self = fileURLToPath(import.meta.url);
const [role, ...words] = process.argv.slice(2);

if (role === 'client') await nodeClient(...words);
else if (role === 'proxy') connectProxy();
else await main(Number(role ?? 1), Number(words[0] ?? 3));

/** Runs inside or outside; PROXY is a port of a CONNECT proxy or 0. */
async function nodeClient(addr, httpPort, sourcePort, seconds, proxy) {
  const ms = Number(seconds) * 1000;
  const connect = (port) => (Number(proxy) === 0 ? Promise.resolve(net.connect(Number(port), addr)) : through(Number(proxy), addr, port));
  const get = (agent) => new Promise((resolve, reject) => {
    const request = http.request({ host: addr, port: httpPort, headers: { host: `b.test:${httpPort}` }, agent }, (response) => response.resume().on('end', resolve));
    request.on('error', reject).end();
  });
  const rate = async (workers, agent) => {
    const end = performance.now() + ms;
    let count = 0;
    await Promise.all(Array.from({ length: workers }, async () => {
      for (; performance.now() < end; count += 1) await get(agent);
    }));
    return count / (ms / 1000);
  };
  const agent = (keepAlive) => Object.assign(new http.Agent({ keepAlive, maxSockets: 32 }), Number(proxy) === 0 ? {} : { createConnection: (_, done) => void connect(httpPort).then((socket) => done(null, socket), done) });
  console.log(`node-keepalive-1 ${(await rate(1, agent(true))).toFixed(0)}`);
  console.log(`node-keepalive-32 ${(await rate(32, agent(true))).toFixed(0)}`);
  console.log(`node-new ${(await rate(1, agent(false))).toFixed(0)}`);
  const socket = await connect(sourcePort);
  let total = 0;
  socket.on('data', (chunk) => (total += chunk.length));
  const start = performance.now();
  await new Promise((resolve) => setTimeout(resolve, ms));
  console.log(`node-down ${(total / (performance.now() - start) / 1e6).toFixed(2)}`);
  process.exit(0);
}

async function through(proxy, host, port) {
  const request = http.request({ host: '127.0.0.1', port: proxy, method: 'CONNECT', path: `${host}:${port}`, agent: false }).end();
  const [, socket] = await once(request, 'connect');
  return socket;
}

function connectProxy() {
  const server = http.createServer();
  server.on('connect', (request, client) => {
    const [host, port] = request.url.split(':');
    const upstream = net.connect(Number(port), host, () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n');
      client.pipe(upstream).pipe(client);
    });
    for (const socket of [client, upstream]) socket.on('error', () => (client.destroy(), upstream.destroy())).setNoDelay();
  });
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
}

async function firstLine(child) {
  for await (const line of createInterface({ input: child.stdout })) return line;
  throw new Error('it said nothing');
}

async function output(child) {
  let text = '';
  for await (const chunk of child.stdout) text += chunk;
  return text;
}

function figures(text) {
  return Object.fromEntries(text.trim().split('\n').map((line) => line.split(' ')).map(([name, value]) => [name, Number(value)]));
}

async function main(seconds, rounds) {
  const dir = mkdtempSync(join(tmpdir(), 'agentfw-bench-'));
  chmodSync(dir, 0o755);
  const peer = join(dir, 'peer');
  execFileSync('cc', ['-O2', '-pthread', '-o', peer, join(here, 'gate_peer.c')]);
  execFileSync('make', ['-s', '-C', join(here, '../driver'), '-f', 'gate.mk', 'build/gate-harness']);
  const relay = join(dir, 'relay');
  execFileSync('cc', ['-O2', '-pthread', '-o', relay, join(here, 'relay.c')]);
  const server = spawn(peer, ['server'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const proxy = spawn(process.execPath, [self, 'proxy'], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const [web, source, sink] = (await firstLine(server)).split(' ');
    const port = await firstLine(proxy);
    const clients = (addr, by) => [[peer, 'client', addr, web, source, sink, seconds], [process.execPath, self, 'client', addr, web, source, seconds, by]].map((argv) => argv.map(String));
    const ways = {
      direct: (argv) => output(spawn(argv[0], argv.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] })),
      gate: (argv) => throughGate(argv),
      ...(process.getuid() === 0 ? { relay: (argv) => output(spawn(relay, [web, source, sink, '--', ...argv], { stdio: ['ignore', 'pipe', 'inherit'] })) } : {}),
      proxy: (argv) => output(spawn(argv[0], argv.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] })),
    };
    const best = {};
    for (let round = 0; round < rounds; round += 1) {
      for (const [way, run] of Object.entries(ways)) {
        const [c, node] = clients(way === 'gate' ? '198.19.0.1' : '127.0.0.1', way === 'proxy' ? port : 0);
        const text = `${way === 'proxy' ? '' : await run(c)}${await run(node)}`;
        for (const [name, value] of Object.entries(figures(text))) (best[name] ??= {})[way] = Math.max(best[name]?.[way] ?? 0, value);
      }
    }
    print(best);
  } finally {
    server.kill();
    proxy.kill();
    rmSync(dir, { recursive: true });
  }
}

/** A real session: compiled policy, records on disk, decisions as in a run. */
async function throughGate(argv) {
  const [{ startGate }, { openAudit }, { native: kernel }, { fromText }] = await Promise.all(['gate/gate', 'audit/write', 'kernel/native', 'bytes'].map((name) => import(`../dist/${name}.js`)));
  const dir = mkdtempSync(join(tmpdir(), 'agentfw-bench-'));
  const root = process.getuid() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
  const script = 'getent hosts b.test >/dev/null; exec "$@"';
  const command = [...root, join(here, '../driver/build/gate-harness'), '--', 'sh', '-c', script, 'sh', ...argv];
  const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'ignore', 'ignore', 'ignore', 'pipe'], cwd: '/' });
  const audit = openAudit({ kernel, dir: fromText(dir), tag: 'bench', policy: null, now: () => new Date(), onFull: 'stop' });
  const host = { text: 'b.test', kind: 'name', value: 'b.test', ports: 'any' };
  const none = { paths: [], hosts: [], names: [] };
  const rule = { list: 'network.allow', id: 'bench', origin: { layer: 'user', file: 'x', line: 1, col: 1 }, note: null, subjects: { ...none, hosts: [host] }, except: none, ports: null, private: true, silent: false, keys: [], tightens: false };
  const policy = { version: 1, digest: '', rules: [rule], settings: [], floor: [], loosened: [], sockets: {}, variables: [], files: [] };
  const running = startGate({
    ...{ stream: child.stdio[5], policy, audit, dir, now: () => new Date(), newId: () => 'q' },
    ask: { enabled: false, person: false, timeoutMs: 1000, approver: null, onChanged: () => undefined, stored: [], store: () => undefined },
    ...{ publish: [], connectHost: new Map(), upstream: null, resolve: () => Promise.resolve({ kind: 'addresses', addresses: ['127.0.0.1'] }) },
  });
  const text = await output(child);
  const gate = await running;
  await gate.session.ended;
  gate.close();
  audit.leave();
  rmSync(dir, { recursive: true });
  return text;
}

function print(best) {
  console.log(`${readFileSync('/proc/loadavg', 'utf8').split(' ')[0]} load\n`);
  console.log('| | direct | gate | | bare relay | | CONNECT proxy | |\n|---|---|---|---|---|---|---|---|');
  for (const [name, { direct, gate, relay, proxy }] of Object.entries(best)) {
    const part = (value) => (value === undefined ? '' : `${(value / direct).toFixed(2)} ×`);
    console.log(`| ${name} | ${direct} | ${gate} | ${part(gate)} | ${relay ?? ''} | ${part(relay)} | ${proxy ?? ''} | ${part(proxy)} |`);
  }
}
