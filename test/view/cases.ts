import type { Bytes } from '../../src/bytes.js';
import { BASIC, KERNEL_MOUNTS, type Case } from './fake-host.js';

/** A host, and what must happen to every one of its mounts. */
export interface TableCase extends Case {
  readonly name: string;
  /** `PATH DECISION` per mount, in the order of mountinfo */
  readonly expected: readonly string[];
}

const KERNEL = [
  '/proc private', '/sys read-only', '/dev private', '/dev/pts skip', '/dev/shm skip', '/run private', '/run/lock skip',
  '/sys/fs/cgroup read-only', '/proc/sys/fs/binfmt_misc skip', '/run/user/1000 skip',
];
const AS_ROOT: Case['options'] = { mode: 'root', uid: 0, home: '/root' as Bytes, trees: ['/root'] as Bytes[], cwd: '/root' as Bytes, stateDir: '/root/.local/state/agentfw' as Bytes };
const ROOT = '27 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro';

const WSL = `70 60 8:32 / / rw,relatime - ext4 /dev/sdc rw,discard,errors=remount-ro,data=ordered
71 70 0:33 / /mnt/wsl rw,relatime shared:1 - tmpfs none rw
72 70 0:34 / /usr/lib/wsl/drivers ro,nosuid,nodev,noatime - 9p none ro,aname=drivers;fmask=222;dmask=222,cache=5,trans=fd
73 70 0:38 / /proc rw,nosuid,nodev,noexec,noatime - proc proc rw
74 73 0:43 / /proc/sys/fs/binfmt_misc rw,nosuid,nodev,noexec,noatime - binfmt_misc binfmt_misc rw
75 70 0:39 / /dev rw,nosuid,relatime - devtmpfs none rw
76 70 0:40 / /sys rw,nosuid,nodev,noexec,noatime - sysfs sysfs rw
77 70 0:41 / /run rw,nosuid,nodev - tmpfs none rw,mode=755
78 70 0:44 / /mnt/wslg rw,relatime - tmpfs none rw
79 70 8:32 /tmp/.X11-unix /tmp/.X11-unix ro,relatime - ext4 /dev/sdc rw
80 70 0:50 / /mnt/c rw,noatime - 9p C:\\134 rw,aname=drvfs;path=C:\\134;uid=1000;gid=1000;symlinkroot=/mnt/,cache=5,trans=fd
81 70 0:51 / /init ro - rootfs rootfs ro`;

export const CASES: readonly TableCase[] = [
  {
    name: 'plain Debian',
    mountinfo: ROOT + KERNEL_MOUNTS,
    host: BASIC,
    expected: ['/ overlay', ...KERNEL],
  },
  {
    name: 'plain Debian as root',
    mountinfo: ROOT + KERNEL_MOUNTS,
    host: BASIC,
    options: AS_ROOT,
    expected: ['/ overlay', ...KERNEL],
  },
  ...(['root', 'user'] as const).map((mode): TableCase => ({
    name: `filesystems of the kernel that go by the uid alone, as ${mode}`,
    mountinfo: `${ROOT}${KERNEL_MOUNTS}
40 23 0:7 / /sys/kernel/debug rw,nosuid,nodev,noexec,relatime shared:40 - debugfs debugfs rw
41 40 0:12 / /sys/kernel/debug/tracing rw,nosuid,nodev,noexec,relatime shared:41 - tracefs tracefs rw
42 23 0:442 / /sys/kernel/tracing rw,nosuid,nodev,noexec,relatime shared:42 - tracefs tracefs rw
43 23 0:443 / /sys/fs/pstore rw,nosuid,nodev,noexec,relatime shared:43 - pstore pstore rw
44 23 0:444 / /sys/fs/bpf rw,nosuid,nodev,noexec,relatime shared:44 - bpf bpf rw,mode=700
45 23 0:445 / /sys/kernel/config rw,nosuid,nodev,noexec,relatime shared:45 - configfs configfs rw
46 27 0:30 / /debug rw,relatime shared:46 - debugfs debugfs rw`,
    host: `${BASIC}
/sys/kernel/debug/tracing/
/sys/kernel/tracing/
/sys/fs/pstore/
/sys/fs/bpf/
/sys/kernel/config/
/debug/  700`,
    ...(mode === 'root' ? { options: AS_ROOT } : {}),
    expected: ['/ overlay', ...KERNEL, ...['debug', 'debug/tracing', 'tracing', '../fs/pstore', '../fs/bpf', 'config'].map((name) => {
      const path = name.startsWith('../') ? `/sys/${name.slice(3)}` : `/sys/kernel/${name}`;
      return `${path} ${mode === 'user' ? 'read-only' : name === 'debug/tracing' ? 'skip' : 'hide'}`;
    }), `/debug ${mode === 'user' ? 'read-only' : 'hide'}`],
  })),
  {
    name: 'Ubuntu with snaps, nsfs, an EFI partition and a home of its own (E2, E13)',
    mountinfo: `${ROOT}${KERNEL_MOUNTS}
40 27 7:0 / /snap/core22/1380 ro,nodev,relatime shared:40 - squashfs /dev/loop0 ro,errors=continue
41 27 7:1 / /snap/firefox/4336 ro,nodev,relatime shared:41 - squashfs /dev/loop1 ro,errors=continue
42 27 259:1 / /boot/efi rw,relatime shared:42 - vfat /dev/nvme0n1p1 rw,fmask=0077,dmask=0077
43 27 259:3 / /home rw,relatime shared:43 - ext4 /dev/nvme0n1p3 rw
44 28 0:25 /snapd/ns /run/snapd/ns rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw,size=1629660k,mode=755
45 44 0:4 mnt:[4026532723] /run/snapd/ns/firefox.mnt rw - nsfs nsfs rw
46 32 0:60 / /run/user/1000/doc rw,nosuid,nodev,relatime shared:46 - fuse.portal portal rw,user_id=1000,group_id=1000`,
    host: `${BASIC}
/snap/core22/1380/
/snap/firefox/4336/
/boot/efi/  700
/run/snapd/ns/
/run/user/1000/doc/  500  me`,
    expected: [
      '/ overlay', ...KERNEL, '/snap/core22/1380 read-only', '/snap/firefox/4336 read-only', '/boot/efi read-only', '/home overlay',
      '/run/snapd/ns skip', '/run/snapd/ns/firefox.mnt skip', '/run/user/1000/doc skip',
    ],
  },
  {
    name: 'btrfs subvolumes (E25)',
    mountinfo: `27 1 0:24 /@ / rw,relatime shared:1 - btrfs /dev/sda2 rw,space_cache=v2,subvolid=256,subvol=/@${KERNEL_MOUNTS}
40 27 0:24 /@home /home rw,relatime shared:40 - btrfs /dev/sda2 rw,space_cache=v2,subvolid=257,subvol=/@home
41 27 0:24 /@var_log /var/log rw,relatime shared:41 - btrfs /dev/sda2 rw,space_cache=v2,subvolid=258,subvol=/@var_log
42 27 0:24 /@snapshots /.snapshots rw,relatime shared:42 - btrfs /dev/sda2 rw,space_cache=v2,subvolid=259,subvol=/@snapshots`,
    host: `${BASIC}
/var/log/mine  644  me
/var/lib/x/y  644  me
/.snapshots/  750`,
    expected: ['/ overlay', ...KERNEL, '/home overlay', '/var/log overlay', '/.snapshots read-only'],
  },
  {
    name: 'a container on an overlay root, uid 0 without rights over mounts, the store on a volume (E23)',
    mountinfo: `600 500 0:50 / / rw,relatime - overlay overlay rw,lowerdir=/l/A:/l/B,upperdir=/u,workdir=/w
601 600 0:51 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
602 600 0:52 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
603 602 0:53 / /dev/pts rw,nosuid,noexec,relatime - devpts devpts rw,gid=5,mode=620,ptmxmode=666
604 600 0:54 / /sys ro,nosuid,nodev,noexec,relatime - sysfs sysfs ro
605 604 0:55 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw
606 602 0:56 / /dev/mqueue rw,nosuid,nodev,noexec,relatime - mqueue mqueue rw
607 602 0:57 / /dev/shm rw,nosuid,nodev,noexec,relatime - tmpfs shm rw,size=65536k
608 600 8:1 /docker/abc/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/sda1 rw
609 600 8:1 /docker/abc/hosts /etc/hosts rw,relatime - ext4 /dev/sda1 rw
610 600 8:1 /vol/data /data rw,relatime - ext4 /dev/sda1 rw
611 601 0:51 /bus /proc/bus ro,nosuid,nodev,noexec,relatime - proc proc rw
612 601 0:58 / /proc/acpi ro,relatime - tmpfs tmpfs ro`,
    host: `${BASIC}
/etc/resolv.conf
/etc/hosts
/data/state/
/data/project/`,
    options: {
      ...{ uid: 0, gid: 0, home: '/root' as Bytes, trees: ['/data/project', '/root'] as Bytes[], cwd: '/data/project' as Bytes },
      ...{ stateDir: '/data/state' as Bytes },
    },
    expected: [
      '/ overlay', '/proc private', '/dev private', '/dev/pts skip', '/sys read-only', '/sys/fs/cgroup read-only', '/dev/mqueue skip',
      '/dev/shm skip', '/etc/resolv.conf read-only', '/etc/hosts read-only', '/data overlay', '/proc/bus skip', '/proc/acpi skip',
    ],
  },
  ...([
    ['WSL2: neither drives nor what starts programs of Windows is there (KN23)', 'user', 'hide', {}],
    ['WSL2 as root (KN23)', 'root', 'hide', AS_ROOT],
    ['WSL2, the project on a drive', 'user', 'overlay', { cwd: '/mnt/c/Users/u/app', trees: ['/mnt/c/Users/u/app', '/home/u'] }],
    ['WSL2, something on a drive handed in', 'user', 'overlay', { share: ['/mnt/c/Users'] }],
  ] as const).map(([name, mode, drive, options]): TableCase => ({
    name,
    mountinfo: WSL,
    host: `${BASIC}
/mnt/wsl/resolv.conf
/mnt/wslg/runtime-dir/  700  me
/mnt/wslg/.X11-unix/X0  777
/mnt/c/Users/  777  me
/usr/lib/wsl/drivers/
/tmp/.X11-unix/
/etc/resolv.conf -> /mnt/wsl/resolv.conf
/init
/mnt/c/Users/u/app/  777  me`,
    options: { runtimeDir: '/mnt/wslg/runtime-dir' as Bytes, ...(options as Case['options']) },
    expected: [
      '/ overlay', `/mnt/wsl ${mode === 'user' ? 'read-only' : 'overlay'}`, '/usr/lib/wsl/drivers read-only', '/proc private', '/proc/sys/fs/binfmt_misc skip', '/dev private',
      '/sys read-only', '/run private', '/mnt/wslg overlay', '/tmp/.X11-unix skip', `/mnt/c ${drive}`, '/init read-only',
    ],
  })),
  {
    name: 'automounts and network filesystems; an automount point is never entered (E9)',
    mountinfo: `${ROOT}${KERNEL_MOUNTS}
40 27 0:60 / /net rw,relatime shared:40 - autofs /etc/auto.net rw,fd=6,pgrp=900,timeout=300,indirect
41 40 0:61 / /net/filer/export rw,relatime shared:41 - nfs4 filer:/export rw,vers=4.2
42 27 0:62 / /data/direct rw,relatime shared:42 - autofs /etc/auto.direct rw,fd=7,direct
43 27 0:63 / /home/u rw,relatime shared:43 - autofs systemd-1 rw,direct
44 43 0:64 / /home/u rw,relatime shared:44 - nfs4 filer:/home/u rw,vers=4.2
45 27 0:65 / /boot/efi rw,relatime shared:45 - autofs systemd-1 rw,direct`,
    host: `${BASIC}
/net/filer/export/
/net/filer/export/mine/  755  me
/data/direct/
/data/other/  755  me
/boot/efi/`,
    options: { stateDir: '/var/lib/agentfw-u' as Bytes },
    expected: [
      '/ overlay', ...KERNEL, '/net skip', '/net/filer/export overlay', '/data/direct skip', '/home/u skip', '/home/u overlay', '/boot/efi skip',
    ],
  },
  {
    name: 'as root too, what an automount point has mounted is shown, a silent mount is not (E9)',
    mountinfo: `${ROOT}${KERNEL_MOUNTS}
40 27 0:60 / /net rw,relatime shared:40 - autofs /etc/auto.net rw,fd=6,pgrp=900,timeout=300,indirect
41 40 0:61 / /net/filer rw,relatime shared:41 - nfs4 filer:/export rw,vers=4.2
42 41 0:62 / /net/filer/old ro,relatime shared:42 - nfs4 filer:/old ro,vers=4.2
43 27 0:63 / /srv/cloud rw,relatime shared:43 - fuse.rclone remote: rw,user_id=1000,group_id=1000
44 43 0:64 / /srv/cloud/inner rw,relatime shared:44 - ext4 /dev/vdb1 rw`,
    host: `${BASIC}
/net/filer/
/net/filer/old/`,
    options: { mode: 'root', uid: 0, cwd: '/net/filer' as Bytes, trees: ['/net/filer'] as Bytes[], stateDir: '/root/.local/state/agentfw' as Bytes, home: '/root' as Bytes },
    expected: ['/ overlay', ...KERNEL, '/net skip', '/net/filer overlay', '/net/filer/old read-only', '/srv/cloud hide', '/srv/cloud/inner skip'],
  },
  {
    name: 'bind mounts and a FUSE mount in the home: the home becomes a skeleton (E2, E22)',
    mountinfo: `${ROOT}${KERNEL_MOUNTS}
40 27 254:1 /srv/data /home/u/data rw,relatime shared:1 - ext4 /dev/vda1 rw
41 27 254:1 /srv/ref /home/u/ref ro,relatime shared:1 - ext4 /dev/vda1 rw
42 27 0:70 / /home/u/cloud rw,nosuid,nodev,relatime shared:42 - fuse.rclone remote: rw,user_id=1000,group_id=1000
43 27 254:1 /etc/gitconfig /home/u/.gitconfig rw,relatime shared:1 - ext4 /dev/vda1 rw`,
    host: `${BASIC}
/home/u/data/  755  me
/home/u/ref/  755  me
/home/u/cloud/  755  me
/home/u/.gitconfig  644  me
/home/u/.profile  644  me
/srv/data/  755  me
/srv/ref/  755  me`,
    expected: [
      '/ overlay', ...KERNEL, '/home/u/data overlay', '/home/u/ref read-only', '/home/u/cloud overlay', '/home/u/.gitconfig read-only',
    ],
  },
  {
    name: 'blanks, colons, commas, backslashes and newlines in paths (E17, E19)',
    mountinfo: `${ROOT}${KERNEL_MOUNTS}
40 27 254:2 / /a\\040b rw,relatime shared:40 - ext4 /dev/vda2 rw
41 27 254:3 / /mnt/a:b,c\\134d\\040e rw,relatime shared:41 - ext4 /dev/vda3 rw
42 27 254:4 / /mnt/line\\012break\\011tab rw,relatime shared:42 - xfs /dev/vda4 rw
43 27 254:5 / /mnt/\\303\\244\\377 rw,relatime shared:43 - xfs /dev/vda5 rw`,
    host: `${BASIC}
/a b/  755  me
/mnt/a:b,c\\d e/  755  me`,
    expected: [
      '/ overlay', ...KERNEL, '/a b overlay', '/mnt/a:b,c\\d e overlay', '/mnt/line\nbreak\ttab skip', '/mnt/\u00c3\u00a4\u00ff skip',
    ],
  },
  {
    name: 'mounts that later mounts cover',
    mountinfo: `${ROOT}${KERNEL_MOUNTS}
40 27 254:2 / /data/old rw,relatime - ext4 /dev/vda2 rw
41 27 254:3 / /data rw,relatime - ext4 /dev/vda3 rw
42 41 254:4 / /data rw,relatime - xfs /dev/vda4 rw`,
    host: `${BASIC}
/data/  755  me`,
    expected: ['/ overlay', ...KERNEL, '/data/old skip', '/data skip', '/data overlay'],
  },
  {
    name: 'everything mounted read-only or unsupported (vfat, cifs, sshfs of another user) stays readable (E13, E22, E59)',
    mountinfo: `${ROOT}${KERNEL_MOUNTS}
40 27 259:1 / /media/u/STICK rw,nosuid,nodev,relatime - vfat /dev/sdb1 rw
41 27 11:0 / /media/u/cd ro,nosuid,nodev,relatime - iso9660 /dev/sr0 ro
42 27 0:80 / /mnt/win rw,relatime - cifs //server/share rw
43 27 0:81 / /mnt/foreign rw,relatime - fuse.sshfs other@host: rw,user_id=2000`,
    host: `${BASIC}
/media/u/STICK/  777  me
/media/u/cd/
/mnt/win/  777
/mnt/foreign/  700  other`,
    expected: ['/ overlay', ...KERNEL, '/media/u/STICK read-only', '/media/u/cd read-only', '/mnt/win read-only', '/mnt/foreign read-only'],
  },
];

