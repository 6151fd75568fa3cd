import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTls } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { serveOnLoopback } from '../helpers/loopback.js';
import { behindGate, buildHarness, listen, type Answers } from './harness.js';

let dir = '';
let http = 0;
let https = 0;
let ssh: Awaited<ReturnType<typeof listen>>;
let psql: Awaited<ReturnType<typeof listen>>;
const closing: (() => void)[] = [];

const page: RequestListener = (request, response) => {
  const file = join(dir, decodeURIComponent((request.url ?? '').split('?')[0] ?? ''));
  if (request.url === '/') response.end('hello\n');
  else if (existsSync(file) && statSync(file).isFile()) response.end(readFileSync(file));
  else response.writeHead(404).end();
};

beforeAll(async () => {
  buildHarness();
  dir = mkdtempSync(join(tmpdir(), 'agentfw-clients-'));
  chmodSync(dir, 0o755);
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=ok.test', '-addext', 'subjectAltName=DNS:ok.test', '-keyout', join(dir, 'key.pem'), '-out', join(dir, 'cert.pem')], { stdio: 'ignore' });
  const plain = createServer(page);
  const tls = createTls({ key: readFileSync(join(dir, 'key.pem')), cert: readFileSync(join(dir, 'cert.pem')) }, page);
  closing.push(() => plain.close(), () => tls.close());
  [http, https] = await Promise.all([serveOnLoopback(plain), serveOnLoopback(tls)]);
  ssh = await listen((socket) => socket.write('SSH-2.0-agentfw_test\r\n', () => setTimeout(() => socket.end(), 100)));
  // Refuses SSL, then ends as PostgreSQL does: the client has heard the server through the gate.
  psql = await listen((socket) => socket.on('data', (data: Buffer) => (data.length === 8 ? socket.write('N') : socket.end(pgError('heard by the server')))));
  repository();
});
afterAll(async () => {
  for (const close of closing) close();
  await Promise.all([ssh.close(), psql.close()]);
  rmSync(dir, { recursive: true });
});

const answers: Answers = {
  conn: ({ name, port }) => (name !== 'ok.test' ? null : { addrs: ['127.0.0.1'], port: { 80: http, 443: https, 22: ssh.port, 5432: psql.port }[port] ?? http }),
};

/** title, needed program, argv for a host, what an allowed and a refused client say */
type Client = readonly [string, string, (host: string) => readonly string[], RegExp, RegExp];

const py = (code: string): ((host: string) => readonly string[]) => (host) => ['/usr/bin/python3', '-c', code.replaceAll('HOST', host)];
const node = (code: string): ((host: string) => readonly string[]) => (host) => [process.execPath, '-e', code.replaceAll('HOST', host)];
const CA = (): Record<string, string> => ({ NODE_EXTRA_CA_CERTS: join(dir, 'cert.pem'), SSL_CERT_FILE: join(dir, 'cert.pem'), CURL_CA_BUNDLE: join(dir, 'cert.pem'), GIT_SSL_CAINFO: join(dir, 'cert.pem'), GIT_TERMINAL_PROMPT: '0' });

const RESET = /reset|closed|EOF|ECONNRESET/i;
const DENIED = /access (was )?.?denied|ACCESS_DENIED/i;

const CLIENTS: readonly Client[] = [
  ['curl over http', 'curl', (h) => ['curl', '-sS', '-m300', `http://${h}/`], /hello/, /Forbidden by agentfw/],
  ['curl over https', 'curl', (h) => ['curl', '-sS', '-m300', `https://${h}/`], /hello/, DENIED],
  ['wget over http', 'wget', (h) => ['wget', '-qO-', '-T300', '-t1', '--content-on-error', `http://${h}/`], /hello/, /Forbidden by agentfw/],
  ['wget over https', 'wget', (h) => ['wget', '-O-', '-T300', '-t1', '--ca-certificate', join(dir, 'cert.pem'), `https://${h}/`], /hello/, /denied|Unable to establish/i],
  ['git over http', 'git', (h) => ['git', 'ls-remote', `http://${h}/repo.git`], /refs\/heads\/main/, /403/],
  ['git over https', 'git', (h) => ['git', 'ls-remote', `https://${h}/repo.git`], /refs\/heads\/main/, DENIED],
  ['Node fetch over https', process.execPath, node('fetch("https://HOST/").then(r=>r.text()).then(console.log,e=>console.log(e.cause.code))'), /hello/, /ACCESS_DENIED/],
  ['Node http', process.execPath, node('require("http").get("http://HOST/",r=>r.pipe(process.stdout))'), /hello/, /Forbidden by agentfw/],
  ['Python urllib over https', '/usr/bin/python3', py('import urllib.request as u\ntry: print(u.urlopen("https://HOST/",timeout=300).read())\nexcept OSError as e: print(e)'), /hello/, DENIED],
  ['Python asyncio', '/usr/bin/python3', py('import asyncio\nasync def m():\n  r,w=await asyncio.open_connection("HOST",80); w.write(b"GET / HTTP/1.0\\r\\nHost: HOST\\r\\n\\r\\n"); print(await r.read())\nasyncio.run(m())'), /hello/, /Forbidden by agentfw/],
  ['perl', 'perl', (h) => ['perl', '-MIO::Socket::INET', '-e', `$s=IO::Socket::INET->new("${h}:80") or die; print $s "GET / HTTP/1.0\\r\\nHost: ${h}\\r\\n\\r\\n"; print <$s>`], /hello/, /Forbidden by agentfw/],
  ['bash /dev/tcp', 'bash', (h) => ['bash', '-c', `exec 3<>/dev/tcp/${h}/80; printf 'GET / HTTP/1.0\\r\\nHost: ${h}\\r\\n\\r\\n' >&3; cat <&3`], /hello/, /Forbidden by agentfw/],
  ['ssh', 'ssh', (h) => ['ssh', '-v', '-F', 'none', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'BatchMode=yes', `x@${h}`], /agentfw_test/, RESET],
  ['psql', 'psql', (h) => ['psql', '-w', `host=${h} user=x dbname=x connect_timeout=300`], /heard by the server/, RESET],
  ['Java', 'java', (h) => ['java', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', join(dir, 'Get.java'), `http://${h}/`], /hello/, /403/],
  ['TCP fast open', '/usr/bin/python3', py('import socket\ns=socket.socket(); s.sendto(b"GET / HTTP/1.0\\r\\nHost: HOST\\r\\n\\r\\n",0x20000000,(socket.gethostbyname("HOST"),80)); print(s.recv(999))'), /hello|200/, /403/],
  ['epoll before connect', '/usr/bin/python3', py('import socket,select\ns=socket.socket(); s.setblocking(False); e=select.epoll(); e.register(s,5)\ntry: s.connect((socket.gethostbyname("HOST"),80))\nexcept BlockingIOError: pass\nwhile not any(v&4 for _,v in e.poll(5)): pass\ns.send(b"GET / HTTP/1.0\\r\\nHost: HOST\\r\\n\\r\\n"); e.modify(s,1); e.poll(5); print(s.recv(999))'), /hello|200/, /403/],
  ['dup before connect', '/usr/bin/python3', py('import socket\ns=socket.socket(); d=s.dup(); s.connect((socket.gethostbyname("HOST"),80)); d.sendall(b"GET / HTTP/1.0\\r\\nHost: HOST\\r\\n\\r\\n"); print(d.recv(999))'), /hello|200/, /403/],
];

describe.each(CLIENTS)('%s', (_title, program, argv, allowed, refused) => {
  const missing = spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0 || (process.getuid?.() === 0 && spawnSync('setpriv', ['--reuid=65534', '--clear-groups', 'sh', '-c', `test -x "$(command -v ${program})"`]).status !== 0);

  test.skipIf(missing)('gets through when allowed', async () => {
    const { out, err } = await behindGate(argv('ok.test'), answers, { env: CA() });

    expect(out + err).toMatch(allowed);
  });

  test.skipIf(missing)('is told clearly when refused, before its own patience ends', async () => {
    const { out, err } = await behindGate(argv('no.test'), answers, { env: CA() });

    expect(out + err).toMatch(refused);
  });
});

describe('a client of HTTP/2 without TLS', () => {
  test('that first waits for the server’s settings, as gRPC does, reads why', async () => {
    const code = 'const c=require("http2").connect("http://HOST/"); c.on("remoteSettings",()=>{ const r=c.request(); r.on("response",h=>console.log(h[":status"])); r.on("data",d=>console.log(String(d))); r.on("end",()=>c.close()); }); c.on("goaway",(code,last,text)=>console.log("goaway",code,String(text))); c.on("error",()=>{})';
    const { out } = await behindGate(node(code)('no.test'), answers);

    expect(out).toContain('403\nForbidden by agentfw');
  });

  test('reads the refusal as an answer to its request', async () => {
    const { out } = await behindGate(node('const c=require("http2").connect("http://HOST/"); const r=c.request(); r.on("response",h=>console.log(h[":status"])); r.on("data",d=>console.log(String(d))); r.on("end",()=>c.close())')('no.test'), answers);

    expect(out).toMatch(/^403\nForbidden by agentfw: /);
  });

  test('that asks for nothing before it is answered reads it as the end of the connection', async () => {
    const { out } = await behindGate(node('const c=require("http2").connect("http://HOST/"); c.on("goaway",(code,last,text)=>{ console.log(code,last,String(text)); c.destroy(); }); c.on("error",()=>{})')('no.test'), answers);

    // 13: HTTP/1.1 is required.
    expect(out).toMatch(/^13 0 Forbidden by agentfw: /);
  });
});

function repository(): void {
  const git = (...args: string[]): void => void execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@t', '-c', 'init.defaultBranch=main', ...args], { cwd: dir, stdio: 'ignore', env: { PATH: process.env['PATH'], HOME: dir } });
  mkdirSync(join(dir, 'work'));
  git('init', 'work');
  git('-C', 'work', 'commit', '--allow-empty', '-m', 'x');
  git('clone', '--bare', 'work', 'repo.git');
  git('-C', 'repo.git', 'update-server-info');
  writeFileSync(join(dir, 'Get.java'), 'class Get { public static void main(String[] a) throws Exception { var r = java.net.http.HttpClient.newHttpClient().send(java.net.http.HttpRequest.newBuilder(java.net.URI.create(a[0])).build(), java.net.http.HttpResponse.BodyHandlers.ofString()); System.out.println(r.statusCode() + r.body()); } }');
}

function pgError(message: string): Buffer {
  const body = Buffer.from(`SFATAL\0C28000\0M${message}\0\0`);
  const head = Buffer.from('E\0\0\0\0');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}
