/** What the agent sees. */
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, unnoticed, type Area } from '../helpers/sandbox.js';

for (const identity of identities()) {
  const gated = needs('userns', 'overlay');

  gated.describe(`the view as ${identity.name}`, () => {
    let area: Area;
    beforeAll(() => {
      area = createArea(identity);
      own(area, join(area.project, 'kept.txt'), 'before\n');
    });
    afterAll(async () => {
      for (const dir of made.splice(0)) rmSync(dir, { recursive: true, force: true });
      await area.remove();
    });

    const inside = async (script: string, flags: readonly string[] = []): Promise<string> => {
      const outcome = await area.cli(['run', '--rm', '--net', 'off', ...flags, '--', 'sh', '-c', script]);
      expect(outcome.status, outcome.stderr).toBe(0);
      return outcome.stdout;
    };

    gated.test('has the same uid, working directory and environment basics', async () => {
      const out = await inside('id -u; id -g; pwd; echo "$HOME"; echo "$AGENTFW"; echo "$PWD"');

      expect(out.trimEnd().split('\n')).toEqual([String(identity.uid), String(identity.gid), area.project, area.home, '1', area.project]);
    });

    gated.test('has the same entries in `/`, with their modes, types and link targets (E15)', async () => {
      const out = await inside(`for name in $(ls -A /); do stat -c '%n %F %a' "/$name"; done; for name in $(ls -A /); do test -L "/$name" && readlink "/$name"; done; true`);
      const names = readdirSync('/').sort();
      const own = new Set(['/proc', '/dev', '/run', '/tmp']);
      const seen = new Map(out.split('\n').filter((line) => line.startsWith('/')).map((line) => [line.split(' ')[0], line]));

      for (const name of names) {
        const stat = lstatSync(`/${name}`);
        if (own.has(`/${name}`) || stat.isSymbolicLink()) continue;
        const mode = (stat.mode & 0o7777).toString(8);
        // Where the user may not write, the view has no write bits either.
        const expected = seen.get(`/${name}`)?.split(' ').at(-1);
        expect([mode, withoutWrite(mode)], name).toContain(expected);
      }
      const links = names.filter((name) => lstatSync(`/${name}`).isSymbolicLink());
      for (const name of links) expect(out).toContain(readlinkSync(`/${name}`));
    });

    gated.test('has a `/tmp` and a `/var/tmp` of its own, which tell no place in the store and hold sockets, links and renamed directories', async () => {
      const out = await inside(
        `awk '$5 == "/tmp" || $5 == "/var/tmp" { print $5, $4 }' /proc/self/mountinfo; cd /tmp; mkdir a; echo x > a/f; ln a/f g; mv a b; cat b/f; stat -c '%h %a' g; stat -c %a .; ` +
          `python3 -c 'import socket as s; a=s.socket(s.AF_UNIX); a.bind("b/s"); a.listen(); c=s.socket(s.AF_UNIX); c.connect("b/s"); print("connected")'`,
      );

      expect(out.trimEnd().split('\n').sort()).toEqual(['/tmp /', '/var/tmp /', '1777', '2 644', 'connected', 'x'].sort());
    });

    gated.test('takes writes into the layer, and the host stays as it was (E1)', async () => {
      await inside('echo after > kept.txt; echo new > new.txt; mkdir d; mv kept.txt d/; test "$(cat d/kept.txt)" = after');

      expect(readFileSync(join(area.project, 'kept.txt'), 'utf8')).toBe('before\n');
      expect(readdirSync(area.project)).toEqual(['kept.txt']);
    });

    gated.test('refuses what it can not put in a layer with an error of the kernel, never silently (E1)', async () => {
      const out = await inside('for f in /etc/agentfw-x /usr/agentfw-x /agentfw-x "$HOME/agentfw-x"; do (echo x > "$f") 2>/dev/null && echo "$f"; done; true');
      const written = out.split('\n').filter((line) => line !== '');

      expect(written).toContain(join(area.home, 'agentfw-x'));
      if (identity.name === 'root') expect(written).toEqual(['/etc/agentfw-x', '/usr/agentfw-x', '/agentfw-x', join(area.home, 'agentfw-x')]);
      for (const path of ['/etc/agentfw-x', '/usr/agentfw-x', '/agentfw-x', join(area.home, 'agentfw-x')]) expect(existsSync(path)).toBe(false);
    });

    gated.test('has a private /tmp, /var/tmp, /dev/shm, /run and runtime directory', async () => {
      const out = await inside('ls -A /tmp /var/tmp /dev/shm; ls -A /run; for d in /tmp /var/tmp /dev/shm; do echo x > $d/agentfw-private-x; done; stat -c %a /tmp /run');

      // Where areas lie below one of them, the way to this one shows, and nothing else.
      const shown = (dir: string): string => (area.dir.startsWith(`${dir}/`) ? `${area.dir.slice(dir.length + 1).split('/')[0] ?? ''}\n` : '');
      expect(out.startsWith(['/dev/shm', '/tmp', '/var/tmp'].map((dir) => `${dir}:\n${shown(dir)}`).join('\n')), out).toBe(true);
      expect(out).not.toMatch(/dbus|systemd|docker/);
      expect(out).toMatch(/1777\n755\n$/);
      for (const dir of ['/tmp', '/var/tmp', '/dev/shm']) expect(existsSync(`${dir}/agentfw-private-x`)).toBe(false);
    });

    gated.test('has a fresh /proc: its own pids, its own mounts, a supervisor that can not be seen (RD14)', async () => {
      const out = await inside('ls -d /proc/[0-9]* | wc -l; cat /proc/1/comm; cat /proc/*/cmdline | tr "\\0" " "');

      expect(Number(out.split('\n')[0])).toBeLessThan(8);
      expect(out).not.toContain('bin/run.js');
    });

    gated.test('never shows the store, whatever path is taken (RD19)', async () => {
      const out = await inside(`ls -A ${area.state} | wc -l; ls -A /proc/self/root${area.state} | wc -l; touch ${area.state}/x 2>&1; rmdir ${area.state} 2>&1; mv ${area.state} ${area.home}/moved 2>&1; ls -A ${area.state} | wc -l`);

      expect(out.split('\n').filter((line) => /^\d+$/.test(line))).toEqual(['0', '0', '0']);
      expect(out.match(/Read-only file system|No such file|Permission denied|busy/g)).toHaveLength(3);
    });

    needs('ssh', 'userns', 'overlay').test('lets `ssh -G` work', async () => {
      expect(await inside('if id -un >/dev/null 2>&1; then ssh -G host | grep -c "^hostname host"; else echo 1; fi')).toBe('1\n');
    });

    gated.test('lets `git` work', async () => {
      const out = await inside('git init -q . && git add -A && git -c user.name=a -c user.email=a@b commit -qm one && git status --porcelain && git log --oneline | wc -l');

      expect(out).toBe('1\n');
      expect(existsSync(join(area.project, '.git'))).toBe(false);
    });

    gated.test('`sudo -n true` fails like a command that may not, and nothing gains rights', async () => {
      const out = await inside('if command -v sudo >/dev/null; then sudo -n true 2>&1 && echo yes; fi; grep -E "^(NoNewPrivs)" /proc/self/status');

      expect(out).toContain('NoNewPrivs:\t1');
      expect(out).not.toContain('yes');
    });

    gated.test('shows the project below /tmp, and nothing else of /tmp', async () => {
      const below = createAreaIn('/tmp', area);
      const outcome = await area.cli(['run', '--rm', '--net', 'off', '--', 'sh', '-c', 'pwd; ls -A; ls -A /tmp; echo new > new.txt'], { cwd: below });

      expect(unnoticed(outcome.stderr)).toBe('');
      const shown = new Set([below, area.dir].filter((dir) => dir.startsWith('/tmp/')).map((dir) => dir.split('/')[2]));
      expect(outcome.stdout).toBe(`${below}\nseen.txt\n${[...shown].sort().join('\n')}\n`);
      expect(readdirSync(below)).toEqual(['seen.txt']);
    });

    gated.test('a git worktree can commit: the shared directory is writable too (E138)', async () => {
      const main = createAreaIn('/tmp', area);
      const git = 'git -c user.name=a -c user.email=a@b';
      const tree = join(area.home, 'tree');
      const made = await area.native(['sh', '-c', `git init -q . && git add -A && ${git} commit -qm one && git worktree add -q ${tree}`], { cwd: main });
      expect(made.status, made.stderr).toBe(0);

      const outcome = await area.cli(['run', '--rm', '--net', 'off', '--', 'sh', '-c', `echo x > new && git add new && ${git} commit -qm two && git log --oneline | wc -l`], { cwd: tree });

      expect(outcome.stdout, outcome.stderr).toBe('2\n');
      const log = await area.native(['git', 'log', '--oneline', '--all'], { cwd: main });
      expect(log.stdout.trimEnd().split('\n')).toHaveLength(1);
    });

    gated.test('IP16 a `.git` file that came with a project opens nothing that is no git directory', async () => {
      const hidden = createAreaIn('/tmp', area);
      own(area, join(hidden, 'cookie'), 'cookie\n');
      const planted = join(area.home, 'planted');
      mkdirSync(planted);
      own(area, join(planted, '.git'), `gitdir: ${hidden}\n`);
      const look = ['run', '--rm', '--net', 'off', '--', 'cat', join(hidden, 'cookie')];

      expect(await area.cli(look, { cwd: planted })).toMatchObject({ status: 1, stdout: '' });
      for (const name of ['objects', 'refs']) mkdirSync(join(hidden, name));
      own(area, join(hidden, 'HEAD'), 'ref: refs/heads/main\n');
      expect(await area.cli(look, { cwd: planted })).toMatchObject({ status: 0, stdout: 'cookie\n' });
    });

    gated.test('hides a path, hands one in, lets one through', async () => {
      const secret = join(area.home, 'secret');
      own(area, secret, 'key\n');
      const given = `/tmp/agentfw-given-${String(process.pid)}-${identity.name}`;
      own(area, given, 'given\n');
      made.push(given);
      const open = join(area.home, 'open');
      mkdirSync(open);
      chownSync(open, identity.uid, identity.gid);

      const out = await inside(`cat ${secret} 2>/dev/null; cat ${given}; echo x > ${given} 2>/dev/null; echo through > ${open}/file`, ['--hide', secret, '--share', given, '--passthrough', open]);

      expect(out).toBe('given\n');
      expect(readFileSync(given, 'utf8')).toBe('given\n');
      expect(readFileSync(join(open, 'file'), 'utf8')).toBe('through\n');
    });

    needs('root', 'userns', 'overlay').test('lets a mount of its own through, and shows one read-only, whoever asks', async () => {
      const disk = join(area.dir, 'disk');
      mkdirSync(disk);
      execFileSync('mount', ['-t', 'tmpfs', '-o', `mode=755,uid=${String(identity.uid)}`, 'disk', disk]);
      try {
        expect(await inside(`echo through > ${disk}/file`, ['--passthrough', disk])).toBe('');
        expect(readFileSync(join(disk, 'file'), 'utf8')).toBe('through\n');
        const policy = join(area.home, 'readonly.yaml');
        own(area, policy, `version: 1\nfiles: {readonly: ["${disk}"]}\n`);
        expect(await inside(`cat ${disk}/file; echo x 2>/dev/null > ${disk}/file; echo $?`, ['--policy', policy])).toBe('through\n2\n');
      } finally {
        execFileSync('umount', ['-l', disk]);
      }
    });

    gated.test('what the sandbox has of its own, and the machine itself, are handed in by nobody (KN14 WR23)', async () => {
      const refused = async (flag: string, path: string): Promise<string> => {
        const { status, stdout, stderr } = await area.cli(['run', '--rm', '--net', 'off', flag, path, flag, path, '--', 'echo', 'ran']);
        return `${String(status)} ${stdout}${/^Error: (.*)$/m.exec(stderr)?.[1] ?? stderr}`;
      };
      for (const path of ['/run', '/dev', '/dev/shm', '/var/tmp', '/var'].filter((one) => existsSync(one))) {
        expect(await refused('--share', path)).toMatch(/^125 Can't share \S+: the (sandbox has \S+ of its own|store lies there)\.$/);
      }
      for (const path of ['/proc', '/sys', '/sys/fs', '/dev', '/dev/pts']) expect(await refused('--passthrough', path)).toMatch(/^125 Can't pass \S+ through: it shows the host's \w+\.$/);
      for (const path of ['/var/tmp', '/var']) expect(await refused('--passthrough', path)).toMatch(/^125 (Can't pass \S+ through: the (sandbox has \/var\/tmp of its own|store lies in it)\.|Refused: passthrough)/);
      expect(await refused('--passthrough', '/run')).toBe("125 Can't pass /run through: the sandbox has /run/agentfw of its own.");
    });

    gated.test('what is handed in by a symlink is handed in where the symlink leads', async () => {
      const dir = join(area.project, 'handed');
      mkdirSync(dir);
      own(area, join(dir, 'file'), 'given\n');
      symlinkSync('handed', join(area.project, 'link'));
      const outside = `/tmp/agentfw-link-${String(process.pid)}-${identity.name}`;
      symlinkSync(dir, outside);
      made.push(outside);

      for (const given of [join(area.project, 'link'), join(area.project, 'link/file'), outside]) {
        const file = given.endsWith('file') ? given : `${given}/file`;
        expect(await inside(`cat ${file}; echo x > ${file} 2>/dev/null; echo $?`, ['--share', given]), given).toBe('given\n2\n');
      }
    });

    gated.test('a socket of the host does not answer (E137)', async () => {
      const path = join(area.home, 'daemon.sock');
      const server = createServer((socket) => socket.end('hello'));
      await new Promise<void>((ready) => server.listen(path, ready));
      chmodSync(path, 0o777);
      try {
        const out = await inside(`/usr/bin/python3 -c "
import socket
s = socket.socket(socket.AF_UNIX)
try:
    s.connect('${path}'); print('open')
except OSError as e: print(type(e).__name__)"`);
        expect(out).toBe('ConnectionRefusedError\n');
      } finally {
        server.close();
      }
    });

    gated.test('paths with blanks, colons, commas, backslashes and newlines (E19)', async () => {
      const odd = join(area.home, 'a:b,c\\d e\nf[x]{y,z}*****~');
      mkdirSync(odd);
      chownSync(odd, identity.uid, identity.gid);
      for (const name of ['secret', '~hidden']) own(area, join(odd, name), 'x\n');

      const store = join(area.dir, 'store, of:~\\d\n[x]{y}');
      for (const env of [{}, { AGENTFW_STATE_DIR: store }]) {
        const outcome = await area.cli(['run', '--tag', 'odd', '--net', 'off', '--hide', 'secret', '--hide', './~hidden', '--', 'sh', '-c', 'echo x > y && ls && pwd; ls -A "$0"', store], { cwd: odd, env });
        expect(outcome.stdout, outcome.stderr).toBe(`y\n${odd}\n`);
        expect(readdirSync(odd).sort()).toEqual(['secret', '~hidden']);
        const diff = await area.cli(['diff', 'odd', '--json'], { cwd: odd, env });
        expect(JSON.parse(diff.stdout)).toMatchObject({ changes: [{ path: join(odd, 'y') }] });
        expect((await area.cli(['discard', 'odd', '--yes'], { cwd: odd, env })).status).toBe(0);
      }
    });

    gated.test('a working directory that is reached by a symlink keeps its name', async () => {
      const link = join(area.home, 'link');
      symlinkSync(area.project, link);

      const outcome = await area.cli(['run', '--rm', '--net', 'off', '--', 'sh', '-c', 'pwd'], { cwd: link, env: { PWD: link } });

      // Of what lies beside a project below /tmp the view shows nothing, so not the link either.
      expect(outcome.stdout).toBe(`${area.home.startsWith('/tmp/') ? area.project : link}\n`);
    });

    if (identity.name === 'root') {
      gated.test('new names directly in `/` belong to the first layer', async () => {
        const outcome = await area.cli(['run', '--tag', 'top', '--net', 'off', '--', 'sh', '-c', 'mkdir /agentfw-top && echo x > /agentfw-top/file']);

        expect(outcome.status, outcome.stderr).toBe(0);
        expect(existsSync('/agentfw-top')).toBe(false);
        expect(readFileSync(join(area.state, 'sandboxes/top/layers/0/upper/agentfw-top/file'), 'utf8')).toBe('x\n');
      });

      gated.test('the kernel can not be configured by the owner of its files (KN08)', async () => {
        const out = await inside('for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/kernel/uevent_helper /proc/sys/vm/drop_caches; do (echo x > $f) 2>/dev/null && echo $f; done; true');

        expect(out).toBe('');
      });

      gated.test('traces and settings of the kernel that root reads are empty (RD16)', async () => {
        const mounts = 'for one in debugfs:kernel/debug tracefs:kernel/tracing configfs:kernel/config; do mount -t ${one%%:*} none /sys/${one#*:} && echo ${one#*:}; done';
        const script = 'cd /sys/kernel; ls -A debug tracing config 2>/dev/null | grep -v ":$" | grep .; mkdir debug/x tracing/instances/x config/x 2>/dev/null && echo wrote; true';
        const outcome = await area.native(['unshare', '-m', 'sh', '-c', `${mounts}\nexec "$@"`, 'sh', ...area.argv(['run', '--rm', '--net', 'off', '--', 'sh', '-c', `echo --; ${script}`])]);
        const [mounted = '', seen = ''] = outcome.stdout.split('--\n');

        expect(mounted.trim(), outcome.stderr).not.toBe('');
        expect(seen).toBe('');
      });
    }
  });
}

function withoutWrite(mode: string): string {
  return (parseInt(mode, 8) & ~0o222).toString(8);
}

function own(area: Area, path: string, text: string): void {
  writeFileSync(path, text);
  chownSync(path, area.identity.uid, area.identity.gid);
}

let count = 0;
const made: string[] = [];
function createAreaIn(root: string, area: Area): string {
  count += 1;
  const dir = `${root}/agentfw-view-${String(process.pid)}-${String(count)}`;
  mkdirSync(dir);
  made.push(dir);
  own(area, join(dir, 'seen.txt'), 'seen\n');
  chownSync(dir, area.identity.uid, area.identity.gid);
  return dir;
}
