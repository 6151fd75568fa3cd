import { randomBytes } from 'node:crypto';
import { existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromText, type Bytes } from '../bytes.js';
import type { Kernel } from '../kernel/kernel.js';
import { tryLock, type Lock } from './lock.js';

/** What the attempts of a self-test are aimed at, on the host, and whether they got there. */
export interface Targets {
  /** absolute; the agent's working directory, and where it leaves its results (in its layer) */
  readonly dir: string;
  readonly secret: string;
  /** of a server on 127.0.0.1 */
  readonly port: number;
  /** this process's own namespaces, as `mnt:[4026531841]` */
  readonly namespaces: readonly string[];
  /** names of attempts that reached the host */
  readonly reached: () => ReadonlySet<string>;
  readonly close: () => void;
}

/** The targets of a self-test that was killed. */
export interface AbandonedTargets {
  readonly dir: Bytes;
  readonly remove: () => void;
}

const PREFIX = 'agentfw-selftest-';
/** held as long as the self-test lives */
const LOCK = 'lock';

/** The user's own in the directory for temporary files, while nobody holds them. */
export function* abandonedTargets(kernel: Kernel, uid: number): Iterable<AbandonedTargets> {
  const room = realpathSync(tmpdir());
  for (const name of readdirSync(room).filter((one) => one.startsWith(PREFIX))) {
    const dir = join(room, name);
    const stat = lstatSync(dir, { throwIfNoEntry: false });
    if (stat === undefined || !stat.isDirectory() || stat.uid !== uid || !existsSync(join(dir, LOCK))) continue;
    const lock = tryLock(kernel, fromText(join(dir, LOCK)));
    if (lock === null) continue;
    yield { dir: fromText(dir), remove: () => rmSync(dir, { recursive: true, force: true }) };
    lock.release();
  }
}

/** Again if another self-test took it for abandoned before it was locked. */
function ownDirectory(kernel: Kernel): { readonly dir: string; readonly lock: Lock } {
  for (;;) {
    const dir = realpathSync(mkdtempSync(join(tmpdir(), PREFIX)));
    const lock = tryLock(kernel, fromText(join(dir, LOCK)));
    if (lock !== null && existsSync(join(dir, LOCK))) return { dir, lock };
    lock?.release();
  }
}

const KINDS = ['mnt', 'pid', 'user', 'ipc', 'uts', 'cgroup', 'net'] as const;

/** Files, sockets and ports of the host that an agent must not reach, each with a text that would tell. The caller removes them. */
export async function makeTargets(kernel: Kernel): Promise<Targets> {
  const { dir, lock } = ownDirectory(kernel);
  const text = randomBytes(8).toString('hex');
  const kept = ['keep.txt', 'gone.txt', 'secret.txt'].map((name) => join(dir, name));
  for (const path of kept) writeFileSync(path, text);
  const connected = new Set<string>();
  const servers: Server[] = [];
  const serve = async (name: string, where: { readonly path: string } | { readonly host: string; readonly port: number }): Promise<Server> => {
    const server = createServer((socket) => {
      connected.add(name);
      socket.on('error', () => undefined);
      socket.end('reached\n');
    });
    servers.push(server);
    await new Promise<void>((done, fail) => server.once('error', fail).listen(where, done));
    return server;
  };
  const close = (): void => {
    for (const server of servers) server.close();
    rmSync(dir, { recursive: true, force: true });
    lock.release();
  };
  try {
    const address = (await serve('network.loopback', { host: '127.0.0.1', port: 0 })).address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    await serve('sockets.file', { path: join(dir, 'door.sock') });
    await serve('sockets.abstract', { path: `\0agentfw-selftest-${port}` });
    const isAsBefore = (name: string): boolean => existsSync(join(dir, name)) && readFileSync(join(dir, name), 'utf8') === text;
    const reached = (): ReadonlySet<string> =>
      new Set([
        ...connected,
        ...(isAsBefore('keep.txt') ? [] : ['files.overwrite']),
        ...(isAsBefore('gone.txt') ? [] : ['files.delete']),
        ...(existsSync(join(dir, 'new.txt')) ? ['files.create'] : []),
      ]);
    return { dir, secret: join(dir, 'secret.txt'), port, namespaces: KINDS.map((kind) => readlinkSync(`/proc/self/ns/${kind}`)), reached, close };
  } catch (error) {
    close();
    throw error;
  }
}
