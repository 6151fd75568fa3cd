/** End to end: HOME names another directory than the account's home. */
import { execa } from 'execa';
import { afterEach, beforeEach, expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { allIdentities, createArea, type Area, type Outcome } from '../helpers/sandbox.js';

const gated = needs('root', 'userns', 'overlay');

for (const identity of allIdentities()) {
  gated.describe(`homes as ${identity.name}`, () => {
    let area: Area;
    beforeEach(() => { area = createArea(identity); });
    afterEach(() => area.remove());

    /** A machine of its own, with a /home that has one directory of the user's and one of somebody else's. */
    const agent = async (script: string, more: readonly string[] = []): Promise<Outcome> => {
      const { uid, gid } = identity;
      const prepare = [
        'mount -t tmpfs -o mode=755 none /home', 'mkdir -p /home/own/.ssh /home/own/.config /home/own/code /home/other /home/linuxbrew/.linuxbrew',
        'echo SECRET > /home/own/.ssh/id_ed25519; echo Host > /home/own/.ssh/config; echo SECRET > /home/own/code/.env; echo SECRET > /home/other/x',
        'printf "#!/bin/sh\\necho tool\\n" > /home/own/tool; chmod -R a+rX /home; chmod 755 /home/own/tool',
        `chown -R ${uid}:${gid} /home/own; echo brewed > /home/linuxbrew/.linuxbrew/x; chmod -R a+rX /home/linuxbrew; chown -R 12:12 /home/other`, ...more, 'exec "$@"',
      ].join('\n');
      const words = area.as(area.argv(['run', '--rm', '--net', 'off', '--', 'sh', '-c', script]));
      const [program = '', ...args] = ['unshare', '-m', 'sh', '-c', prepare, 'sh', ...words];
      const result = await execa(program, args, { cwd: area.project, env: area.env, extendEnv: false, reject: false, stdin: 'ignore' });
      return { status: result.exitCode ?? null, signal: result.signal ?? null, stdout: result.stdout, stderr: result.stderr };
    };

    gated.test('tools in the user’s own home are there, its secrets are not, other homes are absent, and Homebrew is no home (RD01)', async () => {
      const outcome = await agent('/home/own/tool; cat /home/own/.ssh/config /home/linuxbrew/.linuxbrew/x; cat /home/own/.ssh/id_ed25519 /home/own/code/.env /home/other/x; ls /home; ls -A ~/.ssh; true');

      expect(outcome.stdout, outcome.stderr).toBe(identity.name === 'root' ? 'tool\nHost\nbrewed\nlinuxbrew\nown' : 'tool\nHost\nbrewed\nlinuxbrew\nother\nown');
      expect(outcome.stderr).not.toContain('SECRET');
      expect(outcome.stderr).toMatch(/other\/x: /);
    });

    if (identity.uid === 0) gated.test('the account whose project root works in keeps its secrets, wherever its home lies (RD01)', async () => {
      const home = area.dir;
      const account = [
        `cp /etc/passwd ${home}/passwd; echo "agentfw-svc:x:12:12::${home}:/bin/sh" >> ${home}/passwd; mount --bind ${home}/passwd /etc/passwd`,
        `mkdir -p ${home}/.aws ${home}/.ssh; echo SECRET > ${home}/.aws/credentials; echo SECRET > ${home}/.ssh/id_rsa; echo shown > ${home}/notes`,
      ];
      const outcome = await agent('cat ../../.aws/credentials ../../.ssh/id_rsa; cat ../../notes', account);

      expect(outcome.stdout, outcome.stderr).toBe('shown');
      expect(outcome.stderr.match(/No such file or directory/g)).toHaveLength(2);
    });

    gated.test('variables that `su` kept of somebody else’s, and a HOME that is a file, are in nobody’s way', async () => {
      const foreign = { XDG_RUNTIME_DIR: '/home/other', DBUS_SESSION_BUS_ADDRESS: 'unix:path=/home/other/x/bus', SSH_AUTH_SOCK: '/home/other/agent.1' };
      const closed = 'chmod 700 /home/other';
      const started = async (variables: Readonly<Record<string, string>>): Promise<Outcome> => await agent('echo up', [closed, ...Object.entries(variables).map(([name, value]) => `export ${name}=${value}`)]);

      for (const variables of [foreign, { XDG_RUNTIME_DIR: '/etc/hostname' }, { HOME: '/etc/hostname' }]) {
        const outcome = await started(variables);
        expect(`${outcome.status} ${outcome.stdout}`, outcome.stderr).toBe('0 up');
      }
    });

    gated.test('a home with a mount in it, and a file that its owner may not read (E22)', async () => {
      const more = ['mkdir -m 755 "$HOME/cloud"; mount -t tmpfs none "$HOME/cloud"', 'echo root > "$HOME/.kept-by-root"; chmod 600 "$HOME/.kept-by-root"'];
      const outcome = await agent('echo new > ~/new && cat ~/new; stat -c %s-%a ~/.kept-by-root; cat ~/.kept-by-root', more);

      expect(outcome.stdout, outcome.stderr).toBe(`new\n5-600${identity.name === 'root' ? '\nroot' : ''}`);
    });
  });
}
