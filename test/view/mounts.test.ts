import { describe, expect, test } from 'vitest';
import { isWithin, type Bytes } from '../../src/bytes.js';
import type { Layer } from '../../src/sandbox/sandbox.js';
import type { Hidden, ViewOptions, ViewPlan } from '../../src/view/plan.js';
import { CASES } from './cases.js';
import { BASIC, decisions, KERNEL_MOUNTS, plan } from './fake-host.js';

const ROOT = '27 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw';

describe('every mount of a host has its decision', () => {
  test.each(CASES)('$name', (entry) => {
    const found = plan(entry);

    expect(decisions(found)).toEqual(entry.expected);
    expect(found.mounts.every(({ why }) => why !== '')).toBe(true);
  });
});

describe('what holds for every plan', () => {
  test.each(CASES)('layers, writable binds and mount points: $name', (entry) => {
    const found = plan(entry);
    const stateDir = entry.options?.stateDir ?? '/home/u/.local/state/agentfw';

    for (const layer of found.layers) {
      for (const other of found.layers) {
        if (other !== layer) expect(isWithin(other.dir, layer.dir)).toBe(false);
        if (other === layer || !isWithin(other.base, layer.base)) continue;
        expect(layer.covered.some((point) => isWithin(other.base, joined(layer.base, point)))).toBe(true);
      }
    }
    for (const step of found.ops) {
      if (step.op === 'bind' && step.write) expect(isWithin(step.src, stateDir as Bytes)).toBe(true);
    }
    expect(new Set(found.layers.map(({ id }) => id)).size).toBe(found.layers.length);
    expect(unreachable(found)).toEqual([]);
  });

  test.each(CASES)('the store is covered last: $name', (entry) => {
    const found = plan(entry);
    const stateDir = entry.options?.stateDir ?? '/home/u/.local/state/agentfw';
    const at = found.ops.findIndex((step) => step.op === 'tmpfs' && step.dst === stateDir);

    expect(at).toBeGreaterThan(0);
    expect(found.ops.slice(at + 1).filter((step) => 'dst' in step && isWithin(step.dst, stateDir as Bytes))).toEqual([]);
  });
});

function joined(base: Bytes, point: Bytes): Bytes {
  return `${base === '/' ? '' : base}/${point}` as Bytes;
}

/** Steps whose destination no earlier step (or the host) provides. */
function unreachable({ ops }: ViewPlan): readonly string[] {
  const made = new Set<string>(['/']);
  const shown: string[] = [];
  const failed: string[] = [];
  for (const step of ops) {
    const parent = step.dst.slice(0, step.dst.lastIndexOf('/')) || '/';
    const below = shown.some((path) => isWithin(step.dst, path as Bytes));
    const reachable = made.has(step.dst) || made.has(parent) || below;
    if (!reachable) failed.push(`${step.op} ${step.dst}`);
    made.add(step.dst);
    if (step.op === 'bind' || step.op === 'overlay' || step.op === 'dev' || step.op === 'proc') shown.push(step.dst);
  }
  return failed;
}

describe('a plain user', () => {
  const base = { mountinfo: ROOT + KERNEL_MOUNTS, host: BASIC };

  test('top-level symlinks are kept, and directories that are made have the modes of the host (E15)', () => {
    const { ops } = plan(base);

    expect(ops).toContainEqual({ op: 'symlink', target: 'usr/bin', dst: '/bin' });
    expect(ops).toContainEqual({ op: 'symlink', target: 'usr/lib', dst: '/lib' });
  });

  test('an upper root loses its write bits where the user can not write the base', () => {
    const { layers } = plan({ ...base, host: `${BASIC}/opt/closed/  711` });

    expect(layers.map(({ base: path, mode }) => [path, mode.toString(8)])).toEqual([['/home/u', '755'], ['/opt', '555']]);
  });

  test('a system tree is bound, its writable corner has a layer', () => {
    const { layers, ops } = plan({ ...base, host: `${BASIC}/usr/local/lib/  2775  me` });

    expect(layers.map(({ base: path }) => path)).toEqual(['/home/u', '/usr/local/lib']);
    expect(ops).toContainEqual({ op: 'bind', src: '/usr', dst: '/usr', write: false });
  });

  test('what holds a socket that the user may write is never bound: a bind would open it', () => {
    const { layers } = plan({ ...base, host: `${BASIC}/opt/app/control.sock  666` });

    expect(layers.map(({ base: path }) => path)).toContain('/opt/app');
  });

  test('the working directory, the home and the program show below a private directory', () => {
    const { ops, privateDirs } = plan({
      ...base,
      host: `${BASIC}
/tmp/p/proj/  755  me
/tmp/bin/agent  755  me
/tmp/agent2  755  me`,
      options: { cwd: '/tmp/p/proj' as Bytes, trees: ['/tmp/p/proj'] as Bytes[], programs: ['/tmp/bin/agent', '/tmp/agent2'] as Bytes[] },
    });

    expect(ops.find((step) => step.op === 'overlay' && step.dst === '/tmp/p/proj')).toBeDefined();
    expect(ops).toContainEqual({ op: 'bind', src: '/tmp/bin', dst: '/tmp/bin', write: false });
    expect(ops).toContainEqual({ op: 'bind', src: '/tmp/agent2', dst: '/tmp/agent2', write: false });
    expect(privateDirs.find(({ dst }) => dst === '/tmp')?.inside.map(({ path, kind }) => `${path} ${kind}`)).toEqual([
      'p dir', 'p/proj dir', 'bin dir', 'agent2 file',
    ]);
  });

  test('a private directory is a filesystem of its own: a bind would tell its place in the store', () => {
    const { ops, layers } = plan({ ...base, host: BASIC });

    expect(ops.find((step) => step.op === 'overlay' && step.dst === '/tmp')).toMatchObject({
      upper: expect.stringMatching(/\/private\/tmp$/), lowers: [expect.stringMatching(/\/private-work\/empty$/)],
    });
    expect(layers.map(({ base: path }) => path)).not.toContain('/tmp');
  });

  test('what is passed through has no layer beneath it, the working directory neither', () => {
    const { ops, layers } = plan({
      ...base,
      host: `${BASIC}
/tmp/p/proj/  755  me`,
      options: { cwd: '/tmp/p/proj' as Bytes, trees: ['/tmp/p/proj'] as Bytes[], passthrough: passed('/tmp/p') },
    });

    expect(ops).toContainEqual({ op: 'bind', src: '/tmp/p', dst: '/tmp/p', write: true });
    expect(layers.filter(({ base: path }) => path.startsWith('/tmp/'))).toEqual([]);
  });

  test.each(['user', 'root'] as const)('a mount that is passed through has no layer beneath it, nor have mounts in it (%s mode)', (mode) => {
    const mountinfo = `${base.mountinfo}
90 27 254:9 / /data rw - ext4 /dev/vdb rw
91 90 254:10 / /data/sub rw - ext4 /dev/vdc rw` as Bytes;
    const host = `${BASIC}
/data/  777
/data/mine/  755  me
/data/sub/  755  me`;
    const options = { mode, passthrough: passed('/data') };

    const found = plan({ ...base, mountinfo, host, options });
    const earlier = plan({ ...base, mountinfo, host, options: { mode } }).layers;
    const again = plan({ ...base, mountinfo, host, options: { ...options, previous: earlier } });

    for (const { ops } of [found, again]) {
      expect(ops.filter((step) => step.op === 'overlay' && isWithin(step.dst, '/data' as Bytes))).toEqual([]);
      expect(ops).toContainEqual({ op: 'bind', src: '/data', dst: '/data', write: true });
    }
    expect(found.mounts.filter(({ path }) => path.startsWith('/data')).map(({ decision }) => decision)).toEqual(['passthrough', 'passthrough']);
    expect(again.layers.map(({ dir }) => dir)).toEqual(expect.arrayContaining(earlier.map(({ dir }) => dir)));
  });

  test.each(['user', 'root'] as const)('a mount can be made read-only, but for one that the project lies on (%s mode)', (mode) => {
    const mountinfo = `${base.mountinfo}
90 27 254:9 / /data rw - ext4 /dev/vdb rw` as Bytes;
    const host = `${BASIC}
/data/  755  me
/data/work/  755  me`;
    const readonly = [{ path: '/data', rule: 'files.readonly:/data' }] as unknown as ViewOptions['readonly'];

    expect(plan({ ...base, mountinfo, host, options: { mode, readonly } }).ops).toContainEqual({ op: 'bind', src: '/data', dst: '/data', write: false });
    expect(() => plan({ ...base, mountinfo, host, options: { mode, readonly, cwd: '/data/work' as Bytes, trees: ['/data/work'] as Bytes[] } }))
      .toThrow("Can't make /data read-only: the sandbox has /data of its own");
  });

  test('the real resolv.conf is bound where the link in /etc points', () => {
    const { ops } = plan({
      ...base,
      host: `${BASIC}
/etc/resolv.conf -> ../run/systemd/resolve/stub-resolv.conf
/run/systemd/resolve/stub-resolv.conf
/run/systemd/resolve/io.systemd.Resolve  666`,
    });
    const path = '/run/systemd/resolve/stub-resolv.conf';

    expect(ops).toContainEqual({ op: 'dir', dst: '/run/systemd/resolve', mode: 0o755 });
    expect(ops.filter((step) => step.op === 'bind' && step.dst === path)).toEqual([{ op: 'bind', src: path, dst: path, write: false }]);
    expect(ops.some((step) => step.dst.endsWith('io.systemd.Resolve'))).toBe(false);
  });

  test('a project whose owner has no id inside, or that lies below such directories, is the root of a layer', () => {
    const { layers } = plan({
      ...base,
      host: `${BASIC}/home/shared/team/  2777  other`,
      options: { cwd: '/home/shared/team' as Bytes, trees: ['/home/shared/team'] as Bytes[] },
    });

    expect(layers.map(({ base: path }) => path)).toContain('/home/shared/team');
  });

  test('the layer of a project on another filesystem lies there, if the user can write its root', () => {
    const { layers, ops } = plan({
      ...base,
      mountinfo: `${base.mountinfo}\n40 27 254:2 / /data rw,relatime - xfs /dev/vdb rw`,
      host: `${BASIC}
/data/  755  me
/data/project/  755  me`,
      options: { cwd: '/data/project' as Bytes, trees: ['/data/project'] as Bytes[] },
    });

    expect(layers.find(({ base: path }) => path === '/data')?.dir).toBe('/data/.agentfw-1000/t.abc/0');
    expect(ops).toContainEqual({ op: 'tmpfs', dst: '/data/.agentfw-1000', mode: 0o555, size: 4096, flags: ['ro'] });
  });

  test('a filesystem that can hold no upper keeps no layer of its own', () => {
    const { layers } = plan({
      mountinfo: `${ROOT}${KERNEL_MOUNTS}40 27 0:80 / /data rw,relatime shared:1 - nfs4 server:/x rw`,
      host: `${BASIC}/data/  755  me\n/data/p/  755  me`, options: { cwd: '/data/p' as Bytes, trees: ['/data/p', '/home/u'] as Bytes[] },
    });

    expect(layers.find(({ base }) => isWithin('/data/p' as Bytes, base) && base !== '/')?.dir).toMatch(/^\/home\/u\/\.local\/state\/agentfw\//);
  });

  test('a socket in something that is covered is refused: it would lie over the cover', () => {
    const base = { mountinfo: ROOT + KERNEL_MOUNTS, host: `${BASIC}/opt/keys/` };
    const options = { hide: [{ path: '/opt/keys', rule: 'mine' }] as Hidden[], sockets: [{ path: '/opt/keys/s', source: '/x', rule: 'sockets.allow:s' }] as unknown as ViewOptions['sockets'] };

    expect(() => plan({ ...base, options })).toThrow("Can't show the socket /opt/keys/s (sockets.allow:s): it lies in something that is hidden.");
    expect(() => plan({ ...base, options: { ...options, hide: [] } })).not.toThrow();
  });

  test('an earlier layer is laid again in its place, and a host whose mounts changed is refused', () => {
    const first = plan(base);
    const previous = first.layers;

    expect(plan({ ...base, options: { previous } }).layers.map(({ id, dir }) => [id, dir])).toEqual(previous.map(({ id, dir }) => [id, dir]));
    const changed = `${base.mountinfo}\n40 27 254:2 / /home/u/disk rw,relatime - ext4 /dev/vdb rw`;
    expect(() => plan({ ...base, mountinfo: changed, host: `${BASIC}/home/u/disk/  755  me`, options: { previous } })).toThrow(/can't be mounted again/);
  });
});

describe('the store', () => {
  test.each([['user', 1000], ['root', 0]] as const)('is covered where it is a mount of its own, and where it shows again (%s)', (mode, uid) => {
    const found = plan({
      mountinfo: `${ROOT}${KERNEL_MOUNTS}
40 27 254:2 / /state rw,relatime - ext4 /dev/vdb rw
41 27 254:2 / /again rw,relatime - ext4 /dev/vdb rw`,
      host: `${BASIC}
/state/  700  me
/again/  700  me`,
      options: { mode, uid, stateDir: '/state' as Bytes },
    });

    expect(decisions(found).slice(-2)).toEqual(['/state hide', '/again hide']);
    expect(found.layers.some(({ base }) => base === '/state' || base === '/again')).toBe(false);
  });
});

test('nothing below an automount point is looked at, and the point itself is never listed (E9)', () => {
  const entry = CASES.find(({ name }) => name.startsWith('automounts'))!;
  const asked: string[] = [];
  plan({ ...entry, spy: (question, path) => asked.push(`${question} ${path}`) });

  for (const point of ['/data/direct', '/boot/efi']) {
    expect(asked.filter((line) => line.includes(` ${point}/`) || line === `list ${point}` || line === `realpath ${point}`)).toEqual([]);
  }
});

describe('a later run in the same sandbox', () => {
  const base = { mountinfo: ROOT + KERNEL_MOUNTS, host: `${BASIC}
/tmp/p/  755  me
/opt/a/b/  755  me
/opt/closed/  711` };
  const paths = (found: ViewPlan): readonly string[] => found.layers.map(({ id, base: path }) => `${String(id)} ${path}`).sort();

  test('from another directory lays all earlier layers too', () => {
    const first = plan({ ...base, options: { cwd: '/tmp/p' as Bytes, trees: ['/tmp/p', '/home/u'] as Bytes[] } });
    const second = plan({ ...base, options: { previous: first.layers } });

    expect(paths(first)).toEqual(['0 /home/u', '1 /opt', '2 /opt/a/b', '3 /tmp/p']);
    expect(paths(second)).toEqual(paths(first));
    expect(unreachable(second)).toEqual([]);
  });

  test('keeps a layer over the whole where the host would now need only a part, and the reverse', () => {
    const less = { ...base, host: `${BASIC}/opt/a/b/  755  me` };
    const wide = plan(base).layers;
    const narrow = plan(less).layers;

    expect(narrow.map(({ base: path }) => path)).toEqual(['/home/u', '/opt/a/b']);
    expect(paths(plan({ ...less, options: { previous: wide } }))).toEqual(['0 /home/u', '1 /opt', '2 /opt/a/b']);
    expect(paths(plan({ ...base, options: { previous: narrow } }))).toEqual(['0 /home/u', '1 /opt/a/b', '2 /opt']);
  });

  test('is refused when a base is gone', () => {
    const first = plan({ ...base, options: { cwd: '/tmp/p' as Bytes, trees: ['/tmp/p', '/home/u'] as Bytes[] } });

    expect(() => plan({ ...base, host: base.host.replace('/tmp/p/  755  me', ''), options: { previous: first.layers } })).toThrow(/can't be mounted again/);
  });
});

describe('what a plan refuses', () => {
  const base = { mountinfo: ROOT + KERNEL_MOUNTS, host: BASIC };

  test.each([
    ['a store on an overlay filesystem (E14)', { mountinfo: base.mountinfo.replace('ext4', 'overlay') }, /can't hold layers/],
    ['a run inside the store', { options: { cwd: '/home/u/.local/state/agentfw' as Bytes } }, /inside the store/],
    ['a passthrough of a file', { options: { passthrough: passed('/etc/passwd') } }, /not a directory/],
    ['a passthrough around the store', { options: { passthrough: passed('/home/u') } }, /the store lies in it/],
    ['a hide of the working directory', { options: { hide: hides('/home/u') } }, /working directory lies in it/],
  ])('%s', (_name, change, message) => {
    expect(() => plan({ ...base, ...change })).toThrow(message);
  });

  test.each(['/proc/self/fd/0', '/dev/stdin', '/dev/fd/63', '/proc/12/fd/3'])('a share of %s, with what to name', (path) => {
    expect(() => plan({ ...base, options: { share: [path as Bytes] } })).toThrow(`Can't share ${path}: it is another descriptor to each program that looks.`);
  });
});

const passed = (...paths: readonly string[]): ViewOptions['passthrough'] => paths.map((path) => ({ path: path as Bytes, why: 'you let writes through to the host' }));
const hides = (...paths: readonly string[]): Hidden[] => paths.map((path) => ({ path: path as Bytes, rule: 'a.rule' }));

describe('hides', () => {
  test('snapshots of filesystems that have them in their directories, where what is hidden shows as it was', () => {
    const { paths, mounts } = plan({
      mountinfo: `${ROOT}${KERNEL_MOUNTS}
40 27 0:50 / /home rw,relatime shared:40 - ceph 10.0.0.1:/ rw
41 27 0:51 / /tank rw,relatime shared:41 - zfs tank rw
42 27 0:52 / /mnt/filer rw,relatime shared:42 - nfs4 filer:/ rw`,
      host: `${BASIC}
/home/.snap/
/home/u/.snap/
/home/u/work/.snap/
/home/u/plain/.snap/
/home/u/work/.env
/tank/.zfs/
/tank/u/.zfs/
/mnt/filer/.snapshot/
/srv/.snap/`,
      options: { hide: hides('/home/u/work/.env'), stateDir: '/var/state' as Bytes },
    });
    const shown = [...mounts, ...paths].filter(({ decision, why }) => decision === 'hide' && why.startsWith('snapshots of')).map(({ path }) => path).sort();
    expect(shown).toEqual(['/home/.snap', '/home/u/.snap', '/home/u/work/.snap', '/mnt/filer/.snapshot', '/tank/.zfs']);
  });
  test('hold through every bind alias of the same directory (RD05)', () => {
    const { ops, paths } = plan({
      mountinfo: `${ROOT}${KERNEL_MOUNTS}
40 27 254:1 /home/u /mnt/alias rw,relatime - ext4 /dev/vda1 rw
41 27 254:1 /home/u/.ssh /mnt/keys rw,relatime - ext4 /dev/vda1 rw
42 27 254:1 /home/u/.ssh/old /mnt/part rw,relatime - ext4 /dev/vda1 rw
43 27 254:1 /home/u /mnt/covered rw,relatime - ext4 /dev/vda1 rw
44 43 0:60 / /mnt/covered/.ssh rw,relatime - tmpfs tmpfs rw`,
      host: `${BASIC}
/home/u/.ssh/  700  me
/home/u/.ssh/old/  700  me
/mnt/part/  700  me
/mnt/covered/  755  me
/mnt/covered/.ssh/  755  me
/mnt/covered/.local/state/agentfw/  700  me
/mnt/alias/  755  me
/mnt/alias/.ssh/  700  me
/mnt/alias/.local/state/agentfw/  700  me
/mnt/keys/  700  me`,
      options: { hide: hides('/home/u/.ssh') },
    });

    expect(shimsOf(ops)).toEqual([['/home/u', ['/home/u/.ssh']], ['/mnt/alias', ['/mnt/alias/.ssh']]]);
    expect(ops.filter(({ op }) => op === 'hide').map(({ dst }) => dst)).toEqual(['/mnt/keys', '/mnt/part']);
    expect(ops.some((step) => step.op === 'tmpfs' && step.dst === '/mnt/alias/.local/state/agentfw')).toBe(true);
    expect(paths.filter(({ why }) => why === 'a.rule').map(({ path }) => path)).toEqual(['/home/u/.ssh', '/mnt/alias/.ssh']);
  });

  test.each<[string, string, string, string[][], string[]]>([
    ['are absent in a layer', '/home/u/a/  700  me\n/home/u/a/key  600  me', '/home/u/a/key', [['/home/u', '/home/u/a/key']], []],
    ['are absent before they exist', '/home/u/a/  700  me', '/home/u/a/key', [['/home/u', '/home/u/a/key']], []],
    ['cover what lies below a directory of others', '/home/u/a/  755  other\n/home/u/a/key  644  other', '/home/u/a/key', [], ['/home/u/a/key']],
    ['cover what is read-only', '/etc/key  644', '/etc/key', [], ['/etc/key']],
    ['do nothing where neither a layer nor the file is', '', '/etc/key', [], []],
    ['do nothing in a directory of the sandbox', '/tmp/key  644', '/tmp/key', [], []],
    ['take a link and not what it leads to', '/home/u/.env -> env\n/home/u/env  600  me', '/home/u/.env', [['/home/u', '/home/u/.env']], []],
    ['find the place of a path with links on the way', '/home/u/l -> a\n/home/u/a/  700  me\n/home/u/a/key  600  me', '/home/u/l/key', [['/home/u', '/home/u/a/key']], []],
  ])('%s', (_name, host, path, shims, covers) => {
    const { ops, layers } = plan({ mountinfo: ROOT + KERNEL_MOUNTS, host: `${BASIC}\n${host}`, options: { hide: hides(path) } });

    expect(shimsOf(ops)).toEqual(shims.map(([base, ...paths]) => [base, paths]));
    expect(ops.filter(({ op }) => op === 'hide').map(({ dst }) => dst)).toEqual(covers);
    for (const { base, dir, shim } of layers) {
      const overlay = ops.find((step) => step.op === 'overlay' && step.dst === base);
      expect(overlay?.op === 'overlay' && overlay.lowers[0] === `${dir}/shim`).toBe(shim);
    }
  });

  test('of what holds the store leave its place there, which has a cover of its own', () => {
    const { ops } = plan({ mountinfo: ROOT + KERNEL_MOUNTS, host: BASIC, options: { hide: hides('/home/u/.local') } });

    expect(shimsOf(ops)).toEqual([]);
    expect(ops.filter(({ dst }) => dst?.startsWith('/home/u/.local')).map(({ op, dst }) => [op, dst])).toEqual([['hide', '/home/u/.local']]);
  });

  test('are absent in what is handed in for reading, which has a layer then that nothing is written to', () => {
    const host = `${BASIC}\n/home/u/a/  700  me\n/home/u/a/key  600  me\n/home/u/b/  700  me`;
    const { ops, mounts, paths } = plan({ mountinfo: ROOT + KERNEL_MOUNTS, host, options: { hide: hides('/home/u/a/key'), share: ['/home/u/a', '/home/u/b'] as Bytes[] } });

    expect(shimsOf(ops)).toEqual([['/home/u/a', ['/home/u/a/key']]]);
    expect(ops.filter(({ dst }) => dst === '/home/u/a' || dst === '/home/u/b').map(({ op }) => op)).toEqual(['overlay', 'remount-ro', 'bind']);
    expect([...mounts, ...paths].find(({ path }) => path === '/home/u/a')?.decision).toBe('read-only');
  });

  test('keep what lies over a layer out of its changes; what was handed in alone is none of it', () => {
    const coveredOf = (hide: readonly Hidden[]): readonly string[] => plan({ mountinfo: ROOT + KERNEL_MOUNTS, host: `${BASIC}\n/home/u/a/  700  me`, options: { hide, share: ['/home/u/a'] as Bytes[] } }).layers.flatMap(({ base, covered }) => (base === '/home/u' ? covered : []));

    expect(coveredOf([])).not.toContain('a');
    expect(coveredOf(hides('/home/u/a'))).toContain('a');
  });

  test.each(['/proc', '/proc/1', '/sys/firmware', '/dev', '/dev/pts', '/run'])('RD14 nothing runs in %s, which would show what is the machine’s', (dir) => {
    for (const options of [{ cwd: dir as Bytes }, { trees: ['/home/u/work', dir] as Bytes[] }]) {
      expect(() => plan({ mountinfo: ROOT + KERNEL_MOUNTS, host: BASIC, options })).toThrow(/is the machine's/);
    }
    expect(() => plan({ mountinfo: ROOT + KERNEL_MOUNTS, host: `${BASIC}/dev/shm/p/  755  me`, options: { cwd: '/dev/shm/p' as Bytes, trees: ['/dev/shm/p'] as Bytes[] } })).not.toThrow();
  });

  test.each(['share', 'passthrough'] as const)('RD14 %s of /proc is refused', (grant) => {
    const options = grant === 'share' ? { share: ['/proc/1'] as Bytes[] } : { passthrough: [{ path: '/proc/1' as Bytes, why: '' }] };
    expect(() => plan({ mountinfo: ROOT + KERNEL_MOUNTS, host: `${BASIC}/proc/1/  755`, options })).toThrow(/shows the host's processes/);
  });

  test('a project of which only a directory is the user’s gets one layer there', () => {
    const { ops } = plan({ mountinfo: ROOT + KERNEL_MOUNTS, host: `${BASIC}/media/  755\n/media/mine/  755  me`, options: { cwd: '/media' as Bytes, trees: ['/media', '/home/u'] as Bytes[] } });

    expect(ops.filter(({ dst }) => isWithin(dst, '/media' as Bytes)).map(({ op, dst }) => `${op} ${dst}`)).toEqual(['bind /media', 'overlay /media/mine']);
  });

  test.each(['user', 'root'] as const)('RD14 RD16 what shows processes and devices of the host in the tree of a chroot is covered (%s mode)', (mode) => {
    const { ops, mounts } = plan({
      mountinfo: `${ROOT}${KERNEL_MOUNTS}40 27 0:21 / /srv/c/proc rw,relatime shared:1 - proc proc rw
41 27 0:6 / /srv/c/dev rw,nosuid shared:2 - devtmpfs udev rw
42 41 0:23 / /srv/c/dev/pts rw,nosuid shared:3 - devpts devpts rw
43 27 0:22 / /srv/c/sys rw shared:4 - sysfs sysfs rw
44 27 0:24 / /srv/c/tmp rw shared:5 - tmpfs tmpfs rw
45 27 0:25 / /srv/c/run rw shared:6 - tmpfs tmpfs rw
46 27 0:25 /systemd/resolve /srv/c/part rw shared:6 - tmpfs tmpfs rw`,
      host: `${BASIC}${['/proc', '/dev', '/dev/pts', '/sys', '/tmp', '/run', '/part'].map((dir) => `/srv/c${dir}/  755`).join('\n')}`,
      options: { mode, ...(mode === 'root' ? { uid: 0, home: '/root' as Bytes, trees: [] } : {}) },
    });

    expect(ops.filter(({ op }) => op === 'hide').map(({ dst }) => dst)).toEqual(['/srv/c/dev', '/srv/c/proc', '/srv/c/run', '/srv/c/sys']);
    expect(mounts.filter(({ path }) => path.startsWith('/srv/c/')).map(({ path, decision }) => `${path} ${decision}`)).toEqual([
      '/srv/c/proc hide', '/srv/c/dev hide', expect.stringMatching(/^\/srv\/c\/dev\/pts /), '/srv/c/sys hide', expect.stringMatching(/^\/srv\/c\/tmp (overlay|read-only)$/), '/srv/c/run hide',
      expect.stringMatching(/^\/srv\/c\/part (overlay|read-only)$/),
    ]);
    expect(() => plan({ mountinfo: `${ROOT}${KERNEL_MOUNTS}40 27 0:21 / /srv/c/proc rw,relatime shared:1 - proc proc rw`, host: `${BASIC}/srv/c/proc/  755`, options: { cwd: '/srv/c/proc' as Bytes } })).toThrow(/is the machine's/);
  });

  test.each(['user', 'root'] as const)('a layer over a mount without programs has none either (%s mode)', (mode) => {
    const { ops } = plan({
      mountinfo: `${ROOT}${KERNEL_MOUNTS}40 27 254:2 / /work rw,noexec,relatime shared:1 - ext4 /dev/vdb rw`,
      host: `${BASIC}/work/  755  me`,
      options: { cwd: '/work' as Bytes, mode, ...(mode === 'root' ? { uid: 0, home: '/root' as Bytes, trees: [] } : { trees: ['/work', '/home/u'] as Bytes[] }) },
    });

    const closed = ops.flatMap((one) => (one.op === 'overlay' && one.options.includes('noexec') ? [one.dst] : []));
    expect(closed).toEqual(['/work']);
    expect(ops.filter(({ op }) => op === 'overlay').length).toBeGreaterThan(1);
  });

  test('no layer lies where those of earlier runs are kept, beside a mount', () => {
    const { ops } = plan({
      mountinfo: `${ROOT}${KERNEL_MOUNTS}40 27 254:2 / /work rw,relatime shared:1 - ext4 /dev/vdb rw\n41 40 254:3 / /work/cloud rw,relatime shared:2 - ext4 /dev/vdc rw`,
      host: `${BASIC}/work/  755  me\n/work/p/  755  me\n/work/cloud/  755  me\n/work/.agentfw-1000/  700  me`,
      options: { cwd: '/work/p' as Bytes, trees: ['/work/p', '/home/u'] as Bytes[] },
    });

    expect(ops.filter(({ dst }) => isWithin(dst, '/work/.agentfw-1000' as Bytes)).map(({ op }) => op)).toEqual(['tmpfs']);
  });

  test('in a directory with mounts, what can’t be copied is bound', () => {
    const { ops, layers } = plan({
      mountinfo: `${ROOT}${KERNEL_MOUNTS}40 27 254:1 /srv/data /home/u/data rw,relatime shared:1 - ext4 /dev/vda1 rw`,
      host: `${BASIC}/home/u/data/  755  me\n/home/u/.profile  644  me\n/home/u/.viminfo  600\n/srv/data/  755  me`,
    });

    const { skeletonEntries } = layers.find(({ base }) => base === '/home/u')!;
    expect(skeletonEntries.filter(({ kind }) => kind !== 'dir').map(({ name, kind }) => `${name} ${kind}`)).toEqual(['.profile file', '.viminfo point']);
    expect(ops).toContainEqual(expect.objectContaining({ op: 'bind', dst: '/home/u/.viminfo', write: false }));
  });

  test('cover what an earlier run of the sandbox has a copy of', () => {
    const dir = '/home/u/.local/state/agentfw/sandboxes/t/layers/7';
    const previous: Layer = { id: 7, base: '/home/u' as Bytes, dir: dir as Bytes, family: 'user', covered: [], skeleton: false };
    const { ops } = plan({
      mountinfo: ROOT + KERNEL_MOUNTS,
      host: `${BASIC}\n/home/u/key  600  me\n${dir}/upper/key  600  me`,
      options: { hide: hides('/home/u/key'), previous: [previous] },
    });

    expect(ops).toContainEqual({ op: 'hide', dst: '/home/u/key' });
  });

  test('are not looked for in layers that no run has used yet', () => {
    const asked: string[] = [];
    plan({
      mountinfo: ROOT + KERNEL_MOUNTS,
      host: `${BASIC}\n/home/u/key  600  me\n/home/u/more/key  600  me`,
      options: { hide: hides('/home/u/key', '/home/u/more/key') },
      spy: (question, path) => asked.push(`${question} ${path}`),
    });

    expect(asked.filter((line) => line.includes('/upper/'))).toEqual([]);
  });

  test('of one below another need no step of their own', () => {
    const { ops } = plan({ mountinfo: ROOT + KERNEL_MOUNTS, host: `${BASIC}\n/home/u/a/key  600  me`, options: { hide: hides('/home/u/a', '/home/u/a/key') } });

    expect(shimsOf(ops)).toEqual([['/home/u', ['/home/u/a']]]);
  });
});

function shimsOf(ops: ViewPlan['ops']): [string, readonly string[]][] {
  return ops.flatMap((step): [string, readonly string[]][] => (step.op === 'shim' ? [[step.base, step.paths]] : []));
}
