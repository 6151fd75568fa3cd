/**
 * A host that answers on this machine's loopback under names of its own: the
 * command line runs in a mount namespace whose hosts file has them.
 */
import { execa } from 'execa';
import { once } from 'node:events';
import { chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { afterAll, beforeAll } from 'vitest';
import { serveOnLoopback } from './loopback.js';
import { createArea, type Area, type Identity, type Outcome, type RunOptions } from './sandbox.js';

export interface Upstream {
  readonly port: number;
  /** `METHOD HOST PATH` of each request that arrived */
  readonly seen: readonly string[];
  readonly close: () => Promise<void>;
}

export async function startUpstream(): Promise<Upstream> {
  const seen: string[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    const slow = request.url === '/slow';
    seen.push(`${request.method ?? ''} ${request.headers.host ?? ''} ${request.url ?? ''}`);
    const to = /^\/to\/(.+)$/.exec(request.url ?? '')?.[1];
    // Never ended: what holds it open is cut, or not.
    if (to !== undefined) response.writeHead(302, { location: `http://${to}` }).end();
    else if (slow) response.write('begun\n');
    else response.end('from upstream\n');
  });
  // Echoes what comes after a switch of protocols.
  server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
    seen.push(`UPGRADE ${request.headers.host ?? ''} ${request.url ?? ''}`);
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    socket.pipe(socket);
    socket.on('error', () => undefined);
  });
  return {
    port: await serveOnLoopback(server),
    seen,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Names of one upstream; the policy allows the first, and asks for the last. */
export const ALLOWED = 'up.agentfw-test.example';
/** Leads inward too, by a rule without `private`. */
export const INWARD = 'inward.agentfw-test.example';
export const OTHER = 'other.agentfw-test.example';

/** Has an address that nothing answers at: a proxy leads there. */
export const FAR = 'far.agentfw-test.example';

/** No rule of the shared policy names these: a test's own policy file does. */
export const RULES = ['get', 'raw', 'asked', 'registry'].map((name) => `${name}.rules-test.example`);

/** The user's policy, and the hosts file that `cli` and `words` lay over the machine's own. */
export interface World {
  readonly cli: (args: readonly string[], options?: RunOptions) => Promise<Outcome>;
  /** the words of `agentfw ARGS…` in that world */
  readonly words: (args: readonly string[]) => readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/** One world for all tests of a block; `use` is told of it before the first. */
export function inWorld(identity: Identity, use: (made: { readonly area: Area; readonly up: Upstream; readonly world: World }) => void): void {
  let area: Area;
  let up: Upstream;
  beforeAll(async () => {
    area = createArea(identity);
    up = await startUpstream();
    use({ area, up, world: makeWorld(area, up.port) });
  });
  afterAll(async () => {
    await area.remove();
    await up.close();
  });
}

function makeWorld(area: Area, port: number): World {
  const dir = join(area.home, '.config/agentfw');
  for (const path of [join(area.home, '.config'), dir]) {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    chownSync(path, area.identity.uid, area.identity.gid);
  }
  const hosts = join(area.dir, 'hosts');
  writeFileSync(hosts, `127.0.0.1 localhost\n127.0.0.1 ${ALLOWED} ${OTHER} ${INWARD} ${RULES.join(' ')}\n169.254.169.254 metadata.agentfw-test.example\n192.88.98.1 ${FAR}\n`, { mode: 0o644 });
  const policy = join(dir, 'policy.yaml');
  writeFileSync(policy, [
    'version: 1', 'network:', '  allow:',
    `    - {host: ${ALLOWED}, ports: [${port}], private: true, id: test.up}`,
    `    - {host: "*.agentfw-test.example", ports: [${port}], id: test.public}`,
    `  ask: [{host: ${OTHER}, ports: [${port}]}]`, '',
  ].join('\n'), { mode: 0o600 });
  chownSync(policy, area.identity.uid, area.identity.gid);
  const script = `mount --bind ${hosts} /etc/hosts && exec "$@"`;
  const words: World['words'] = (args) => ['unshare', '-m', 'sh', '-c', script, 'sh', ...area.as(area.argv(args))];
  const cli: World['cli'] = async (args, { env = {}, timeout = 300_000 } = {}) => {
    const [program = '', ...rest] = words(args);
    const result = await execa(program, rest, { cwd: area.project, env: { ...area.env, ...env }, extendEnv: false, reject: false, stripFinalNewline: false, stdin: 'ignore', timeout });
    return { status: result.exitCode ?? null, signal: result.signal ?? null, stdout: result.stdout, stderr: result.stderr };
  };
  return { cli, words, cwd: area.project, env: area.env };
}
