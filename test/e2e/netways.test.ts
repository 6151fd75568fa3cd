/** Ways around a gate that others had: no proxy to be talked past, no switch to be found, no rule to be changed while it runs. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { AuditRecord } from '../../src/audit/event.js';
import { needs } from '../helpers/needs.js';
import { childrenOf, parentOf } from '../helpers/processes.js';
import { allIdentities, eventually, jsonOf, python, type Area, type Outcome } from '../helpers/sandbox.js';
import { ALLOWED, inWorld, OTHER, type Upstream, type World } from '../helpers/upstream.js';

for (const identity of allIdentities()) {
  const gated = needs('root', 'userns', 'overlay', 'curl');

  gated.describe(`ways around the network gate as ${identity.name}`, () => {
    let area: Area;
    let up: Upstream;
    let world: World;
    inWorld(identity, (made) => ({ area, up, world } = made));

    const run = (flags: readonly string[], script: string): Promise<Outcome> => world.cli(['run', ...flags, '--', 'sh', '-c', script]);
    const shown = async (tag: string): Promise<{ readonly driver: number }> =>
      await eventually(`${tag} runs`, async () => {
        const status = JSON.parse((await area.cli(['status', tag, '--json'])).stdout || '{}') as { readonly state?: string; readonly driver?: number };
        return status.state === 'running' && status.driver !== undefined ? { driver: status.driver } : undefined;
      }) ?? { driver: 0 };

    gated.test('a program that knows of no proxy is judged like any other (NT05)', async () => {
      const raw = `import socket,sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 60)
s.sendall(b"GET / HTTP/1.1\\r\\nHost: " + sys.argv[1].encode() + b":" + sys.argv[2].encode() + b"\\r\\nConnection: close\\r\\n\\r\\n")
print(s.makefile("rb").readline().split()[1].decode())`;
      const script = `unset http_proxy https_proxy all_proxy; for host in ${ALLOWED} ${OTHER}; do curl --noproxy '*' -s -m 60 -o /dev/null -w '%{http_code}\n' http://$host:${up.port}/; ${python} -c '${raw}' $host ${up.port}; done`;
      const outcome = await run(['--rm', '--net', 'deny'], script);

      expect(outcome.stdout, outcome.stderr).toBe('200\n200\n403\n403\n');
    });

    gated.test('each hop of a redirection is judged for itself (NT20)', async () => {
      const outcome = await run(['--rm', '--net', 'deny'], `curl -sL -m 60 -o /dev/null -w '%{num_redirects} %{http_code}\n' http://${ALLOWED}:${up.port}/to/${OTHER}:${up.port}/reached`);

      expect(outcome.stdout, outcome.stderr).toBe('1 403\n');
      expect(up.seen.filter((line) => line.endsWith(' /reached'))).toEqual([]);
    });

    gated.test('a switch of protocols goes to the host that a rule names, and its bytes are counted (NT17)', async () => {
      const ask = `import socket,sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 60)
s.sendall(("GET /ws HTTP/1.1\\r\\nHost: %s:%s\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n" % tuple(sys.argv[1:3])).encode())
f = s.makefile("rb")
print(f.readline().split()[1].decode())
if sys.argv[3] == "yes":
    while f.readline().strip(): pass
    s.sendall(b"x" * 5000)
    print(len(f.read(5000)))`;
      const outcome = await run(['--tag', 'nt17', '--net', 'deny'], `${python} -c '${ask}' ${ALLOWED} ${up.port} yes; ${python} -c '${ask}' ${OTHER} ${up.port} no`);

      expect(outcome.stdout, outcome.stderr).toBe('101\n5000\n403\n');
      const { records } = jsonOf<{ readonly records: readonly AuditRecord[] }>(await area.cli(['log', 'nt17', '--json', '--kind', 'close']));
      const tunnel = records.find(({ object }) => object['host'] === ALLOWED);
      expect(Number(tunnel?.detail['up'])).toBeGreaterThan(5000);
      expect(Number(tunnel?.detail['down'])).toBeGreaterThan(5000);
    });

    gated.test('there is no proxy port on the host, and what answers questions is not in the view, nor any other account’s (NT22, NT23, PO11)', async () => {
      const [program = '', ...words] = world.words(['run', '--tag', 'nt22', '--net', 'deny', '--', 'sleep', '1000']);
      const child = spawn(program, words, { cwd: area.project, env: { ...area.env }, stdio: 'ignore' });
      try {
        const { driver } = await shown('nt22');
        const supervisor = parentOf(driver);
        const listening = listeningInodes();
        const ours = [supervisor, driver, ...childrenOf(driver)].flatMap(socketsOf);
        const control = join(area.env['AGENTFW_STATE_DIR'] ?? '', 'sandboxes/nt22/control.sock');

        expect(ours.length).toBeGreaterThan(0);
        expect(ours.filter((inode) => listening.has(inode))).toEqual([]);
        expect(existsSync(control)).toBe(true);
        expect(statSync(join(control, '..')).mode & 0o077).toBe(0);
        const inside = await area.cli(['exec', 'nt22', 'ls', control]);
        expect(inside.status).not.toBe(0);
        expect(inside.stderr).toContain('No such file');
        // Nor can another account of this machine answer for it: it doesn't even see the socket.
        const other = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', '--'];
        const knock = spawnSync(other[0]!, [...other.slice(1), python, '-c', 'import socket,sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])', control], { encoding: 'utf8', cwd: '/' });
        expect(knock.status).toBe(1);
        expect(knock.stderr).toContain('PermissionError');
      } finally {
        await area.cli(['kill', 'nt22']);
        if (child.exitCode === null) await once(child, 'exit');
      }
    });

    gated.test('what is written to a policy while the sandbox runs changes nothing for it (NT25)', async () => {
      const policy = join(area.dir, 'nt25.yaml');
      const door = join(area.dir, 'nt25');
      mkdirSync(door);
      writeFileSync(policy, `version: 1\nnetwork: {allow: [{host: "${ALLOWED}", ports: any, private: true}]}\n`, { mode: 0o600 });
      for (const path of [policy, door]) chownSync(path, identity.uid, identity.gid);
      const [program = '', ...words] = world.words(['run', '--rm', '--net', 'deny', '--policy', policy, '--passthrough', door, '--', 'sh', '-c',
        `touch ${door}/begun; until [ -e ${door}/go ]; do sleep .05; done; for host in ${ALLOWED} ${OTHER}; do curl -s -m 60 -o /dev/null -w '%{http_code}\n' http://$host:${up.port}/; done`]);
      const child = spawn(program, words, { cwd: area.project, env: { ...area.env }, stdio: ['ignore', 'pipe', 'ignore'] });
      let out = '';
      child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()));
      const ended = once(child, 'close');
      await eventually('it has begun', async () => Promise.resolve(existsSync(`${door}/begun`) ? true : undefined));
      writeFileSync(policy, `version: 1\nnetwork: {allow: [{host: "${OTHER}", ports: any, private: true}], deny: [{host: "${ALLOWED}"}]}\nbroken: [\n`);
      writeFileSync(`${door}/go`, '');
      await ended;

      expect(out).toBe('200\n403\n');
    });
  });
}

/** Sockets that somebody can connect to on this host. */
function listeningInodes(): ReadonlySet<string> {
  const lines = ['tcp', 'tcp6'].flatMap((name) => readFileSync(`/proc/net/${name}`, 'utf8').split('\n'));
  return new Set(lines.map((line) => line.trim().split(/\s+/)).filter((fields) => fields[3] === '0A').map((fields) => fields[9] ?? ''));
}

function socketsOf(pid: number): readonly string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.slice(1) ?? [];
    } catch {
      return [];
    }
  });
}
