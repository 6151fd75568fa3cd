/** The life of a run. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, vi } from 'vitest';
import { needs } from '../helpers/needs.js';
import { allIdentities, createArea, eventually, identities, mountsBelow, ownSleep, repository, unnoticed, type Area } from '../helpers/sandbox.js';

interface Saved {
  readonly state: string;
  readonly exit: { readonly code?: number; readonly signal?: number } | null;
  readonly driver: { readonly pid: number } | null;
  readonly init: { readonly pid: number } | null;
}

for (const identity of allIdentities()) {
  needs('root', 'userns', 'overlay').test(`\`--in\` copes with a directory that has gone, unless its layer holds something, as ${identity.name}`, async () => {
    const area = createArea(identity);
    try {
      const [gone, written] = ['gone', 'written'].map((name) => join(area.home, name)) as [string, string];
      for (const dir of [gone, written]) {
        mkdirSync(join(dir, 'project'), { recursive: true });
        writeFileSync(join(dir, 'project', '.git'), '');
        // Somebody else's directory around the project makes the project the root of a layer.
        chownSync(dir, 0, 0);
        for (const path of [join(dir, 'project'), join(dir, 'project', '.git')]) chownSync(path, identity.uid, identity.gid);
        const script = dir === written ? 'echo x > file' : 'true';
        const first = await area.cli(['run', '--tag', dir === written ? 'w' : 'g', '--net', 'off', '--', 'sh', '-c', script], { cwd: join(dir, 'project') });
        expect(first.status, first.stderr).toBe(0);
        rmSync(dir, { recursive: true });
      }

      expect((await area.cli(['run', '--net', 'off', '--in', 'g', '--', 'true'])).status).toBe(0);
      const refused = await area.cli(['run', '--net', 'off', '--in', 'w', '--', 'true']);
      expect(refused.status).toBe(identity.name === 'root' ? 0 : 125);
      if (identity.name === 'user') expect(refused.stderr).toContain("can't be mounted again");
    } finally {
      await area.remove();
    }
  });
}

for (const identity of identities()) {
  const gated = needs('userns', 'overlay');

  gated.describe(`a run as ${identity.name}`, () => {
    let area: Area;
    beforeAll(() => {
      area = createArea(identity);
    });
    afterAll(() => area.remove());

    const run = (flags: readonly string[], ...agent: readonly string[]): ReturnType<Area['cli']> =>
      area.cli(['run', '--net', 'off', ...flags, '--', ...agent]);
    const sandboxes = (): readonly string[] => readdirSync(join(area.state, 'sandboxes')).filter((name) => !name.startsWith('.'));
    const saved = (tag: string): Saved => JSON.parse(readFileSync(join(area.state, 'sandboxes', tag, 'sandbox.json'), 'utf8')) as Saved;

    for (const [script, status] of [['exit 0', 0], ['exit 3', 3], ['exit 255', 255], ['kill -TERM $$', 143], ['kill -SEGV $$', 139], ['kill -KILL $$', 137]] as const) {
      gated.test(`returns the agent's own status, 128+n for a signal: \`${script}\` is ${String(status)} (E129)`, async () => {
        expect((await run(['--rm'], 'sh', '-c', script)).status).toBe(status);
      });
    }

    gated.test('passes words and standard streams byte for byte', async () => {
      const words = ['--help', '', '-x', 'a b', "it's", '--', '$HOME', 'ä'];
      const outcome = await area.cli(['run', '--rm', '--net', 'off', '--', 'sh', '-c', 'printf "%s|" "$@"; cat; echo err >&2', 'sh', ...words], { input: 'in\0put\n' });

      expect(outcome.stdout).toBe(`${words.join('|')}|in\0put\n`);
      expect(unnoticed(outcome.stderr)).toBe('err\n');
    });

    gated.test('leaves the standard streams blocking, as the agent expects them', async () => {
      const python = 'import fcntl,os,time; time.sleep(.2); print([bool(fcntl.fcntl(f, fcntl.F_GETFL) & os.O_NONBLOCK) for f in (0, 1, 2)])';
      const argv = area.as(area.argv(['run', '--rm', '--', '/usr/bin/python3', '-c', python]));
      const outcome = spawnSync('sh', ['-c', '"$@" 2>&1 | cat', 'sh', ...argv], { cwd: area.project, env: area.env, input: '', encoding: 'utf8' });

      expect(outcome.stdout).toContain('[False, False, False]');
    });

    gated.test('hands no descriptor but 0 to 2 on, and no core dumps', async () => {
      const outcome = await run(['--rm'], 'sh', '-c', 'ls /proc/self/fd | tr "\\n" " "; ulimit -c');

      expect(outcome.stdout).toBe('0 1 2 3 0\n');
    });

    gated.test('the network asks by default; the host’s own has to be typed', async () => {
      const inside = async (...flags: readonly string[]): Promise<string> => (await area.cli(['run', '--rm', ...flags, '--', 'readlink', '/proc/self/ns/net'])).stdout;
      const host = (await area.native(['readlink', '/proc/self/ns/net'])).stdout;

      expect(await inside('--net', 'allow')).toBe(host);
      expect(await inside()).toMatch(/^net:/);
      expect(await inside()).not.toBe(host);
      const links = await run(['--rm'], 'sh', '-c', 'cat /proc/net/dev | tail -n +3 | wc -l');
      expect(links.stdout).toBe('1\n');
    });

    needs('curl', 'userns', 'overlay').test('with nobody to ask, what no rule names is refused and its rule is told', async () => {
      const asked = await area.cli(['run', '--tag', 'asks', '--', 'sh', '-c', "curl -s -m 20 -o /dev/null -w '%{http_code}' http://nowhere.example/ || echo none"]);
      expect(asked.stdout).toBe('403');
      expect(asked.stderr).toContain('network: {allow: ["nowhere.example:80"]}');
    });

    gated.test('keeps the layers for `--in`, with the private directories', async () => {
      expect((await run(['--tag', 'again'], 'sh', '-c', 'echo one > f; echo tmp > /tmp/t; rm -f kept')).status).toBe(0);
      const outcome = await run(['--in', 'again'], 'sh', '-c', 'cat f /tmp/t; echo two >> f; exit 4');

      expect(outcome.stdout, outcome.stderr).toBe('one\ntmp\n');
      expect(outcome.status).toBe(4);
      expect((await run(['--in', 'again'], 'cat', 'f')).stdout).toBe('one\ntwo\n');
      expect(saved('again')).toMatchObject({ state: 'stopped', exit: { code: 0 }, driver: null, init: null });
      expect((await run(['--tag', 'again'], 'true')).status).toBe(125);
    });

    gated.test('a symlink that the agent left in its /tmp leads a later run nowhere', async () => {
      const below = `/tmp/agentfw-run-${String(process.pid)}-${identity.name}`;
      mkdirSync(below);
      try {
        await run(['--tag', 'planted'], 'ln', '-s', area.home, below);
        const outcome = await area.cli(['run', '--in', 'planted', '--net', 'off', '--', 'true'], { cwd: below });

        expect(outcome.status).toBe(125);
        expect(outcome.stderr).toContain("Can't show the host at");
      } finally {
        rmSync(below, { recursive: true });
      }
    });

    gated.test('commands that are the first ones of a store, all at once, share it', async () => {
      for (let round = 0; round < 5; round += 1) {
        const env = { AGENTFW_STATE_DIR: `${area.home}/state-${String(round)}` };
        const all = await Promise.all([
          ...['a', 'b', 'c'].map((tag) => area.cli(['run', '--tag', tag, '--net', 'off', '--', 'true'], { env })),
          ...['list', 'list', 'list'].map((command) => area.cli([command], { env })),
        ]);
        expect(all.map(({ status, stderr }) => (status === 0 ? '' : stderr)).join('')).toBe('');
      }
    });

    gated.test('a run inside a run is refused with a sentence, whatever profile it asks for (PO04)', async () => {
      // The checkout may lie where the sandbox has its own, such as /tmp.
      const outcome = await run(['--rm', '--share', repository], ...area.argv(['run', '--profile', 'generic', '--', 'true']));

      expect(outcome.status, outcome.stderr).toBe(125);
      expect(outcome.stderr).toContain("agentfw run can’t be used inside a sandbox");
    });

    gated.test('a command that asks the store says inside a sandbox where to ask instead', async () => {
      // The store of a test may lie where inside there is a directory to write.
      for (const place of ['/sys/agentfw', '/tmp/agentfw']) {
        const outcome = await run(['--rm', '--share', repository], 'env', `AGENTFW_STATE_DIR=${place}`, ...area.argv(['list']));

        expect([outcome.status, unnoticed(outcome.stderr)]).toEqual([1, 'Error: The store can’t be reached from inside a sandbox.\nHint: Run it from a terminal outside the sandbox\n']);
      }
    });

    gated.test('ends what the agent left running, and `--detach` keeps it', async () => {
      const nap = ownSleep();
      await run(['--rm'], 'sh', '-c', `setsid ${nap} & exit 0`);
      expect(processesWith(nap)).toEqual([]);

      const outcome = await run(['--tag', 'bg', '--detach'], 'sh', '-c', `echo started; (until test -e /tmp/go; do sleep .05; done; echo late) & exit 7`);
      expect(outcome.status, outcome.stderr).toBe(0);
      expect(outcome.stdout + outcome.stderr).toContain('bg');
      expect((await run(['--in', 'bg'], 'true')).stderr).toContain('is running');
      // The tree may end by the file before what made it has.
      expect([0, 137]).toContain((await area.cli(['exec', 'bg', '--', 'touch', '/tmp/go'])).status);
      await eventually('the background run ends', () => saved('bg').state === 'stopped');
      expect(unnoticed(readFileSync(join(area.state, 'sandboxes/bg/output.log'), 'utf8'))).toMatch(/^started\nlate\n/);
      expect(saved('bg').exit).toEqual({ code: 7 });
    });

    gated.test('a detached start in a sandbox that was run before says why it fails, and nothing of what its agent wrote', async () => {
      await run(['--tag', 'again', '--detach'], 'printf', '\\033]0;theirs\\007');
      await vi.waitFor(async () => expect((await area.cli(['list'])).stdout).toMatch(/again +stopped/), { timeout: 20_000 });
      const outcome = await run(['--in', 'again', '--detach'], 'no-such-program');

      expect(outcome.status).toBe(127);
      expect(outcome.stderr).toMatch(/^Error: Can't execute no-such-program/);
    });

    gated.test('a detached start that fails says so and returns its status', async () => {
      const outcome = await run(['--tag', 'bad', '--detach'], 'no-such-program');

      expect(outcome.status).toBe(127);
      expect(outcome.stderr).toContain('no-such-program');
      expect(sandboxes()).not.toContain('bad');
    });

    for (const signal of ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGINT'] as const) {
      gated.test(`hands ${signal} on to the agent`, async () => {
        const child = start(area, ['--rm'], `trap 'echo got; exit 9' ${signal.slice(3)}; echo ready; while :; do sleep .05; done`);
        await child.says('ready\n');
        child.process.kill(signal);

        expect(await child.ended).toBe(9);
        expect(child.text()).toBe('ready\ngot\n');
      });
    }

    for (const victim of ['supervisor', 'driver', 'init'] as const) {
      gated.test(`kill -9 of the ${victim} ends the tree; layers and listing stay (RS02, E134)`, async () => {
        const tag = `kill-${victim}`;
        const nap = ownSleep();
        const child = start(area, ['--tag', tag], `echo kept > ${tag}.txt; setsid ${nap} & echo ready; ${nap}`);
        await child.says('ready\n');
        await eventually('the record names its processes', () => saved(tag).init !== null);
        const { driver, init } = saved(tag);
        const supervisor = Number(/^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${String(driver?.pid)}/status`, 'utf8'))?.[1]);
        process.kill({ supervisor, driver: driver?.pid ?? -1, init: init?.pid ?? -1 }[victim], 'SIGKILL');
        await child.ended;

        await eventually('nothing of the tree is left', () => processesWith(nap).length === 0 && !alive(driver?.pid) && !alive(init?.pid));
        expect(mountsBelow(area.dir)).toEqual([]);
        const again = await run(['--in', tag], 'cat', `${tag}.txt`);
        expect(again.stdout, again.stderr).toBe('kept\n');
      });
    }

    gated.test('kill -9 at any moment of the start leaves no process and no mount', async () => {
      const nap = ownSleep();
      for (let delay = 20; delay <= 260; delay += 20) {
        const child = start(area, ['--tag', `early-${String(delay)}`], nap);
        await new Promise((go) => void setTimeout(go, delay));
        const tree = descendants(child.process.pid ?? -1);
        const victim = tree.length > 0 && delay % 40 === 0 ? (tree[Math.floor(Math.random() * tree.length)] ?? -1) : (child.process.pid ?? -1);
        try {
          process.kill(victim, 'SIGKILL');
        } catch {
          // It was quicker: then the whole is ended from above.
        }
        child.process.kill('SIGKILL');
        await child.ended;
      }
      await eventually('no process', () => processesWith(nap).length === 0);
      await eventually('no driver of this area', () => processesWith(area.dir).length === 0);
      expect(mountsBelow(area.dir)).toEqual([]);
      const listed = await area.cli(['list', '--json']);
      expect(listed.status, listed.stderr).toBe(0);
      for (const tag of sandboxes().filter((name) => name.startsWith('early-'))) {
        expect((await run(['--in', tag], 'true')).status).toBe(0);
      }
    });

    gated.test('`exec` enters the running view with the same confinement, and ends with it', async () => {
      const child = start(area, ['--tag', 'entered'], 'echo inner > only-inside; echo private > /tmp/p; echo ready; sleep 1000');
      await child.says('ready\n');
      await eventually('the record names its processes', () => saved('entered').init !== null);

      const outcome = await area.cli(['exec', 'entered', '--', 'sh', '-c', 'cat only-inside /tmp/p; pwd; id -u; grep -E "^(CapEff|NoNewPrivs|Seccomp):" /proc/self/status | tr "\\n" " "; ls /proc | grep -c "^[0-9]"; exit 6']);
      const caps = identity.name === 'root' ? '00000000800004fb' : '0000000000000000';
      expect(outcome.stdout, outcome.stderr).toMatch(new RegExp(`^inner\\nprivate\\n${area.project}\\n${String(identity.uid)}\\nCapEff:\\t${caps} NoNewPrivs:\\t1 Seccomp:\\t2 \\d\\n$`));
      expect(outcome.status).toBe(6);
      const missing = await area.cli(['exec', 'entered', '--', 'no-such-program']);
      expect([missing.status, missing.stderr]).toEqual([127, expect.stringContaining(': agentfw exec TAG -- sh -c ')]);

      const killed = await area.cli(['kill', 'entered']);
      expect(killed.status, killed.stderr).toBe(0);
      expect(await child.ended).toBe(137);
      expect((await area.cli(['exec', 'entered', '--', 'true'])).status).toBe(125);
    });

    gated.test('two sandboxes run at once over the same base, each with its own layers', async () => {
      const [one, two] = await Promise.all([
        run(['--tag', 'one'], 'sh', '-c', 'echo 1 > both; sleep .3; cat both'),
        run(['--tag', 'two'], 'sh', '-c', 'echo 2 > both; sleep .3; cat both'),
      ]);

      expect([one?.stdout, two?.stdout]).toEqual(['1\n', '2\n']);
      expect(existsSync(join(area.project, 'both'))).toBe(false);
    });

    gated.test('an environment of what is known or named, and never what loads code (EX08)', async () => {
      const outcome = await area.cli(['run', '--rm', '--net', 'off', '--env', 'NODE_OPTIONS', '--env', 'KEPT', '--env', 'MINE=1', '--', 'env'], {
        env: { LD_PRELOAD: '', BASH_ENV: '/x', SSH_AUTH_SOCK: '/x', DBUS_SESSION_BUS_ADDRESS: 'x', NODE_OPTIONS: '--no-warnings', KEPT: 'yes', OTHER: 'no', GIT_DIR: '/x', GIT_AUTHOR_NAME: 'me' },
      });
      const names = outcome.stdout.split('\n').map((line) => line.split('=')[0]);

      expect(names).toEqual(expect.arrayContaining(['MINE', 'KEPT', 'GIT_AUTHOR_NAME', 'AGENTFW', 'AGENTFW_TAG', 'HOME', 'PWD']));
      for (const name of ['LD_PRELOAD', 'BASH_ENV', 'SSH_AUTH_SOCK', 'DBUS_SESSION_BUS_ADDRESS', 'GIT_DIR', 'AGENTFW_STATE_DIR', 'NODE_OPTIONS', 'OTHER']) {
        expect(names).not.toContain(name);
      }
      expect(outcome.stderr).toContain('--env NODE_OPTIONS is not passed: it loads code into programs');
    });
  });
}

interface Started {
  readonly process: ChildProcess;
  readonly text: () => string;
  readonly says: (part: string) => Promise<unknown>;
  readonly ended: Promise<number | null>;
}

function start(area: Area, flags: readonly string[], script: string): Started {
  const [program = '', ...args] = area.as(area.argv(['run', '--net', 'off', ...flags, '--', 'sh', '-c', script]));
  const child = spawn(program, args, { cwd: area.project, env: area.env, stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => child.on('exit', (code) => resolve(code)));
  return { process: child, text: () => text, says: (part) => eventually(`it says ${part}`, () => text.includes(part)), ended };
}

function commandLines(): readonly { readonly pid: number; readonly line: string; readonly parent: number }[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((name) => {
    try {
      const line = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
      const parent = Number(/^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${name}/status`, 'utf8'))?.[1]);
      return [{ pid: Number(name), line, parent }];
    } catch {
      return [];
    }
  });
}

function processesWith(text: string): readonly number[] {
  return commandLines().filter(({ line, pid }) => line.includes(text) && pid !== process.pid).map(({ pid }) => pid);
}

function descendants(pid: number): readonly number[] {
  const all = commandLines();
  const found: number[] = [];
  for (const here of [pid, ...found]) found.push(...all.filter(({ parent }) => parent === here).map((entry) => entry.pid));
  for (let at = 0; at < found.length; at += 1) found.push(...all.filter(({ parent, pid: own }) => parent === found[at] && !found.includes(own)).map((entry) => entry.pid));
  return found;
}

function alive(pid: number | undefined): boolean {
  return pid !== undefined && existsSync(`/proc/${String(pid)}/exe`);
}

