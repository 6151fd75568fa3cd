/**
 * Hosts of other shapes than this one, each in a mount namespace of its own
 * that root lays out: mounts below the project, filesystems that can hold
 * little, an overlay as the root, a container that refuses namespaces.
 */
import { execa } from 'execa';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { has, needs, type Prerequisite } from '../helpers/needs.js';
import { allIdentities, createArea, type Area, type Outcome } from '../helpers/sandbox.js';

/**
 * A FUSE mount at its first argument, which the user that is the second alone
 * may look into. Whoever asks it waits: nobody takes the question, or somebody
 * does and says nothing, which no signal ends. Its server ends with the shell
 * that began it, or is gone at once.
 */
const SILENT = `
import ctypes, os, select, struct, sys, time
parent = os.getppid()
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open('/dev/fuse', os.O_RDWR)
options = f'fd={fd},rootmode=40000,user_id={sys.argv[2]},group_id={sys.argv[2]}'
if libc.mount(b'silent', sys.argv[1].encode(), b'fuse', 6, options.encode()): sys.exit(os.strerror(ctypes.get_errno()))
os.close(1), os.close(2)
if sys.argv[3] == 'is gone': sys.exit()
if sys.argv[3] == 'takes questions and hangs':
    begun = os.read(fd, 1 << 17)[8:16]
    os.write(fd, struct.pack('<Ii', 80, 0) + begun + struct.pack('<IIIIHHIIHH8I', 7, 31, 65536, 0, 10, 10, 65536, 1, 16, 0, *[0] * 8))
while os.getppid() == parent:
    asked = select.select([fd], [], [], 0.1)[0]
    if not asked: continue
    if sys.argv[3] == 'hangs': time.sleep(0.1)
    else: os.read(fd, 1 << 17)
`;

/** What lies at `m/NAME` of the project, from an image or from memory. */
const MOUNTS: readonly { readonly name: string; readonly needs: readonly Prerequisite[]; readonly make: string }[] = [
  { name: 'tmpfs', needs: [], make: 'mount -t tmpfs none m/tmpfs' },
  { name: 'bind', needs: [], make: 'mkdir other; mount --bind other m/bind' },
  { name: 'overlay', needs: [], make: 'mkdir "$1/l" "$1/u" "$1/w"; mount -t overlay none -o "lowerdir=$1/l,upperdir=$1/u,workdir=$1/w" m/overlay' },
  // has neither attributes nor file handles
  { name: 'ramfs', needs: [], make: 'mount -t ramfs none m/ramfs' },
  { name: 'xfs', needs: ['loop', 'xfs'], make: 'truncate -s 320M "$1/x"; mkfs.xfs -q -f "$1/x"; mount -o loop "$1/x" m/xfs' },
  { name: 'btrfs', needs: ['loop', 'btrfs'], make: 'truncate -s 160M "$1/b"; mkfs.btrfs -q -f "$1/b" > /dev/null; mount -o loop "$1/b" m/btrfs; btrfs -q subvolume create m/btrfs/sub > /dev/null; echo old > m/btrfs/sub/file' },
];

for (const identity of allIdentities()) {
  needs('root', 'userns', 'overlay', 'setpriv').describe(`on another host as ${identity.name}`, () => {
    let area: Area;
    beforeEach(() => {
      area = createArea(identity);
    });
    afterEach(() => area.remove());

    /** `host` lays out the mounts as root, `$1` being a scratch directory; then the user's script, behind the words of `enter`, where `agentfw` is ours. */
    const there = async (host: string, script: string, enter = ''): Promise<Outcome> => {
      const scratch = join(area.dir, 'scratch');
      mkdirSync(scratch);
      const user = area.as(['env', '-C', area.project, 'sh', '-uc', `agentfw() { ${area.argv([]).map(quote).join(' ')} "$@"; }; ${script}`]).map(quote).join(' ');
      const setUp = `set -eu; mount --make-rprivate /; cd ${quote(area.project)}; ${host}\nexec ${enter}${user}`;
      const [program = '', ...words] = ['unshare', '--mount', 'sh', '-c', setUp, 'sh', scratch];
      const result = await execa(program, words, { cwd: '/', env: area.env, extendEnv: false, reject: false, stdin: 'ignore', timeout: 300_000, stripFinalNewline: false });
      return { status: result.exitCode ?? null, signal: result.signal ?? null, stdout: result.stdout, stderr: result.stderr };
    };

    const usable = MOUNTS.filter((mount) => mount.needs.every((name) => has(name)));
    const layOut = [
      `mkdir -p ${usable.map(({ name }) => `m/${name}`).join(' ')}`,
      ...usable.map(({ make }) => make),
      ...usable.map(({ name }) => `echo old > m/${name}/file`),
      `chown -hR ${identity.uid}:${identity.gid} m`,
    ].join('\n');

    needs('root').test('a directory of the system that may be entered and not read is in nobody’s way', async () => {
      const outcome = await there('mount -t tmpfs -o mode=711 none /opt; setfattr -n user.k -v v /opt || :', [
        'agentfw run --tag closed --net off -- sh -c "echo new > new" || exit 1', 'agentfw diff closed --name-only',
        'agentfw commit closed --yes >&2 || exit 2', 'cat new', 'agentfw undo >&2 || exit 3', 'ls new 2>/dev/null || echo gone',
      ].join('\n'));

      expect([outcome.status, outcome.stdout], outcome.stderr).toEqual([0, `${area.project}/new\nnew\ngone\n`]);
    });

    needs('root').test(`E2 E25 E59 mounts below the project (${usable.map(({ name }) => name).join(', ')}) take writes, land and go back`, async () => {
      const places = [...usable.map(({ name }) => `m/${name}`), ...(has('btrfs') && has('loop') ? ['m/btrfs/sub'] : [])];
      const agent = `for d in ${places.join(' ')}; do echo new > $d/new && echo more >> $d/file && rm -f $d/missing; done`;
      const state = `for d in ${places.join(' ')}; do echo $d $(cat $d/file) $(ls $d/new 2>/dev/null); done`;
      const outcome = await there(layOut, [
        `agentfw run --tag below --net off -- sh -euc ${quote(agent)} || exit 1`, state, 'echo --',
        'agentfw diff below --name-only', 'echo --', 'agentfw commit below --yes >&2 || exit 2', state, 'echo --', 'agentfw undo >&2 || exit 3', state,
      ].join('\n'));

      expect(outcome.status, outcome.stderr).toBe(0);
      const [before, names, landed, back] = outcome.stdout.split('--\n').map((part) => part.split('\n').filter((line) => line !== '').sort());
      expect(before).toEqual(places.map((place) => `${place} old`).sort());
      expect(names).toEqual(places.flatMap((place) => [join(area.project, place, 'file'), join(area.project, place, 'new')]).sort());
      expect(landed).toEqual(places.map((place) => `${place} old more ${place}/new`).sort());
      expect(back).toEqual(before);
    });

    for (const how of ['hangs', 'takes questions and hangs', 'is gone', 'is somebody else’s'] as const) {
      needs('root', 'fuse', 'python').test(`a FUSE mount whose server ${how} is shown empty, said at the start and by \`status\`, and keeps no start waiting`, async () => {
        const owner = how === 'is somebody else’s' ? 64_321 : identity.uid;
        const host = `mkdir m beside; chown ${identity.uid}:${identity.gid} m beside; python3 -c ${quote(SILENT)} "$PWD/m" ${owner} ${quote(how)} & until grep -q " $PWD/m " /proc/self/mountinfo; do sleep 0.05; done`;
        const outcome = await there(host, [
          'timeout -s KILL 60 agentfw run --tag s --net off -- sh -c "ls -A m; touch m/x 2>/dev/null || echo closed; echo new > beside/new" || exit 1',
          'agentfw status s | grep " $PWD/m "', 'agentfw diff s --name-only',
          'agentfw commit s --yes >&2 || exit 2', 'cat beside/new', 'agentfw run --in s --net off -- cat beside/new',
        ].join('\n').replace('timeout -s KILL 60 agentfw', `timeout -s KILL 60 ${area.argv([]).map(quote).join(' ')}`));

        expect(outcome.status, outcome.stderr).toBe(0);
        const theirs = owner !== identity.uid;
        expect(outcome.stdout).toMatch(new RegExp(`^closed\\n {2}hide +\\S+/m +its fuse ${theirs ? 'serves another user alone' : 'does not answer you'}: shown empty\\n`));
        expect(outcome.stderr.includes(`agentfw: ${area.project}/m does not answer: it is empty in the sandbox\n`)).toBe(!theirs);
        expect(outcome.stdout.split('\n').slice(-4)).toEqual([join(area.project, 'beside/new'), 'new', 'new', '']);
      });
    }

    needs('root', 'loop', 'btrfs').test('E25 what the agent wrote in a read-only snapshot stays a change, and the rest lands', async () => {
      const host = [
        'truncate -s 160M "$1/b"; mkfs.btrfs -q -f "$1/b" > /dev/null; mkdir m; mount -o loop "$1/b" m; btrfs -q subvolume create m/sub > /dev/null; echo old > m/sub/file; cp m/sub/file m/sub/mode; ln m/sub/file m/sub/name',
        `chown -hR ${identity.uid}:${identity.gid} m; btrfs property set m/sub ro true`,
      ].join('\n');
      const outcome = await there(host, [
        'agentfw run --tag ro --net off -- sh -euc "echo more >> m/sub/file; echo n > m/sub/new; chmod 700 m/sub/mode; echo n > m/new; echo n > new" || exit 1',
        'agentfw commit ro --yes >&2; echo $?; cat new m/new m/sub/file; agentfw diff ro --conflicts --name-only | wc -l; agentfw undo >&2; echo $?',
      ].join('\n'));

      expect([outcome.stdout, outcome.stderr.match(/^not landed .*$/gm)?.length], outcome.stderr).toEqual(['1\nn\nn\nold\n3\n0\n', 3]);
    });

    needs('root', 'loop', 'btrfs', 'python').test('RD05 a snapshot of a shared subvolume, which would show what is hidden in it, can’t be made', async () => {
      const host = [
        'truncate -s 160M "$1/b"; mkfs.btrfs -q -f "$1/b" > /dev/null; mkdir "$1/m"; mount -o loop "$1/b" "$1/m"; chmod 755 "$1" "$1/m"',
        `btrfs -q subvolume create "$1/m/data" > /dev/null; echo TOPSECRET > "$1/m/data/.env"; echo shown > "$1/m/data/readme"; mkdir "$1/m/state"; chown -hR ${identity.uid}:${identity.gid} "$1/m"; ln -s "$1/m" m`,
      ].join('\n');
      const snapshot = 'import fcntl, os, struct\nfrom_, to = os.open("m/data", 0), os.open("/tmp", 0)\nfor nr, body in ((0x50009401, struct.pack("q", from_) + b"one"), (0x50009417, struct.pack("qQQ4Q", from_, *[0] * 6) + b"two")):\n  try: fcntl.ioctl(to, nr, bytearray(body.ljust(4096, b"\\0"))); print("made")\n  except PermissionError: print("refused")';
      writeFileSync(join(area.project, 'snapshot.py'), snapshot);
      const outcome = await there(host, 'export AGENTFW_STATE_DIR="$(realpath m/state)"; agentfw run --rm --net off --share "$(realpath m/data)" --hide "$(realpath m/data/.env)" -- sh -c "cat m/data/readme; python3 snapshot.py; cat /tmp/*/.env m/data/.env"');

      expect(outcome.stdout, outcome.stderr).toBe('shown\nrefused\nrefused\n');
    });

    needs('root', 'loop', 'xfs').test('a directory that gives its project on (quotas), and lets no file of another one in, takes copies', async () => {
      const host = [
        'truncate -s 320M "$1/x"; mkfs.xfs -q -f "$1/x"; mkdir "$1/m"; mount -o loop "$1/x" "$1/m"; chmod 755 "$1" "$1/m"',
        'mkdir -p "$1/m/state" "$1/m/work/dir"; cd "$1/m/work"; for name in changed removed closed dir/in; do echo old > $name; done; cd - > /dev/null',
        `chattr -R -p 77 "$1/m/work"; chattr -R +P "$1/m/work"; chown -hR ${identity.uid}:${identity.gid} "$1/m"; ln -s "$1/m" m`,
      ].join('\n');
      const agent = 'echo new > changed; rm removed; chmod 600 closed; rm -r dir; mkdir dir; echo new > dir/other; mkdir fresh; echo new > fresh/file; ln -s changed link; mv closed moved';
      const state = 'find . ! -type d | sort | while read name; do echo "$name $(readlink "$name" || cat "$name")"; done; echo --';
      const outcome = await there(host, [
        'cd -P m/work; export AGENTFW_STATE_DIR="$(realpath ../state)"', state,
        `agentfw run --tag p --net off -- sh -euc ${quote(agent)} || exit 1`, 'agentfw commit p --yes >&2 || exit 2', state, 'agentfw undo --json > ../undone || exit 3', state,
        'agentfw undo "$(sed "s/.*.commit.:.\\([a-z0-9]*\\).*/\\1/" ../undone)" >&2 || exit 4', state, 'agentfw diff p --name-only',
      ].join('\n'));

      const [before, landed, back, again, left] = outcome.stdout.split('--\n');
      expect(outcome.status, outcome.stderr).toBe(0);
      expect(landed).toBe('./changed new\n./dir/other new\n./fresh/file new\n./link changed\n./moved old\n');
      expect([back, again, left]).toEqual([before, landed, '']);
    });

    needs('root').test('E5 the kernel’s log gets no warning of the layers', async () => {
      const [from, to] = ['from', 'to'].map((word) => `agentfw-test ${word} ${area.dir}`);
      const outcome = await there(`${layOut}\necho ${quote(from ?? '')} > /dev/kmsg`, 'agentfw run --rm --net off -- sh -c "for d in m/*; do echo new > \\$d/new; done"');
      expect(outcome.status, outcome.stderr).toBe(0);
      writeFileSync('/dev/kmsg', `${to ?? ''}\n`);

      const log = spawnSync('dmesg', ['--notime'], { encoding: 'utf8', maxBuffer: 1 << 26 }).stdout;
      const lines = log.slice(log.lastIndexOf(from ?? '')).split('\n');
      expect(lines.length).toBeGreaterThan(1);
      // Layers are mounted by descriptor; the other lines are of other tests.
      expect(lines.filter((line) => line.startsWith('overlayfs:') && line.includes('/proc/self/fd/'))).toEqual([]);
    });

    needs('root').test('E23 a root that is an overlay itself takes a layer, with the store on a volume', async () => {
      const root = [
        'mount -t tmpfs none "$1"; mkdir "$1/u" "$1/w" "$1/m"',
        'mount -t overlay none -o "lowerdir=/,upperdir=$1/u,workdir=$1/w" "$1/m"',
        'for dir in proc sys dev; do mount --rbind /$dir "$1/m/$dir"; done',
        `mkdir "$1/m/agentfw-volume" "$1/m/agentfw-old"; mount -t tmpfs -o mode=700,uid=${identity.uid} none "$1/m/agentfw-volume"`,
        'cd "$1/m"; pivot_root . agentfw-old; umount -l /agentfw-old',
      ].join('\n');
      const outcome = await there(root, [
        'agentfw run --net off -- true; echo $?', 'export AGENTFW_STATE_DIR=/agentfw-volume/store', 'echo old > file',
        'agentfw run --tag o --net off -- sh -c "echo new > file; echo new > new"; echo $?; cat file',
        'agentfw commit o --yes >&2; cat file new; agentfw undo >&2; cat file; ls',
      ].join('\n'));

      expect(outcome.stdout).toBe('125\n0\nold\nnew\nnew\nold\nfile\n');
      expect(outcome.stderr).toContain('AGENTFW_STATE_DIR');
    });

    needs('root').test('E10 no device for FUSE or loops is needed', async () => {
      const bare = 'mount -t tmpfs none "$1"; for node in null zero full random urandom tty ptmx; do cp -a /dev/$node "$1"; done; mkdir "$1/pts"; mount --move "$1" /dev; mount --rbind /dev/pts /dev/pts 2>/dev/null || true';
      const outcome = await there(bare, 'agentfw run --tag f --net off -- sh -c "echo new > new; ls /dev/fuse"; echo $?; agentfw diff f --name-only');
      expect(outcome.stdout).toBe(`2\n${join(area.project, 'new')}\n`);
    });

    needs('root').test('E7 where namespaces are refused, as in a container, the start says so and doctor names the mend', async () => {
      // The kernel refuses user namespaces below a changed root, with the error that a container's filter gives.
      const refused = await there('mount --rbind / "$1"', 'agentfw run --net off -- true; echo $?; agentfw doctor', 'chroot "$1" ');
      expect(refused.stdout).toMatch(/^125\n/);
      expect(refused.stderr).toMatch(/^Error: Can't create (?:a|the inner) user namespace: Operation not permitted\.\nHint: .*agentfw doctor/);
      expect(refused.stdout).toMatch(/^FAIL {2}userns/m);
      expect(refused.stderr).toContain('Sandboxes can’t run here');
    });

    if (identity.uid === 0) needs('root', 'setpriv').test('E7 root without CAP_SETFCAP can’t map itself: start and doctor say so, and doctor ends', async () => {
      const refused = await there('', 'agentfw run --net off -- true; echo $?; agentfw doctor', 'setpriv --bounding-set=-all --inh-caps=-all ');

      expect(refused.stderr).toMatch(/^Error: Can't write uid_map of the user namespace: Operation not permitted\.\nHint: Root needs CAP_SETFCAP/);
      expect(refused.stdout).toMatch(/^125\nFAIL {2}userns .*\n +Give root CAP_SETFCAP back/);
      expect(refused.stdout).toMatch(/^mode {4}user$/m);
    });

    needs('root').test('E7 where one kind of namespace is switched off, the start names the setting of that kind', async () => {
      const start = area.argv(['run', '--rm', '--net', 'off', '--', 'true']).map(quote).join(' ');
      const outcome = await there('', `for k in mnt pid user; do unshare --user --map-root-user sh -c 'echo 0 > /proc/sys/user/max_'$k'_namespaces; exec "$@"' sh ${start}; done`);

      expect(outcome.stderr.match(/set user\.\S+/g), outcome.stderr).toEqual(['mnt', 'pid', 'user'].map((kind) => `set user.max_${kind}_namespaces=10000`));
    });

    needs('root').test('doctor tries a fresh /proc as a run would: where parts of it are covered, only root with its rights gets one', async () => {
      const words = await there('mount --bind /dev/null /proc/timer_list', 'agentfw run --net off -- true; echo $?; agentfw doctor');
      const [status, ...findings] = words.stdout.split('\n');
      const verdict = /^(\S+) +pidns-proc .*$/m.exec(findings.join('\n'));
      expect([status, verdict?.[1]]).toEqual(identity.uid === 0 ? ['0', 'ok'] : ['125', 'FAIL']);
      if (identity.uid !== 0) expect(verdict?.[0]).toContain('(Operation not permitted)');
    });
  });
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
