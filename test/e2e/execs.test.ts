/** The exec audit: which programs start, as advice, and what happens where it can't be had. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect } from 'vitest';
import type { AuditRecord } from '../../src/audit/event.js';
import { needs } from '../helpers/needs.js';
import { createArea, eventually, identities, jsonOf, python, type Area } from '../helpers/sandbox.js';

/** A listener of its own, as container tools want one: 0 or the errno. */
const LISTEN = `import ctypes, struct
libc = ctypes.CDLL(None, use_errno=True)
code = struct.pack('HBBI', 6, 0, 0, 0x7fff0000)
buffer = ctypes.create_string_buffer(code)
program = ctypes.create_string_buffer(struct.pack('HxxxxxxP', 1, ctypes.addressof(buffer)))
libc.prctl(38, 1, 0, 0, 0)
nr = {'x86_64': 317, 'aarch64': 277}[__import__('os').uname().machine]
print(0 if libc.syscall(nr, 1, 8, program) >= 0 else ctypes.get_errno())`;

for (const identity of identities()) {
  const gated = needs('userns', 'overlay', 'python');

  gated.describe(`the exec audit as ${identity.name}`, () => {
    let area: Area;
    beforeAll(() => {
      area = createArea(identity);
    });
    afterAll(() => area.remove());

    const records = async (tag: string, ...kinds: readonly string[]): Promise<readonly AuditRecord[]> =>
      jsonOf<{ readonly records: readonly AuditRecord[] }>(await area.cli(['log', tag, '--json', ...kinds.flatMap((kind) => ['--kind', kind])])).records;

    gated.test('tells program, arguments, directory and who started it; what is not there did not start', async () => {
      const script = "cd /usr; ls / >/dev/null; no-such-program 2>/dev/null; env -i /usr/bin/env printf '%s' --password=hunter2 >/dev/null";
      const outcome = await area.cli(['run', '--tag', 'told', '--net', 'off', '--audit', 'exec', '--', 'sh', '-c', script]);

      expect(outcome.status, outcome.stderr).toBe(0);
      const told = await records('told', 'exec');
      expect(told.map(({ object }) => String(object['path']).split('/').at(-1))).toEqual(['sh', 'ls', 'env', 'env', 'printf']);
      expect(told[1]).toMatchObject({ subject: { cwd: '/usr', argv: null }, object: { argv: ['ls', '/'] }, detail: { advisory: true }, verdict: null });
      expect(told[1]?.subject?.exe).toMatch(/sh$/);
      expect(told[4]?.object['argv']).toEqual(['printf', '%s', '--password=[redacted:value]']);
      expect((await area.cli(['log', 'verify', 'told'])).status).toBe(0);
    });

    gated.test('a program is found in the root, and in the mounts, of who starts it', async () => {
      const script = `mkdir -p r/usr m && ln -s usr/lib r/lib && ln -s usr/lib64 r/lib64 && cp /usr/bin/true r/only-there
unshare -Urm sh -c 'mount --bind /usr r/usr && chroot r /not-there; chroot r /only-there; mount -t tmpfs none m && cp /usr/bin/true m/mounted && "$PWD/m/mounted" && "$PWD/m/missing"'; true`;
      const outcome = await area.cli(['run', '--tag', 'roots', '--net', 'off', '--audit', 'exec', '--', 'sh', '-c', script]);

      expect(outcome.status, outcome.stderr).toBe(0);
      const paths = (await records('roots', 'exec')).map(({ object }) => String(object['path']).split('/').at(-1));
      expect(paths.filter((path) => /there|mounted|missing/.test(path ?? ''))).toEqual(['only-there', 'mounted']);
    });

    gated.test('a program is told that is named by a link to what only the sandbox has, or by /proc/self', async () => {
      const script = `mkdir w && cp /usr/bin/true w/made && ln -s "$PWD/w/made" w/link
cd w; ./link; /proc/self/cwd/made; /proc/self/root/usr/bin/true; exec 3< made; /proc/self/fd/3; ./missing; /bin/missing; /usr/missing/missing; true`;
      const outcome = await area.cli(['run', '--tag', 'links', '--net', 'off', '--audit', 'exec', '--', 'sh', '-c', script]);

      expect(outcome.status, outcome.stderr).toBe(0);
      const paths = (await records('links', 'exec')).map(({ object }) => object['path']);
      expect(paths.slice(-4)).toEqual(['./link', '/proc/self/cwd/made', '/proc/self/root/usr/bin/true', '/proc/self/fd/3']);
    });

    gated.test('control characters, bytes that are no text, and long arguments stay one record each (AU03)', async () => {
      const script = `import os
for argv in ([b'true', b'\\x1b]0;x\\x07\\n{"v":1}', b'\\xff\\xfe', 'ä\\u202e'.encode()], [b'true', b'x' * 20000, b'y'], [b'true'] + [b'z'] * 500):
    pid = os.fork()
    if pid == 0:
        os.execv(b'/usr/bin/true', argv)
    os.waitpid(pid, 0)`;
      const outcome = await area.cli(['run', '--tag', 'hostile', '--net', 'off', '--audit', 'exec', '--', python, '-c', script]);

      expect(outcome.status, outcome.stderr).toBe(0);
      const told = (await records('hostile', 'exec')).slice(1);
      expect(told.map(({ detail }) => detail['cut'] ?? false)).toEqual([false, true, true]);
      expect(told[0]?.object['argv']).toEqual(['true', '\u001b]0;x\u0007\n{"v":1}', '\ufffd\ufffd', 'ä\u202e']);
      const text = (await area.cli(['log', 'hostile'])).stdout;
      expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/u);
      expect((await area.cli(['log', 'verify', 'hostile'])).status).toBe(0);
    });

    gated.test('a path, a directory and arguments that together are too long are cut to the path (AU03)', async () => {
      const script = `import os, shutil
name = '\x01' * 250
for _ in range(15):
    os.mkdir(name)
    os.chdir(name)
shutil.copy('/usr/bin/true', 'true')
path = os.getcwd() + '/true'
pid = os.fork()
if pid == 0:
    os.execv(path, [path] + ['\x02' * 1000] * 3)
os.waitpid(pid, 0)`;
      const outcome = await area.cli(['run', '--tag', 'deep', '--net', 'off', '--audit', 'exec', '--', python, '-c', script]);

      expect(outcome.status, outcome.stderr).toBe(0);
      const told = (await records('deep', 'exec')).at(-1);
      expect(told).toMatchObject({ subject: { exe: null, cwd: null }, object: { argv: [] }, detail: { cut: true } });
      expect(String(told?.object['path'])).toMatch(/^\/.*\u0001{250}/);
    });

    gated.test('a program that wants a seccomp listener gets EBUSY; without the audit it has one', async () => {
      const run = async (tag: string, ...flags: readonly string[]): Promise<string> => (await area.cli(['run', '--tag', tag, '--net', 'off', ...flags, '--', python, '-c', LISTEN])).stdout;

      expect(await run('busy', '--audit', 'exec')).toBe('16\n');
      expect(await run('free')).toBe('0\n');
    });

    gated.test('where the gate has the one listener the run goes on without, told once', async () => {
      const outcome = await area.cli(['run', '--tag', 'notify', '--net', 'deny', '--audit', 'exec', '--', 'sh', '-c', 'true; env true'], { env: { AGENTFW_GATE: 'notify' } });

      expect(outcome.status, outcome.stderr).toBe(0);
      expect(outcome.stderr.match(/exec-audit/g)).toHaveLength(1);
      expect(await records('notify', 'exec')).toEqual([]);
      expect((await records('notify', 'degraded')).map(({ object }) => object['name'])).toEqual(['exec-audit']);
    });

    gated.test('`--ci` has it, and `exec` is a record of its own', async () => {
      const child = spawn(...wordsOf(area, ['run', '--tag', 'ci', '--net', 'off', '--ci', '--detach', '--', 'sleep', '60']));
      await once(child, 'close');
      expect((await area.cli(['exec', 'ci', 'env', 'true'])).status).toBe(0);
      await area.cli(['kill', 'ci']);

      const told = await eventually('it has ended', async () => {
        const found = await records('ci', 'exec', 'end');
        return found.some(({ kind }) => kind === 'end') ? found : undefined;
      }) ?? [];
      expect(told.filter(({ kind }) => kind === 'exec').map(({ object, detail }) => [object['argv'], detail])).toEqual([[['sleep', '60'], { advisory: true }], [['env', 'true'], { by: 'agentfw exec' }]]);
    });

    gated.test('what started is told while the agent goes on, after a pause too, and what removes itself is', async () => {
      const script = "cp /usr/bin/rm gone; for n in 1 2 3; do ./gone gone; cp /usr/bin/rm gone; done; sleep 1; /usr/bin/true last; exec sleep 60";
      const child = spawn(...wordsOf(area, ['run', '--tag', 'goes-on', '--net', 'off', '--audit', 'exec', '--detach', '--', 'sh', '-c', script]));
      await once(child, 'close');
      const told = await eventually('all is told', async () => {
        const found = (await records('goes-on', 'exec')).map(({ object }) => (object['argv'] as readonly string[]).join(' '));
        return found.includes('sleep 60') ? found : undefined;
      }) ?? [];
      await area.cli(['kill', 'goes-on']);

      expect(told.filter((line) => line === './gone gone')).toHaveLength(3);
      expect(told.slice(-3)).toEqual(['sleep 1', '/usr/bin/true last', 'sleep 60']);
    });

    gated.test('killed, it takes the tree along: nothing runs unseen', async () => {
      const child = spawn(...wordsOf(area, ['run', '--tag', 'killed', '--net', 'off', '--audit', 'exec', '--', 'sleep', '1000']));
      let stderr = '';
      child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
      const { driver, init } = await eventually('it runs', async () => {
        const shown = JSON.parse((await area.cli(['status', 'killed', '--json'])).stdout || '{}') as { readonly driver?: number; readonly init?: number; readonly state?: string };
        return shown.state === 'running' && shown.driver ? { driver: shown.driver, init: shown.init ?? 0 } : undefined;
      }) ?? { driver: 0, init: 0 };
      const helper = childrenOf(driver).find((pid) => pid !== init) ?? 0;
      expect(helper).toBeGreaterThan(0);
      process.kill(helper, 'SIGKILL');
      const [status] = (await once(child, 'close')) as [number];

      expect(status).not.toBe(0);
      expect(stderr).toContain('exec audit has ended');
    });
  });
}

function wordsOf(area: Area, args: readonly string[]): Parameters<typeof spawn> {
  const [program = '', ...rest] = area.as(area.argv(args));
  return [program, rest, { cwd: area.project, env: { ...area.env }, stdio: ['ignore', 'ignore', 'pipe'] }];
}

function childrenOf(pid: number): readonly number[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((one) => {
    try {
      return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${one}/status`, 'utf8'))?.[1]) === pid;
    } catch {
      return false;
    }
  });
}
