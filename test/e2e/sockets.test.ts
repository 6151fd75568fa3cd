/** Host sockets: none, but those of `sockets.allow`, brokered, and never a descriptor through them. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, linkSync, mkdirSync, mkdtempSync, readFileSync, statSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import type { AuditRecord } from '../../src/audit/event.js';
import { needs } from '../helpers/needs.js';
import { childrenOf } from '../helpers/processes.js';
import { allIdentities, createArea, helpers, identities, jsonOf, python, removeTree, type Area, type Outcome } from '../helpers/sandbox.js';

/** Says each type that it is asked for, and answers that there are no keys. */
const KEY_AGENT = `import os, socket, sys, threading
server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[1]); os.chmod(sys.argv[1], 0o666); server.listen()
print("ready", flush=True)
def serve(client):
  while head := client.recv(4, socket.MSG_WAITALL):
    if len(head) < 4 or not (body := client.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)): return
    if len(body) < int.from_bytes(head, "big"): return # cut: an agent does nothing then
    print("asked", body[0], flush=True)
    try: client.sendall(b"\\0\\0\\0\\5\\x0c\\0\\0\\0\\0")
    except OSError: return
while True: threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()`;

/** Says its own name to whoever comes. */
const GREETER = `import os, socket, sys
server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[1]); os.chmod(sys.argv[1], 0o666); server.listen()
print("ready", flush=True)
while True: server.accept()[0].sendall(sys.argv[1].encode())`;

/** To list, sign and extend; behind that, or byte by byte, to add, remove, lock and load. */
const KEY_CLIENT = `import os, socket
def say(kinds, step=99):
  s = socket.socket(socket.AF_UNIX); s.settimeout(60); s.connect(os.environ["SSH_AUTH_SOCK"])
  answers = 0
  try:
    for kind in kinds:
      data = b"\\0\\0\\0\\x09" + bytes([kind]) + b"\\x11" * 8
      for at in range(0, len(data), step): s.sendall(data[at:at + step])
      answers += len(s.recv(9)) > 0
  except OSError: pass
  return answers
def raw(data):
  s = socket.socket(socket.AF_UNIX); s.settimeout(60); s.connect(os.environ["SSH_AUTH_SOCK"])
  try:
    s.sendall(data)
    return len(s.recv(9))
  except OSError: return 0
# A message of no length, behind whose first byte the next one would pass unread.
print(raw(b"\\0\\0\\0\\0\\x0b\\0\\0\\0\\x09\\x11" + b"\\x11" * 8), end=" ")
print(say([11, 13, 27]), [say([kind]) for kind in (17, 18, 19, 20, 22, 23, 25, 26)], say([11, 19], 1))`;

for (const identity of identities()) {
  const gated = needs('userns', 'overlay', 'python');

  gated.describe(`host sockets as ${identity.name}`, () => {
    let area: Area;
    let inHome: string;
    let inTmp: string;
    let dir: string;
    let servers: readonly ChildProcess[];
    beforeAll(async () => {
      area = createArea(identity);
      dir = mkdtempSync('/tmp/agentfw-test-');
      chmodSync(dir, 0o755);
      inHome = join(area.home, 'server.sock');
      // Longer than a socket's address can be.
      inTmp = join(dir, 'd'.repeat(60), 's.sock');
      mkdirSync(join(dir, 'd'.repeat(60)));
      servers = [inHome, inTmp].map((path) => spawn(python, [join(helpers, 'unix-server.py'), path.split('/').at(-1) ?? ''], { cwd: join(path, '..'), stdio: ['ignore', 'pipe', 'inherit'] }));
      await Promise.all(servers.map((server) => once(server.stdout!, 'data')));
    });
    afterAll(async () => {
      for (const server of servers) server.kill();
      await removeTree(dir);
      await area.remove();
    });

    const run = (tag: string, lines: string, path: string, flags: readonly string[] = []): Promise<Outcome> => {
      const policy = join(area.dir, `${tag}.yaml`);
      writeFileSync(policy, `version: 1\n${lines}\n`, { mode: 0o600 });
      chownSync(policy, identity.uid, identity.gid);
      return area.cli(['run', '--tag', tag, '--net', 'off', '--policy', policy, ...flags, '--share', helpers, '--', python, join(helpers, 'unix-client.py'), path]);
    };
    const records = async (tag: string): Promise<readonly AuditRecord[]> => jsonOf<{ readonly records: readonly AuditRecord[] }>(await area.cli(['log', tag, '--json', '--kind', 'socket'])).records;

    gated.test('none is reached without a rule (IP01)', async () => {
      expect((await run('none', '', inTmp)).stdout).toBe('FileNotFoundError\n');
      expect((await run('none-home', '', inHome)).stdout).toMatch(/^(ConnectionRefused|FileNotFound)Error\n$/);
    });

    for (const [name, path] of [['home', () => inHome], ['tmp', () => inTmp]] as const) {
      gated.test(`an allowed one is brokered, and no descriptor passes, where it lies in ${name}`, async () => {
        const outcome = await run(`allowed-${name}`, `sockets: {allow: [${path()}]}`, path());

        const lines = outcome.stdout.split('\n');
        expect(lines.filter((line) => !line.startsWith('inode')), outcome.stderr).toEqual(['echo True', 'peer []', 'bulk True', 'half-close True', "push b''", "pull b'' 0", "taken b'0\\n'", '']);
        expect(lines).not.toContain(`inode ${statSync(path()).ino}`);
        const told = await records(`allowed-${name}`);
        expect(told.map(({ verdict }) => verdict)).toEqual(['allow', 'allow', 'allow', 'deny', 'allow', 'deny', 'allow']);
        expect(told.filter(({ verdict }) => verdict === 'deny').map(({ rule }) => rule)).toEqual(['sockets.rights', 'sockets.rights']);
        expect(told[0]?.object).toEqual({ path: path() });
        expect(told[0]?.subject?.argv).toContain(path());
      });
    }

    gated.test('the key agent lists and signs, and takes no key, lock or library from inside', async () => {
      const socket = join(area.home, 'agent.sock');
      const agent = spawn(python, ['-c', KEY_AGENT, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
      let asked = '';
      agent.stdout.on('data', (data: Buffer) => (asked += data.toString()));
      await once(agent.stdout, 'data');
      const policy = join(area.dir, 'agent.yaml');
      writeFileSync(policy, 'version: 1\nsockets: {allow: [ssh-agent]}\n', { mode: 0o600 });
      chownSync(policy, identity.uid, identity.gid);
      try {
        const outcome = await area.cli(['run', '--tag', 'agent', '--net', 'off', '--policy', policy, '--', python, '-c', KEY_CLIENT], { env: { SSH_AUTH_SOCK: socket } });

        expect(outcome.stdout, outcome.stderr).toBe('0 3 [0, 0, 0, 0, 0, 0, 0, 0] 1\n');
        expect(new Set(asked.match(/\d+/g))).toEqual(new Set(['11', '13', '27']));
        const told = (await records('agent')).filter(({ verdict }) => verdict === 'deny');
        expect(told.map(({ rule }) => rule)).toEqual(Array(10).fill('sockets.keys'));
      } finally {
        agent.kill();
      }
    });

    gated.test('an agent that a rule gives by its path takes none either, and what only looks like it passes', async () => {
      const socket = join(area.home, 'other-agent.sock');
      const agent = spawn(python, ['-c', KEY_AGENT, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
      let asked = '';
      agent.stdout.on('data', (data: Buffer) => (asked += data.toString()));
      await once(agent.stdout, 'data');
      const policy = join(area.dir, 'by-path.yaml');
      writeFileSync(policy, `version: 1\nsockets: {allow: [${socket}]}\n`, { mode: 0o600 });
      chownSync(policy, identity.uid, identity.gid);
      // Said after what any agent answers, in one piece and byte by byte; 99 is of no agent, 0x12 begins a protocol buffer.
      const client = `import socket
field = b"\\0\\0\\0\\2pw"
def message(kind, rest=field): return (1 + len(rest)).to_bytes(4, "big") + bytes([kind]) + rest
def say(messages, step):
  s = socket.socket(socket.AF_UNIX); s.settimeout(60); s.connect("${socket}"); answers = 0
  try:
    for data in messages:
      for at in range(0, len(data), step): s.sendall(data[at:at + step])
      answers += len(s.recv(9)) > 0
  except OSError: pass
  return answers
for step in (999, 1):
  print([say([message(11, b""), message(99), message(kind)], step) for kind in (9, 17, 18, 19, 20, 21, 22, 23, 25, 26)], say([message(19, b"")], step), say([message(22, b"x")], step), say([message(13), message(18, b"\\5hello"), message(27)], step))`;
      try {
        const outcome = await area.cli(['run', '--tag', 'by-path', '--net', 'off', '--policy', policy, '--', python, '-c', client]);

        const line = `[${Array(10).fill(2).join(', ')}] 0 0 3\n`;
        expect(outcome.stdout, outcome.stderr).toBe(line + line);
        expect(new Set(asked.match(/\d+/g))).toEqual(new Set(['11', '99', '13', '18', '27']));
        expect((await records('by-path')).filter(({ rule }) => rule === 'sockets.keys')).toHaveLength(24);
      } finally {
        agent.kill();
      }
    });

    gated.test('GnuPG’s agent is reached at the socket that gives out no secret key, or not at all', async () => {
      const runtime = mkdtempSync(join(area.home, 'run-'));
      const sockets = join(runtime, 'gnupg');
      mkdirSync(sockets);
      for (const made of [runtime, sockets]) chownSync(made, identity.uid, identity.gid);
      chmodSync(runtime, 0o700);
      const client = 'import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.recv(99))';
      const reach = (tag: string, env: Readonly<Record<string, string>> = { XDG_RUNTIME_DIR: runtime }, allow = 'gpg-agent'): Promise<Outcome> => {
        const policy = join(area.dir, `${tag}.yaml`);
        writeFileSync(policy, `version: 1\nsockets: {allow: [${allow}]}\n`, { mode: 0o600 });
        chownSync(policy, identity.uid, identity.gid);
        return area.cli(['run', '--tag', tag, '--net', 'off', '--policy', policy, '--', python, '-c', client, join(sockets, 'S.gpg-agent')], { env });
      };
      const servers = ['S.gpg-agent', 'S.gpg-agent.extra'].map((name) => spawn(python, ['-c', GREETER, name], { cwd: sockets, stdio: ['ignore', 'pipe', 'inherit'] }));
      try {
        await Promise.all(servers.map((server) => once(server.stdout, 'data')));
        expect(await reach('pgp')).toMatchObject({ status: 0, stdout: "b'S.gpg-agent.extra'\n" });
        expect(await reach('pgp-path', {}, join(sockets, 'S.gpg-agent'))).toMatchObject({ status: 0, stdout: "b'S.gpg-agent.extra'\n" });
        unlinkSync(join(sockets, 'S.gpg-agent.extra'));
        const without = await reach('pgp-without');
        expect(without.stdout).toBe('');
        expect(without.stderr).toContain('stays out: GnuPG\'s restricted socket');
      } finally {
        for (const server of servers) server.kill();
      }
    });

    gated.test('a symlink, or another name of one that is denied, stays out (IP08)', async () => {
      const link = join(area.home, 'link.sock');
      const twin = join(area.home, 'twin.sock');
      symlinkSync(inHome, link);
      linkSync(inHome, twin);

      const symbolic = await run('symlink', `sockets: {allow: [${link}]}`, link);
      const hard = await run('twin', `sockets: {allow: [${twin}], deny: [${inHome}]}`, twin);

      expect(symbolic.stdout).toMatch(/^(ConnectionRefused|FileNotFound)Error\n$/);
      expect(symbolic.stderr).toContain(`symlink; allow what it leads to: ${inHome}`);
      expect(hard.stdout).toMatch(/^(ConnectionRefused|FileNotFound)Error\n$/);
      expect(hard.stderr).toContain('a rule denies');
    });

    gated.test('what is shared or passed through brings no socket along, and none is shared by name', async () => {
      const places = ['shared', 'passed'].map((name) => join(area.home, name));
      const paths = places.map((place) => join(place, 's'));
      for (const place of places) {
        mkdirSync(place);
        chownSync(place, identity.uid, identity.gid);
      }
      const bound = paths.map((path) => spawn(python, [join(helpers, 'unix-server.py'), path], { stdio: ['ignore', 'pipe', 'inherit'] }));
      await Promise.all(bound.map((server) => once(server.stdout!, 'data')));
      try {
        const flags = ['--share', places[0] ?? '', '--passthrough', places[1] ?? ''];
        const answers = await Promise.all(paths.map((path, at) => run(`along-${at}`, '', path, flags)));
        expect(answers.map(({ stdout }) => stdout)).toEqual(['ConnectionRefusedError\n', 'ConnectionRefusedError\n']);

        const named = await run('by-name', '', inHome, ['--share', inHome]);
        expect(named.status).toBe(125);
        expect(named.stderr).toContain('sockets.allow');
      } finally {
        for (const server of bound) server.kill();
      }
    });

    gated.test('the place of an allowed one, which the agent can lead elsewhere, leads the broker nowhere else', async () => {
      const [passed, other] = ['led', 'other'].map((name) => join(area.home, name)) as [string, string];
      for (const place of [passed, join(passed, 'sub'), other]) {
        mkdirSync(place);
        chownSync(place, identity.uid, identity.gid);
      }
      const paths = [join(passed, 'sub/door'), join(other, 'door')];
      const bound = paths.map((path) => spawn(python, ['-c', GREETER, path], { stdio: ['ignore', 'pipe', 'inherit'] }));
      await Promise.all(bound.map((server) => once(server.stdout!, 'data')));
      const policy = join(area.dir, 'led.yaml');
      writeFileSync(policy, `version: 1\nsockets: {allow: [${paths[0] ?? ''}]}\n`, { mode: 0o600 });
      chownSync(policy, identity.uid, identity.gid);
      // What is mounted at the place goes along with its directory; the host's path is free then.
      const code = `import os, socket
def greeted(path):
  s = socket.socket(socket.AF_UNIX); s.settimeout(60); s.connect(path)
  try: return s.recv(300).decode()
  except OSError: return ""
os.chdir(${JSON.stringify(passed)})
print(greeted("sub/door"))
os.rename("sub", "old"); os.mkdir("sub"); os.symlink(${JSON.stringify(paths[1])}, "sub/door")
print(greeted("old/door"))
os.unlink("sub/door"); os.rmdir("sub"); os.symlink(${JSON.stringify(other)}, "sub")
print(greeted("old/door"))`;
      try {
        const outcome = await area.cli(['run', '--tag', 'led', '--net', 'off', '--policy', policy, '--passthrough', passed, '--', python, '-c', code]);

        expect(outcome.stdout, outcome.stderr).toBe(`${paths[0] ?? ''}\n\n\n`);
        expect((await records('led')).map(({ verdict, detail }) => `${verdict}: ${String(detail['why'])}`)).toEqual([
          'allow: it is brokered',
          "deny: the host's socket refused: Socket operation on non-socket",
          "deny: the host's socket refused: Too many levels of symbolic links",
        ]);
      } finally {
        for (const server of bound) server.kill();
      }
    });

    gated.test('one that is no stream stays out, and the start says so', async () => {
      const types = [['SOCK_DGRAM', 'datagram'], ['SOCK_SEQPACKET', 'sequenced packet']] as const;
      for (const [type, words] of types) {
        const path = join(area.home, `${type}.sock`);
        const code = `import os, socket, sys\ns = socket.socket(socket.AF_UNIX, socket.${type}); s.bind(sys.argv[1]); os.chmod(sys.argv[1], 0o666); print('bound', flush=True); sys.stdin.read()`;
        const server = spawn(python, ['-c', code, path], { stdio: ['pipe', 'pipe', 'inherit'] });
        await once(server.stdout, 'data');
        try {
          const outcome = await run(type.toLowerCase(), `sockets: {allow: [${path}]}`, path);

          expect(outcome.stderr).toContain(`${path} stays out: it is a ${words} socket, and the broker carries streams`);
          expect(outcome.stdout).toMatch(/^(ConnectionRefused|FileNotFound)Error\n$/);
        } finally {
          server.kill();
        }
      }
    });

    gated.test('who copies for the agent, and who reads its arguments, can do next to nothing else', async () => {
      const policy = join(area.dir, 'hard.yaml');
      writeFileSync(policy, `version: 1\nsockets: {allow: [${inHome}]}\n`, { mode: 0o600 });
      chownSync(policy, identity.uid, identity.gid);
      const started = await area.cli(['run', '--tag', 'hard', '--net', 'off', '--audit', 'exec', '--policy', policy, '--detach', '--', 'sleep', '600']);
      expect(started.status, started.stderr).toBe(0);
      try {
        const { driver, init } = jsonOf<{ readonly driver: number; readonly init: number }>(await area.cli(['status', 'hard', '--json']));
        const beside = childrenOf(driver).filter((pid) => pid !== init).map((pid) => readFileSync(`/proc/${pid}/status`, 'utf8'));

        expect(beside).toHaveLength(2);
        for (const status of beside) {
          expect(status).toMatch(/^NoNewPrivs:\t1\nSeccomp:\t2$/m);
          // The right to read other processes' memory (CAP_SYS_PTRACE), where root has one to give.
          expect(status).toMatch(/^CapEff:\t0000000000(00|08)0000$/m);
        }
        expect(beside.filter((status) => /^CapEff:\t0+$/m.test(status)).length).toBeGreaterThan(0);
      } finally {
        await area.cli(['kill', 'hard']);
      }
    });

    gated.test('a server that is gone is a refusal, and a record of it', async () => {
      const gone = join(area.home, 'gone.sock');
      const server = spawn(python, ['-c', `import socket; socket.socket(socket.AF_UNIX).bind(${JSON.stringify(gone)}); import os; os.chmod(${JSON.stringify(gone)}, 0o666)`], { stdio: 'ignore' });
      await once(server, 'close');
      const outcome = await run('gone', `sockets: {allow: [${gone}]}`, gone);

      expect(outcome.stdout).toContain('echo False');
      expect((await records('gone'))[0]).toMatchObject({ verdict: 'deny', detail: { why: "the host's socket refused: Connection refused" } });
    });
  });
}

for (const identity of allIdentities()) {
  needs('root', 'userns', 'overlay', 'python').test(`services in /run that act with more rights are not there, and no program gains any, as ${identity.name} (IP17)`, async () => {
    const area = createArea(identity);
    const place = mkdtempSync('/run/agentfw-test-');
    chmodSync(place, 0o755);
    const service = spawn(python, [join(helpers, 'unix-server.py'), join(place, 'bus')], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      await once(service.stdout, 'data');
      const outcome = await area.cli(['run', '--rm', '--net', 'off', '--', 'sh', '-c', 'find /run /var/run/ -type s; ls -d "$0"; grep NoNewPrivs /proc/self/status', place]);

      expect(outcome.stdout).toBe('NoNewPrivs:\t1\n');
      expect(outcome.stderr).toContain('No such file');
    } finally {
      service.kill();
      await removeTree(place);
      await area.remove();
    }
  });
}
