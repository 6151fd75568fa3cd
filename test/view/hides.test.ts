/** What the policy hides, and what else is kept out of sight: absent where a layer can say so, else covered. */
import { describe, expect, test } from 'vitest';
import { isWithin, type Bytes } from '../../src/bytes.js';
import type { Layer } from '../../src/sandbox/sandbox.js';
import type { Hidden, ViewPlan } from '../../src/view/plan.js';
import { BASIC, hides, KERNEL_MOUNTS, plan } from './fake-host.js';

const ROOT = '27 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw';

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
