import type { Bytes } from '../../src/bytes.js';
import { fromText, joinBytes, nameOf, parentOf } from '../../src/bytes.js';
import type { Layer } from '../../src/sandbox/sandbox.js';
import { planView } from '../../src/view/mounts.js';
import type { Hidden, HostFacts, HostStat, ViewOptions, ViewPlan } from '../../src/view/plan.js';

/**
 * A host written down: one line per object, `PATH [-> TARGET] [MODE] [OWNER]`.
 * A path that ends in `/` is a directory, in `=` a socket. OWNER is `me`, `root` (the default)
 * or `other`; group alike. Parents are made as root's directories of mode 755.
 */
export function fakeHost(lines: string, uid = 1000): HostFacts {
  const nodes = new Map<Bytes, HostStat & { readonly target: Bytes | null }>();
  const ids = { me: uid, root: 0, other: 2000 };
  const add = (path: Bytes, stat: Partial<HostStat> & { readonly target?: Bytes }): void => {
    if (path !== '/' && !nodes.has(parentOf(path))) add(parentOf(path), { type: 'dir' });
    nodes.set(path, { type: 'file', mode: stat.type === 'dir' ? 0o755 : 0o644, uid: 0, gid: 0, size: 10, target: null, ...stat });
  };
  add('/' as Bytes, { type: 'dir' });
  for (const line of lines.split('\n').map((text) => text.trim()).filter((text) => text !== '')) {
    const [left = '', target] = line.split(' -> ');
    const words = (target === undefined ? left : left).split('  ');
    const [path = '', mode, owner] = words;
    const type = target !== undefined ? 'symlink' : path.endsWith('/') ? 'dir' : path.endsWith('=') ? 'other' : 'file';
    const id = ids[(owner ?? 'root') as keyof typeof ids];
    add(fromText(path.replace(/(.)[/=]$/, '$1')), {
      ...{ type, uid: id, gid: id },
      ...(mode === undefined ? {} : { mode: parseInt(mode, 8) }),
      ...(target === undefined ? {} : { target: fromText(target) }),
    });
  }
  return factsOf(nodes, uid);
}

function factsOf(nodes: ReadonlyMap<Bytes, HostStat & { readonly target: Bytes | null }>, uid: number): HostFacts {
  const may = (path: Bytes, bit: number): boolean => {
    const node = nodes.get(path);
    if (node === undefined) return false;
    if (uid === 0) return true;
    return ((node.uid === uid ? node.mode >> 6 : node.mode) & bit) !== 0;
  };
  const realpath = (path: Bytes): Bytes | null => {
    let here = '/' as Bytes;
    const left = path.split('/').filter((part) => part !== '') as Bytes[];
    for (let links = 0; left.length > 0; ) {
      const name = left.shift()!;
      if (name === '.') continue;
      const next = name === '..' ? parentOf(here) : joinBytes(here, name);
      const node = nodes.get(next);
      if (node === undefined) return null;
      if (node.target === null) here = next;
      else {
        if ((links += 1) > 20) return null;
        if (node.target.startsWith('/')) here = '/' as Bytes;
        left.unshift(...(node.target.split('/').filter((part) => part !== '') as Bytes[]));
      }
    }
    return here;
  };
  return {
    lstat: (path) => nodes.get(path) ?? null,
    list: (path) =>
      nodes.get(path)?.type === 'dir' && may(path, 4)
        ? [...nodes.keys()].filter((key) => key !== '/' && parentOf(key) === path).map(nameOf)
        : null,
    readlink: (path) => nodes.get(path)?.target ?? null,
    realpath,
    readable: (path) => may(path, 4),
    writable: (path) => may(path, 2),
    searchable: (path) => may(path, 1),
  };
}

/** What every Linux has at its root. */
export const BASIC = `
  /bin -> usr/bin
  /boot/
  /dev/shm/  1777
  /etc/passwd
  /etc/ssh/ssh_config
  /etc/ssh/ssh_config.d/
  /home/u/  755  me
  /home/u/work/  755  me
  /home/u/.local/state/agentfw/  700  me
  /lib -> usr/lib
  /opt/
  /proc/
  /root/  700
  /run/user/1000/  700  me
  /run/lock/  1777
  /srv/
  /sys/
  /tmp/  1777
  /usr/bin/
  /usr/lib/
  /usr/local/bin/
  /var/lib/
  /var/tmp/  1777
`;

export const KERNEL_MOUNTS = `
22 27 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw
23 27 0:22 / /sys rw,nosuid,nodev,noexec,relatime shared:2 - sysfs sysfs rw
24 27 0:6 / /dev rw,nosuid,relatime shared:8 - devtmpfs udev rw,size=8119044k,mode=755
25 24 0:23 / /dev/pts rw,nosuid,noexec,relatime shared:9 - devpts devpts rw,gid=5,mode=620,ptmxmode=000
26 24 0:24 / /dev/shm rw,nosuid,nodev shared:10 - tmpfs tmpfs rw
28 27 0:25 / /run rw,nosuid,nodev,noexec,relatime shared:11 - tmpfs tmpfs rw,size=1629660k,mode=755
29 28 0:26 / /run/lock rw,nosuid,nodev,noexec,relatime shared:13 - tmpfs tmpfs rw,size=5120k
30 23 0:27 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:14 - cgroup2 cgroup2 rw
31 22 0:28 / /proc/sys/fs/binfmt_misc rw,relatime shared:15 - autofs systemd-1 rw,fd=29,pgrp=1
32 28 0:29 / /run/user/1000 rw,nosuid,nodev,relatime shared:16 - tmpfs tmpfs rw,size=1629656k,mode=700,uid=1000,gid=1000
`;

export interface Case {
  readonly mountinfo: string;
  readonly host: string;
  readonly options?: Partial<ViewOptions>;
  /** sees every question that is asked of the host */
  readonly spy?: (question: string, path: Bytes) => void;
}

export function plan({ mountinfo, host, options = {}, spy }: Case): ViewPlan {
  const uid = options.uid ?? 1000;
  const home = options.home ?? ('/home/u' as Bytes);
  const stateDir = options.stateDir ?? ('/home/u/.local/state/agentfw' as Bytes);
  const full: ViewOptions = {
    ...{ mode: 'user', uid, gid: uid, cwd: '/home/u/work' as Bytes, home, trees: ['/home/u/work', home] as Bytes[] },
    ...{ programs: [], stateDir, sandboxDir: `${stateDir}/sandboxes/t` as Bytes, runtimeDir: `/run/user/${uid}` as Bytes },
    ...{ hide: [], readonly: [], passthrough: [], share: [], sockets: [], hostSockets: [], durable: false, previous: [] as Layer[] },
    foreignLayerDir: (root, id) => `${root === '/' ? '' : root}/.agentfw-${uid}/t.abc/${id}` as Bytes,
    ...options,
  };
  return planView(fromText(mountinfo), full, spied(fakeHost(host, uid), spy));
}

function spied(facts: HostFacts, spy: Case['spy']): HostFacts {
  if (spy === undefined) return facts;
  const seen = <T>(question: string, ask: (path: Bytes) => T) => (path: Bytes): T => {
    spy(question, path);
    return ask(path);
  };
  return {
    lstat: seen('lstat', facts.lstat),
    list: seen('list', facts.list),
    readlink: seen('readlink', facts.readlink),
    realpath: seen('realpath', facts.realpath),
    readable: seen('readable', facts.readable),
    writable: seen('writable', facts.writable),
    searchable: seen('searchable', facts.searchable),
  };
}

/** Paths that a rule hides. */
export const hides = (...paths: readonly string[]): Hidden[] => paths.map((path) => ({ path: path as Bytes, rule: 'a.rule' }));

/** Directories whose writes go to the host. */
export const passed = (...paths: readonly string[]): ViewOptions['passthrough'] => paths.map((path) => ({ path: path as Bytes, why: 'you let writes through to the host' }));

/** `PATH DECISION` for each mount. */
export function decisions({ mounts }: ViewPlan): readonly string[] {
  return mounts.map(({ path, decision }) => `${path} ${decision}`);
}
