/**
 * attacks.md A, D, H, I, O and parts of B, F, G: one sandbox per identity runs
 * walls.py, each test reads one answer.
 */
import { chownSync, existsSync, lchownSync, lstatSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { needs } from '../helpers/needs.js';
import { allIdentities, createArea, eventually, identities, jsonOf, ownSleep, processesWith, python, repository, type Area } from '../helpers/sandbox.js';

type Answer = string | number | boolean | readonly string[] | readonly number[] | Readonly<Record<string, string>>;
type Answers = Readonly<Record<string, Readonly<Record<string, Answer>>>>;

const refused = ['EPERM', 'EACCES', 'ENOSYS', 'ENOENT', 'ESRCH', 'EROFS', 'EAFNOSUPPORT', 'absent'];
const script = join(repository, 'test/attack/walls.py');

/** The notes of the gate, what marks a sandbox, the driver itself; as a plain user also the copies that ssh accepts. */
const REWRITE = `
import errno, json, os
names = ["/run/agentfw", "/run/agentfw/notes", "/proc/1/exe"] + (["/etc/ssh/ssh_config"] if os.getuid() and os.path.exists("/etc/ssh/ssh_config") else [])
tries = {
  "write": lambda p: os.close(os.open(p, os.O_WRONLY | os.O_APPEND)) if not os.path.isdir(p) else os.close(os.open(p + "/x", os.O_WRONLY | os.O_CREAT)),
  "truncate": lambda p: os.truncate(p, 0) if not os.path.isdir(p) else os.mkdir(p + "/y"),
  "chmod": lambda p: os.chmod(p, 0o666), "times": lambda p: os.utime(p, (1, 1)),
  "move": lambda p: os.rename(p, p + ".old"), "link": lambda p: os.link(p, "linked"),
  "remove": lambda p: os.unlink(p) if not os.path.isdir(p) else os.rmdir(p),
  "replace": lambda p: (open("mine", "w").close(), os.replace("mine", p)),
}
def told(body, path):
  try: body(path)
  except OSError as error: return errno.errorcode.get(error.errno, str(error.errno))
  return "ok"
print(json.dumps({f"{what} {path}": told(body, path) for path in names for what, body in tries.items()}))`;

/** Until /tmp/end is there: whatever a process that is about to enter would let be opened of itself, by number. */
const LURK = `
import os, subprocess
found, other = set(), subprocess.Popen(["sleep", "600"])
print("up", flush=True)
while not os.path.exists("/tmp/end"):
  for pid in filter(str.isdigit, os.listdir("/proc")):
    for what in ("exe", "mem", "root", "cwd", "environ", "fd/0"):
      try: os.close(os.open(f"/proc/{pid}/{what}", os.O_RDONLY))
      except OSError: continue
      try: name = os.readlink(f"/proc/{pid}/exe")
      except OSError: name = ""
      found.add(os.path.basename(name))
print(sorted(found & {"agentfw-driver", "sleep"}))`;

for (const identity of identities()) {
  needs('userns', 'overlay', 'python').describe(`walls as ${identity.name}`, () => {
    let area: Area;
    let inside: Answers;
    beforeAll(async () => {
      area = createArea(identity);
      const run = await area.cli(
        ['run', '--tag', 'walls', '--net', 'allow', '--', python, script, area.state, String(process.pid)],
      );
      expect(run.status, run.stderr).toBe(0);
      inside = jsonOf<Answers>(run);
    });
    afterAll(() => area.remove());

    const of = (group: string): Readonly<Record<string, Answer>> => {
      const found = inside[group];
      if (found === undefined) throw new Error(`walls.py said nothing about ${group}`);
      return found;
    };
    /** names whose answer is not a refusal */
    const open = (group: string, allowed: readonly string[] = refused): readonly string[] =>
      Object.entries(of(group)).filter(([, answer]) => !allowed.includes(String(answer))).map(([name, answer]) => `${name}: ${JSON.stringify(answer)}`);

    describe('A: reading', () => {
      test('RD02 RD19 the store is empty or refused by every way to its path', () => {
        const seen = Object.entries(of('store')).filter(([, answer]) => Array.isArray(answer) ? answer.length > 0 : !refused.includes(String(answer)));
        expect(seen).toEqual([]);
      });

      test('RD14 KN17 no process of the host shows in /proc, none of agentfw’s own either', () => {
        const lines = Object.values(of('processes')['cmdlines'] as Readonly<Record<string, string>>);
        expect(lines.filter((line) => line.includes('run.js'))).toEqual([]);
        expect(of('processes')['supervisor']).toSatisfy((answer: Answer) => refused.includes(String(answer)));
      });

      test('RD14 KN02 pid 1 gives neither descriptors, memory, environment nor its root', () => {
        const names = ['fds of pid 1', 'memory of pid 1', 'environment of pid 1', 'root of pid 1', 'cwd of pid 1'];
        expect(names.filter((name) => !refused.includes(String(of('processes')[name])))).toEqual([]);
      });

      test('the agent inherits no descriptor but 0, 1 and 2', () => {
        expect(of('processes')['own fds']).toEqual([0, 1, 2]);
      });

      test('RD16 kernel memory, logs and timers are unreadable', () => {
        const files = ['/proc/kcore', '/proc/timer_list', '/proc/sched_debug', '/proc/kmsg', '/proc/slabinfo', '/proc/vmallocinfo', '/proc/kpagecount', '/proc/kpageflags', '/proc/kpagecgroup', '/proc/pagetypeinfo', '/dev/mem', '/dev/kmsg'];
        const readable = files.filter((file) => Number(of('kernel')[file]) > 0);
        expect(readable).toEqual([]);
      });

      test('RD16 no kernel address shows in /proc/kallsyms', () => {
        const answer = of('kernel')['/proc/kallsyms'];
        const addresses = Array.isArray(answer) ? answer : [];
        expect(addresses.filter((address) => !/^0+$/.test(String(address)))).toEqual([]);
      });

      test('RD16 debugfs and tracefs are empty or refused', () => {
        for (const path of ['/sys/kernel/debug', '/sys/kernel/tracing']) {
          const answer = of('kernel')[path];
          expect(Array.isArray(answer) ? answer.length : 0, path).toBe(0);
        }
      });

      test('RD16 root reads no tables of the firmware', () => {
        if (identity.uid !== 0) return;
        expect(of('kernel')['/sys/firmware']).toEqual([]);
      });

      test('RD20 a crash leaves no core, and the limit cannot be raised', () => {
        expect(of('core')).toMatchObject({ limit: [0, 0], end: 'signal 11', files: [] });
        expect(of('core')['raise']).not.toBe('ok');
      });
    });

    describe('D: ways round the filter', () => {
      test('TC08 i386 and x32 numbers meet the same refusals', () => {
        const answers = of('foreign');
        const bad = ['x32', 'i386 keyctl', 'i386 io_uring_setup', 'i386 socket(AF_ALG)', 'i386 ptrace']
          .filter((name) => !refused.includes(String(answers[name])) && !String(answers[name]).startsWith('signal'));
        expect(bad.map((name) => `${name}: ${String(answers[name])}`)).toEqual([]);
      });

      test('TC10 the mount family is refused, old and new calls', () => {
        expect(open('mounts', ['EPERM', 'ENOSYS'])).toEqual([]);
      });

      test('CW26 KN05 a namespace other than user alone is refused', () => {
        const { user: _, ...rest } = of('namespaces');
        expect(Object.entries(rest).filter(([, answer]) => !refused.includes(String(answer)))).toEqual([]);
      });
    });

    describe('H: kernel and processes', () => {
      test('KN01 io_uring is refused with ENOSYS so that programs fall back', () => {
        expect(of('uring')).toEqual({ setup: 'ENOSYS', enter: 'ENOSYS', register: 'ENOSYS' });
      });

      test('KN02 pid 1 can be neither traced nor read nor written, own children can be traced', () => {
        const { 'own child': own, ...others } = of('trace');
        expect(Object.entries(others).filter(([, answer]) => !refused.includes(String(answer)))).toEqual([]);
        expect(own).toBe('ok');
      });

      test('KN07 CW26 root of a nested user namespace undoes no mask and mounts nothing over it', () => {
        expect(of('nested')['won']).toEqual([]);
      });

      test('no control group of the host can be written to, to freeze or kill what is in it', () => {
        expect(of('groups')['won']).toEqual([]);
      });

      test('KN08 kernel settings are read-only', () => {
        const { 'lower oom_score_adj': _, ...files } = of('settings');
        expect(Object.entries(files).filter(([, answer]) => !refused.includes(String(answer)))).toEqual([]);
        expect(of('settings')['lower oom_score_adj']).toBe('EACCES');
      });

      test('KN10 privileged calls are refused', () => {
        expect(open('calls', ['EPERM', 'ENOSYS', 'absent'])).toEqual([]);
      });

      test('KN11 the kernel keyrings are refused', () => {
        expect(open('keys', ['EPERM', 'ENOSYS'])).toEqual([]);
      });

      test('KN14 /dev holds the minimal set and no node can be made', () => {
        const usual = ['console', 'core', 'fd', 'full', 'log', 'mqueue', 'null', 'ptmx', 'pts', 'random', 'shm', 'stderr', 'stdin', 'stdout', 'tty', 'urandom', 'zero'];
        const names = of('devices')['/dev'] as readonly string[];
        expect(names.filter((name) => !usual.includes(name))).toEqual([]);
        expect(of('devices')['opened']).toEqual([]);
        expect([of('devices')['block node'], of('devices')['char node'], of('devices')['whiteout node']]).toEqual(['EPERM', 'EPERM', 'EPERM']);
      });

      test('capabilities over the host are none: no SYS_ADMIN, MKNOD, NET_ADMIN, SYS_PTRACE, and no new privileges', () => {
        const effective = BigInt(`0x${String(of('capabilities')['CapEff'])}`);
        const bounding = BigInt(`0x${String(of('capabilities')['CapBnd'])}`);
        const dangerous = [12, 19, 21, 27, 16, 17, 24, 25, 38, 39].filter((bit) => ((effective | bounding) >> BigInt(bit)) & 1n);
        expect(dangerous).toEqual([]);
        if (identity.name === 'user') expect(effective).toBe(0n);
        expect(of('capabilities')).toMatchObject({ NoNewPrivs: '1', Seccomp: '2' });
      });
    });

    describe('sockets', () => {
      test('CW25 NP07 NP10 NP11 only UNIX, INET, INET6 and some of NETLINK can be made', () => {
        const { unix, inet, inet6: _, 'netlink route': route, ...others } = of('sockets');
        expect([unix, inet, route]).toEqual(['ok', 'ok', 'ok']);
        const made = Object.entries(others).filter(([, answer]) => answer === 'ok').map(([name]) => name);
        expect(made).toEqual([]);
      });

      test('IP01 E137 sockets of host daemons are absent', () => {
        expect(Object.entries(of('host sockets')).filter(([, there]) => there)).toEqual([]);
      });
    });

    describe('I: the terminal', () => {
      test('TT01 TIOCSTI is refused, with high bits too', () => {
        expect([of('terminal')['TIOCSTI'], of('terminal')['TIOCSTI, high bits']]).toEqual(['EPERM', 'EPERM']);
      });

      test('TT02 TIOCLINUX is refused, with high bits too', () => {
        expect([of('terminal')['TIOCLINUX'], of('terminal')['TIOCLINUX, high bits']]).toEqual(['EPERM', 'EPERM']);
      });

      test('TIOCEXCL, which would keep the user from opening the terminal after the end, is refused', () => {
        expect(of('terminal')['TIOCEXCL']).toBe('EPERM');
      });

      test('other terminal requests work', () => {
        expect(of('terminal')['TIOCGWINSZ']).toBe('ok');
      });
    });

    describe('B: private directories', () => {
      test('WR23 a predictable name made in /tmp, /var/tmp or /dev/shm is not on the host', () => {
        const found = ['/tmp', '/var/tmp', '/dev/shm'].filter((dir) => present(join(dir, 'afw-predictable')));
        expect(found).toEqual([]);
      });

      test('WR23 /tmp, /var/tmp and /dev/shm show nothing of the host', () => {
        for (const dir of ['/tmp', '/var/tmp', '/dev/shm']) {
          const shown = of('private')[dir];
          const host = new Set(readdirSync(dir));
          const names = Array.isArray(shown) ? shown : [String(shown)];
          expect(names.filter((name) => host.has(String(name)) && !area.dir.startsWith(join(dir, String(name)))), dir).toEqual([]);
        }
      });
    });
  });

  needs('userns', 'overlay', 'python').describe(`signals and leftovers as ${identity.name}`, () => {
    let area: Area;
    beforeAll(() => { area = createArea(identity); });
    afterAll(() => area.remove());

    test('KN04 `kill -9 -1` ends only the sandbox', async () => {
      const nap = ownSleep();
      const other = area.native(nap.split(' '));
      await eventually('it sleeps', () => processesWith(new RegExp(`^${nap}$`)).length > 0);

      const run = await area.cli(['run', '--net', 'off', '--', 'bash', '-c', 'kill -9 -1; kill -9 $$']);
      expect(run.status, run.stderr).toBe(137);
      const alive = processesWith(nap);
      expect(alive).toHaveLength(1);

      for (const pid of alive) process.kill(pid);
      await other;
    });

    test('KN20 a daemon that left its session and its parent ends with the agent', async () => {
      const nap = ownSleep();
      const run = await area.cli(['run', '--net', 'off', '--', 'bash', '-c', `setsid bash -c '(trap "" HUP TERM; exec ${nap}) &' ; echo started`]);

      expect(run.stdout).toBe('started\n');
      expect(run.status, run.stderr).toBe(0);
      expect(processesWith(nap)).toEqual([]);
    });

    test('KN13 a program that enters is not the driver to anyone inside, not for a moment', async () => {
      const lurking = area.cli(['run', '--tag', 'lurk', '--net', 'off', '--', python, '-c', LURK]);
      await eventually('it looks', async () => (await area.cli(['exec', 'lurk', '--', 'true'])).status === 0);
      for (let n = 0; n < 8; n++) expect((await area.cli(['exec', 'lurk', '--', 'true'])).status).toBe(0);
      await area.cli(['exec', 'lurk', '--', 'touch', '/tmp/end']);

      const run = await lurking;
      expect(run.status, run.stderr).toBe(0);
      expect(run.stdout).toBe("up\n['sleep']\n");
    });

    test('KN13 WR22 what agentfw lays into the view for itself can be neither written, moved nor replaced', async () => {
      const run = await area.cli(['run', '--rm', '--net', 'deny', '--', python, '-c', REWRITE]);

      expect(run.status, run.stderr).toBe(0);
      const answers = Object.entries(jsonOf<Readonly<Record<string, string>>>(run));
      expect(answers.length).toBeGreaterThan(12);
      expect(answers.filter(([, answer]) => !refused.includes(answer) && !['EBUSY', 'EXDEV'].includes(answer))).toEqual([]);
    });
  });
}

for (const identity of allIdentities()) {
  needs('root', 'userns', 'overlay').describe(`stores of others, as ${identity.name}`, () => {
    let area: Area;
    beforeAll(() => { area = createArea(identity); });
    afterAll(() => area.remove());

    test('RS04 a store behind a symlink of another user is refused', async () => {
      const link = join(area.dir, 'link');
      symlinkSync(area.state, link);
      lchownSync(link, 65_000, 65_000);

      const run = await area.cli(['run', '--', 'true'], { env: { AGENTFW_STATE_DIR: link } });
      expect(run.status).toBe(125);
      expect(run.stderr).toMatch(/^Error: /m);
    });

    test('RS04 a store that belongs to another user is refused', async () => {
      const other = join(area.dir, 'other');
      mkdirSync(other);
      chownSync(other, 65_000, 65_000);

      const run = await area.cli(['run', '--', 'true'], { env: { AGENTFW_STATE_DIR: other } });
      expect(run.status).toBe(125);
      expect(run.stderr).toMatch(/^Error: /m);
      expect(readdirSync(other)).toEqual([]);
    });
  });
}

function present(path: string): boolean {
  try {
    return lstatSync(path) !== undefined;
  } catch {
    return existsSync(path);
  }
}
