/**
 * attacks.md G: sockets of the host's daemons, where they usually lie. Each is
 * a real listener; the same knocks reach them all natively.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, jsonOf, python, repository, type Area, type RunOptions } from '../helpers/sandbox.js';

type Place = readonly [kind: 'stream' | 'dgram' | 'seqpacket', path: string];

const script = join(repository, 'test/attack/ipc.py');

for (const identity of identities()) {
  needs('userns', 'overlay', 'python').describe(`sockets of the host, as ${identity.name}`, () => {
    let area: Area;
    let [runtime, places]: [string, Record<string, Place>] = ['', {}];
    let server: ChildProcess;
    let desktop: RunOptions;

    beforeAll(async () => {
      area = createArea(identity);
      runtime = join(area.dir, 'runtime');
      const unique = `agentfw-test-${process.pid}-${identity.name}`;
      places = {
        'IP02 the session bus': ['stream', join(runtime, 'bus')],
        'IP02 systemd’s private socket': ['stream', join(runtime, 'systemd/private')],
        'IP04 the keyring': ['stream', join(runtime, 'keyring/control')],
        'IP05 X11, abstract': ['stream', `@/tmp/.X11-unix/${unique}`],
        'IP05 a datagram, abstract': ['dgram', `@${unique}`],
        'IP07 a log socket in the project': ['dgram', join(area.project, 'log')],
        'IP07 a log socket in the runtime directory': ['dgram', join(runtime, 'notify')],
        'IP07 packets': ['seqpacket', join(area.project, 'packets')],
        'IP10 tmux': ['stream', join('/tmp', unique, 'default')],
        'IP11 ssh-agent': ['stream', join(area.home, '.ssh/agent')],
        'IP11 gpg-agent': ['stream', join(area.home, '.gnupg/S.gpg-agent')],
        'IP13 PipeWire': ['stream', join(runtime, 'pipewire-0')],
        'IP13 Wayland': ['stream', join(runtime, 'wayland-0')],
        'IP14 git’s fsmonitor': ['stream', join(area.project, '.git/fsmonitor--daemon.ipc')],
        'IP14 a build daemon': ['stream', join(area.home, '.cache/build/daemon.sock')],
      };
      desktop = { env: {
        XDG_RUNTIME_DIR: runtime, DBUS_SESSION_BUS_ADDRESS: `unix:path=${runtime}/bus`, DBUS_STARTER_ADDRESS: `unix:path=${runtime}/bus`,
        SSH_AUTH_SOCK: join(area.home, '.ssh/agent'), DISPLAY: ':99', WAYLAND_DISPLAY: 'wayland-0', TMUX: `/tmp/${unique}/default,1,0`, XAUTHORITY: join(area.home, '.Xauthority'),
      } };
      const [program = '', ...words] = area.as([python, script, 'serve', JSON.stringify(places)]);
      server = spawn(program, words, { env: area.env, stdio: ['pipe', 'pipe', 'inherit'] });
      if (server.stdout !== null) await once(server.stdout, 'data');
      symlinkSync(join(runtime, 'bus'), join(area.project, 'link'));
    });
    afterAll(async () => {
      server.stdin?.end();
      if (server.exitCode === null) await once(server, 'exit');
      await area.native(['rm', '-rf', `/tmp/agentfw-test-${process.pid}-${identity.name}`]);
      await area.remove();
    });

    const knock = async (prefix: readonly string[]): Promise<{ readonly answers: Readonly<Record<string, string>>; readonly stderr: string }> => {
      const table = { ...places, 'IP08 a link to the session bus': ['stream', join(area.project, 'link')] };
      const words = [python, script, 'reach', JSON.stringify(table)];
      const outcome = await (prefix.length === 0 ? area.native(words, desktop) : area.cli([...prefix, '--', ...words], desktop));
      return { answers: jsonOf(outcome), stderr: outcome.stderr };
    };
    const isAbstract = (name: string): boolean => places[name]?.[1].startsWith('@') ?? false;

    test('each is there and answers natively', async () => {
      expect(Object.entries((await knock([])).answers).filter(([, answer]) => answer !== 'reached')).toEqual([]);
    });

    describe.each(['off', 'allow'] as const)('--net %s', (net) => {
      let answers: Readonly<Record<string, string>>;
      let stderr: string;
      const reached = (): readonly string[] => Object.keys(answers).filter((name) => answers[name] === 'reached');
      beforeAll(async () => {
        ({ answers, stderr } = await knock(['run', '--rm', '--net', net]));
      });

      test('IP02 IP04 IP05 IP07 IP08 IP10 IP11 IP13 IP14 none can be reached', () => {
        expect(Object.keys(answers)).toHaveLength(Object.keys(places).length + 1);
        expect(reached().filter((name) => net === 'off' || !isAbstract(name))).toEqual([]);
      });

      if (net === 'off') return;
      needs('scopes').test('IP05 abstract ones neither, though they belong to the network', () => {
        expect(reached()).toEqual([]);
      });

      test('IP05 where the kernel can keep none of the abstract ones, the start says so', () => {
        expect(stderr.includes('reach the host\'s abstract sockets')).toBe(reached().some(isAbstract));
      });
    });

    test('IP16 nothing of the desktop is in the environment, and the runtime directory is empty', async () => {
      const look = 'env | cut -d= -f1 | sort; echo --; ls -A "$0"';
      const run = await area.cli(['run', '--rm', '--net', 'off', '--', 'sh', '-c', look, runtime], desktop);
      const [names = '', files = ''] = run.stdout.split('--\n');
      const leading = ['DBUS_SESSION_BUS_ADDRESS', 'DBUS_STARTER_ADDRESS', 'XDG_RUNTIME_DIR', 'SSH_AUTH_SOCK', 'DISPLAY', 'WAYLAND_DISPLAY', 'TMUX', 'XAUTHORITY'];
      expect(names.split('\n').filter((name) => leading.includes(name))).toEqual([]);
      expect(names).toContain('HOME\n');
      expect(files.trim()).toBe('');
    });
  });
}
