/** What the planner refuses, covers or leaves alone, a look at a host each: every one of these once had no test that noticed its loss. */
import { describe, expect, test } from 'vitest';
import type { Bytes } from '../../src/bytes.js';
import { mountTable, parseMountinfo } from '../../src/view/mountinfo.js';
import type { ViewOptions, ViewPlan } from '../../src/view/plan.js';
import { BASIC, hides, KERNEL_MOUNTS, passed, plan } from './fake-host.js';

const ROOT = '27 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw';
const DATA = '40 27 254:2 / /data rw,relatime - xfs /dev/vdb rw';
const AS_ROOT: Partial<ViewOptions> = { mode: 'root', uid: 0, home: '/root' as Bytes, trees: [] };
const bytes = (...paths: readonly string[]): Bytes[] => paths as Bytes[];

function planOf(host: string, options: Partial<ViewOptions> = {}, mounts = ''): ViewPlan {
  return plan({ mountinfo: `${ROOT}${KERNEL_MOUNTS}${mounts}`, host: `${BASIC}\n${host}`, options });
}

function at({ ops }: ViewPlan, dst: string): readonly string[] {
  return ops.filter((step) => step.dst === dst).map(({ op }) => op);
}

function layerOver({ layers }: ViewPlan, base: string): string | undefined {
  return layers.find((layer) => layer.base === base)?.dir;
}

describe('what the sandbox has of its own', () => {
  test('a runtime directory that is / makes nothing private but what is', () => {
    const found = planOf('', { runtimeDir: '/' as Bytes });

    expect(at(found, '/')).toEqual([]);
    expect(layerOver(found, '/home/u')).toBeDefined();
  });

  test('a runtime directory elsewhere is private, and nobody else’s to enter', () => {
    expect(planOf('/home/u/rt/  700  me', { runtimeDir: '/home/u/rt' as Bytes }).ops).toContainEqual(expect.objectContaining({ op: 'tmpfs', dst: '/home/u/rt', mode: 0o700 }));
  });

  test('a project that is /tmp itself has a layer, and no private directory in its place', () => {
    const found = planOf('', { cwd: '/tmp' as Bytes, trees: bytes('/tmp', '/home/u') });

    expect(found.privateDirs.map(({ dst }) => dst)).toEqual(['/var/tmp']);
    expect(layerOver(found, '/tmp')).toBeDefined();
  });

  test('a resolv.conf that is a file of its own stays in the layer, to be written', () => {
    expect(at(planOf('/etc/resolv.conf', AS_ROOT), '/etc/resolv.conf')).toEqual([]);
  });
});

describe('layers beside what they lie over', () => {
  const inStore = /^\/home\/u\/\.local\/state\/agentfw\//;
  const project = (path: string): Partial<ViewOptions> => ({ cwd: path as Bytes, trees: bytes(path, '/home/u') });

  test('are not where the user can not write the root of the filesystem', () => {
    expect(layerOver(planOf('/data/  755\n/data/p/  755  me', project('/data/p'), DATA), '/data/p')).toMatch(inStore);
  });

  test('are not in a project that is that root', () => {
    expect(layerOver(planOf('/data/  755  me', project('/data'), DATA), '/data')).toMatch(inStore);
  });

  test('are told of mounts in them that are handed in', () => {
    const disk = '40 27 254:2 / /home/u/disk rw,relatime - ext4 /dev/vdb rw';
    const { layers } = planOf('/home/u/disk/  755  me', { share: bytes('/home/u/disk') }, disk);

    expect(layers.find(({ base }) => base === '/home/u')?.covered).toContain('disk');
  });
});

describe('sockets of the host', () => {
  test.each([['passed through', { passthrough: passed('/opt/app') }], ['handed in', { share: bytes('/opt/app') }]])('are covered in what is %s, but for those that are brokered', (_how, grant) => {
    const options = { ...grant, hostSockets: bytes('/opt/app/s', '/opt/app/open', '/opt/app/file') };
    const sockets = [{ path: '/opt/app/open', source: '/x', rule: 'sockets.allow:open' }] as unknown as ViewOptions['sockets'];
    const found = planOf('/opt/app/  755  me\n/opt/app/s=\n/opt/app/open=\n/opt/app/file', { ...options, sockets });

    expect(['s', 'open', 'file'].map((name) => at(found, `/opt/app/${name}`))).toEqual([['hide'], ['bind'], []]);
  });
});

describe('refused is', () => {
  test.each<[string, string, Partial<ViewOptions>, RegExp]>([
    ['a passthrough of /run', '', { passthrough: passed('/run') }, /the sandbox has \/run\/agentfw of its own/],
    ['a share of a place in the store', '/home/u/.local/state/agentfw/sandboxes/', { share: bytes('/home/u/.local/state/agentfw/sandboxes') }, /the store lies there/],
    ['a share of what holds the store', '', { share: bytes('/home/u') }, /the store lies there/],
    ['a share of a socket', '/opt/s=', { share: bytes('/opt/s') }, /neither a file nor a directory/],
    ['a share of /dev/shm that leads elsewhere', '/run/shm/\n/dev/shm -> /run/shm', { share: bytes('/dev/shm') }, /the sandbox has \/dev\/shm of its own/],
    ['`readonly` around the sandbox’s own', '', { readonly: [{ path: '/var' as Bytes, rule: 'r' }] }, /the sandbox has \/var\/tmp of its own \(r\)/],
    ['a share of a link to what is hidden', '/opt/x/  755\n/tmp/l -> /opt/x', { share: bytes('/tmp/l'), hide: hides('/opt/x') }, /what it leads to is hidden/],
  ])('%s', (_what, host, options, message) => {
    expect(() => planOf(host, options)).toThrow(message);
  });

  test('a store on a filesystem that can only be read', () => {
    const mountinfo = `${ROOT.replace('ext4 /dev/vda1 rw', 'ext4 /dev/vda1 ro')}${KERNEL_MOUNTS}`;

    expect(() => plan({ mountinfo, host: BASIC })).toThrow(/lies on a read-only filesystem/);
  });
});

test('a share of a link is shown where the link is, in a private directory', () => {
  expect(planOf('/opt/x\n/tmp/l -> /opt/x', { share: bytes('/tmp/l') }).ops).toContainEqual({ op: 'bind', src: '/opt/x', dst: '/tmp/l', write: false });
});

describe('hides', () => {
  test('cover what something lies in that is passed through: absent it would leave that in sight', () => {
    const found = planOf('/home/u/a/b/  755  me', { hide: hides('/home/u/a'), passthrough: passed('/home/u/a/b') });

    expect(at(found, '/home/u/a')).toEqual(['hide']);
    expect(found.ops.some(({ op }) => op === 'shim')).toBe(false);
  });

  test('cover a directory that its owner closed, and can open again', () => {
    expect(at(planOf('/etc/mine/  000  me', { hide: hides('/etc/mine') }), '/etc/mine')).toContain('hide');
  });

  test('as root cover what lies directly in the root, with its mode but for writing', () => {
    expect(planOf('/srv/  775', { ...AS_ROOT, hide: hides('/srv') }).ops).toContainEqual({ op: 'tmpfs', dst: '/srv', mode: 0o555, size: 4096, flags: ['ro'] });
  });

  test('as root cover what has a layer by the step that reaches all of it', () => {
    expect(at(planOf('/data/', { ...AS_ROOT, hide: hides('/data') }, DATA), '/data')).toEqual(['overlay', 'hide']);
  });
});

describe('mountinfo', () => {
  test('a filesystem that is read-only makes its mount so', () => {
    expect(parseMountinfo(`${ROOT}\n40 27 254:2 / /a rw,relatime - ext4 /dev/vdb ro,errors=x\n` as Bytes).map(({ readOnly }) => readOnly)).toEqual([false, true]);
  });

  test('what is mounted in a mount that a later one covers is out of sight', () => {
    const lines = [ROOT, '40 27 254:2 / /m rw - ext4 /dev/vdb rw', '41 40 254:3 / /m/in rw - ext4 /dev/vdc rw', '42 27 254:4 / /m rw - ext4 /dev/vdd rw'];

    expect([...mountTable(parseMountinfo(lines.join('\n') as Bytes)).at].map(([point, { id }]) => `${point} ${id}`)).toEqual(['/ 27', '/m 42']);
  });
});
