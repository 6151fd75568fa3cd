/** Filesystems of the kernel's own making: nothing in them is data, so they are shown read-only. */
const PSEUDO: ReadonlySet<string> = new Set(
  ('proc sysfs cgroup cgroup2 devpts devtmpfs mqueue debugfs tracefs securityfs bpf nsfs fusectl configfs ' +
    'efivarfs pstore binfmt_misc hugetlbfs selinuxfs smackfs rpc_pipefs nfsd resctrl binder functionfs ' +
    'fuse.lxcfs fuse.portal fuse.gvfsd-fuse fuse.snapfuse autofs').split(' '),
);

/** The kernel refuses these as a lower: case-folding or "weird" directory entries. */
const NO_LOWER: ReadonlySet<string> = new Set(
  'vfat msdos exfat ntfs ntfs3 fuseblk hfs hfsplus cifs smb3 smbfs ncpfs afs coda ecryptfs'.split(' '),
);

/** These can't hold an upper: no whiteouts, no file types in readdir, or no xattrs. */
const NO_UPPER: ReadonlySet<string> = new Set(
  ('overlay aufs nfs nfs4 9p v9fs virtiofs ceph glusterfs squashfs erofs iso9660 udf cramfs romfs ramfs ' +
    'lustre gfs2 ocfs2 orangefs').split(' '),
);

/** A type of proc_filesystems(5) that shows the kernel's own things, no files of somebody. */
export function isPseudo(type: string): boolean {
  return PSEUDO.has(type);
}

/** Whether overlayfs takes it below (kernel, filesystems/overlayfs). */
export function canBeLower(type: string): boolean {
  return !NO_LOWER.has(type) && !isPseudo(type);
}

/** Whether overlayfs can keep changes in it: it needs xattrs, whiteouts and d_type. No FUSE: which of them can, nobody knows before. */
export function canBeUpper(type: string): boolean {
  return canBeLower(type) && !NO_UPPER.has(type) && !type.startsWith('fuse');
}

/** On another machine, or brought by a program: slow to look through. */
export function isRemote(type: string): boolean {
  return REMOTE.has(type) || type.startsWith('fuse');
}

const REMOTE: ReadonlySet<string> = new Set('autofs nfs nfs4 cifs smb3 smbfs ncpfs afs coda ceph 9p lustre glusterfs'.split(' '));
