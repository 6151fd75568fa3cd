import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { join } from 'node:path';
import { openChannel, type Channel, type ConnQuestion, type GateMessage, type Via } from '../../src/gate/channel.js';
import { serveOnLoopback } from '../helpers/loopback.js';
import { repository } from '../helpers/sandbox.js';

const DRIVER = join(repository, 'driver');
/** `gate-harness-san` runs the same tests under sanitizers. */
export const HARNESS = `${DRIVER}/build/${process.env['AGENTFW_TEST_HARNESS'] ?? 'gate-harness'}`;

/** Builds the stand-alone gate once. */
export function buildHarness(): void {
  execFileSync('make', ['-s', '-C', DRIVER, '-f', 'gate.mk', HARNESS.slice(DRIVER.length + 1)]);
}

/** How the peer answers; what a test leaves out is refused. */
export interface Answers {
  readonly dns?: (name: string, type: number) => 'fake' | 'nodata' | 'nxdomain' | 'refused' | { packet: string };
  /** ms for which a fake address is given again unasked */
  readonly dnsKeep?: number;
  /** host:port to dial, or null to deny, or 'hold' */
  readonly conn?: (question: ConnQuestion) => { addrs: readonly string[]; port: number; check?: 'match' | 'always' | 'never'; via?: Via } | null | 'hold' | 'proxy';
  readonly first?: (message: Extract<GateMessage, { t: 'first' }>) => boolean;
  /** of requests behind a first that is allowed */
  readonly methods?: readonly string[];
  readonly udp?: (message: Extract<GateMessage, { t: 'udp' }>) => { addr: string; port: number } | null;
}

export interface Run {
  readonly child: ChildProcess;
  readonly channel: Channel;
  readonly messages: GateMessage[];
  /** host pids */
  readonly pids: { gate: number; netd: number };
  readonly rung: string;
  /** settles at the first message that fits, also one that came before */
  readonly seen: <T extends GateMessage['t']>(t: T, fits?: (message: Extract<GateMessage, { t: T }>) => boolean) => Promise<Extract<GateMessage, { t: T }>>;
  readonly done: Promise<{ status: number; out: string; err: string }>;
}

export interface RunOptions {
  readonly rung?: 'tproxy' | 'redir' | 'notify';
  /** nobody instead of root, when the tests run as root */
  readonly as?: 'user' | 'root';
  readonly env?: Record<string, string>;
  /** as on a kernel that was booted with ipv6.disable=1: no IPv6 socket can be made */
  readonly only4?: boolean;
  /** RLIMIT_NOFILE of the gate, on which it counts how many connections it takes */
  readonly descriptors?: number;
}

/** socket(AF_INET6, …) fails with EAFNOSUPPORT from here on. */
const NO_IPV6 = `import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
nr = {'x86_64': 41, 'aarch64': 198}[os.uname().machine]
code = [(0x20, 0, 0, 0), (0x15, 0, 3, nr), (0x20, 0, 0, 16), (0x15, 0, 1, 10), (6, 0, 0, 0x50000 | 97), (6, 0, 0, 0x7fff0000)]
buffer = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *line) for line in code))
program = ctypes.create_string_buffer(struct.pack('HxxxxxxP', len(code), ctypes.addressof(buffer)))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])`;

export const REFUSAL = { rule: 'test.default', message: 'no rule allows it', how: 'agentfw approve 1' };

/** Runs `argv` behind a gate whose questions `answers` decides. */
export async function startBehindGate(argv: readonly string[], answers: Answers, options: RunOptions = {}): Promise<Run> {
  const root = process.getuid?.() === 0;
  const user = root && (options.as ?? 'user') === 'user' ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
  const few = options.descriptors === undefined ? [] : ['prlimit', `--nofile=${options.descriptors}`];
  const command = [...few, ...user, ...(options.only4 === true ? ['/usr/bin/python3', '-c', NO_IPV6] : []), HARNESS, ...(options.rung === undefined ? [] : [options.rung]), '--', ...argv];
  const env = { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/', LC_ALL: 'C', ...(options.as === 'root' ? { AGENTFW_HARNESS: 'root' } : {}), ...options.env };
  const child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'pipe', 'pipe', 'ignore', 'ignore', 'pipe'], env, cwd: '/' });
  const messages: GateMessage[] = [];
  const waiting: (() => void)[] = [];
  const channel = openChannel((child.stdio as unknown as Duplex[])[5]!, (message) => {
    messages.push(message);
    answer(channel, answers, message);
    for (const check of [...waiting]) check();
  });
  const seen: Run['seen'] = (t, fits = () => true) => new Promise((resolve) => {
    const check = (): void => {
      const found = messages.find((one) => one.t === t && fits(one as never));
      if (found === undefined) return;
      waiting.splice(waiting.indexOf(check), 1);
      resolve(found as never);
    };
    waiting.push(check);
    check();
  });
  const out = collect(child.stdout!);
  const err = collect(child.stderr!);
  const done = once(child, 'close').then(([code, signal]) => ({ status: (code as number | null) ?? 128, out: out(), err: `${err()}${signal ?? ''}` }));
  await Promise.race([seen('ready'), done.then(({ err: text }) => Promise.reject(new Error(text)))]);
  const started = await until(() => /gate (\d+) netd (\d+) rung (\w+)/.exec(err()));
  return { child, channel, messages, pids: { gate: Number(started[1]), netd: Number(started[2]) }, rung: started[3]!, seen, done };
}

/** The same, to its end. */
export async function behindGate(argv: readonly string[], answers: Answers, options: RunOptions = {}): Promise<{ status: number; out: string; err: string; messages: GateMessage[] }> {
  const run = await startBehindGate(argv, answers, options);
  const ended = await run.done;
  run.channel.close();
  return { ...ended, messages: run.messages };
}

export function sh(script: string): string[] {
  return ['sh', '-c', script];
}

function answer(channel: Channel, answers: Answers, message: GateMessage): void {
  if (message.t === 'dns') {
    const verdict = answers.dns?.(message.name, message.type) ?? (message.type === 1 ? 'fake' : 'nodata');
    if (typeof verdict === 'object') return channel.send({ t: 'dns', id: message.id, verdict: 'reply', ...verdict });
    channel.send({ t: 'dns', id: message.id, ...(verdict === 'fake' ? { verdict, keep: answers.dnsKeep ?? 0 } : { verdict }) });
  } else if (message.t === 'conn') {
    const to = answers.conn?.(message) ?? null;
    if (to === 'hold') return;
    if (to === 'proxy') return channel.send({ t: 'conn', id: message.id, verdict: 'proxy' });
    if (to === null) channel.send({ t: 'conn', id: message.id, verdict: 'deny', ...REFUSAL });
    else channel.send({ t: 'conn', id: message.id, verdict: 'allow', addrs: to.addrs, port: to.port, check: to.check ?? 'match', expect: message.port === 443 ? 'tls' : message.port === 80 ? 'http' : 'any', ...to.via });
  } else if (message.t === 'first') {
    if (answers.first?.(message) === true) channel.send({ t: 'first', id: message.id, verdict: 'allow', ...(answers.methods === undefined ? {} : { methods: answers.methods }) });
    else channel.send({ t: 'first', id: message.id, verdict: 'deny', ...REFUSAL });
  } else if (message.t === 'udp') {
    const to = answers.udp?.(message) ?? null;
    channel.send(to === null ? { t: 'udp', id: message.id, verdict: 'deny' } : { t: 'udp', id: message.id, verdict: 'allow', ...to });
  }
}

function collect(stream: NodeJS.ReadableStream): () => string {
  let text = '';
  stream.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
  return () => text;
}

async function until<T>(probe: () => T | null): Promise<T> {
  for (;;) {
    const found = probe();
    if (found !== null) return found;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Only these names (or addresses) may connect, and reach `port` of 127.0.0.1. */
export function allowing(names: readonly string[], port: number): Answers {
  return { conn: ({ name, ip }) => (names.includes(name ?? ip) ? { addrs: ['127.0.0.1'], port } : null) };
}

/** A server on the host's loopback; closed with everything it accepted. */
export async function listen(onConnection: (socket: Socket) => void): Promise<{ port: number; server: Server; close: () => Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    onConnection(socket);
  });
  return {
    port: await serveOnLoopback(server),
    server,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
