import { describe, expect, test } from 'vitest';
import { isWithin, type Bytes } from '../../src/bytes.js';
import type { Hidden, ViewOptions, ViewPlan } from '../../src/view/plan.js';
import { CASES } from './cases.js';
import { BASIC, decisions, hides, KERNEL_MOUNTS, passed, plan } from './fake-host.js';

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
