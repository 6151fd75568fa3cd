import type { Bytes } from '../bytes.js';

/** An open file descriptor of this process. `AT_FDCWD` (-100) means the working directory. */
export type Fd = number;

export const AT_FDCWD: Fd = -100;

/** A file's identity and metadata, never following a symlink. Times are ns since the epoch. */
export interface Stat {
  readonly dev: bigint;
  readonly ino: bigint;
  /** type and permission bits, as `st_mode` */
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: bigint;
  readonly size: number;
  /** 512-byte blocks in use */
  readonly blocks: number;
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  /** 0n where the filesystem has none */
  readonly btimeNs: bigint;
}

/** An extended attribute; `name` with its namespace, as `user.x`. */
export interface Xattr {
  readonly name: Bytes;
  readonly value: Buffer;
}

/** How a relative path may be resolved (openat2 `resolve` bits). */
export const RESOLVE = { noXdev: 0x01, noMagiclinks: 0x02, noSymlinks: 0x04, beneath: 0x08 } as const;

/** A directory that may be entered will do, as one to look names up in; Node has no name for it. */
export const O_PATH = 0x200000;

/** renameat2 flags. */
export const RENAME = { replace: 0, noReplace: 1, exchange: 2 } as const;

/**
 * One entry of a layer walk, decoded from the packed buffer. `base` is the
 * same path on the host as it is now, null when there is none.
 */
export interface WalkEntry {
  /** relative to the walked directory, `a/b`; the root itself is '' */
  readonly path: Bytes;
  readonly upper: Stat;
  readonly base: Stat | null;
  /** char 0:0: the base entry is deleted */
  readonly whiteout: boolean;
  /** the directory hides everything the base has below it */
  readonly opaque: boolean;
  /** the entry was copied up from the base (the overlay's origin mark) */
  readonly copiedUp: boolean;
  /** the upper has no extended attribute at all, the overlay's own included */
  readonly plain: boolean;
  /** the upper is a file with capabilities (capabilities(7)) */
  readonly capable: boolean;
  /** value of the origin mark of a file that has no other extended attribute, one char per byte; else null */
  readonly origin: Bytes | null;
  /** both are regular with equal size and bytes, or symlinks with equal targets; null when not compared */
  readonly sameContent: boolean | null;
  /** xattrs other than the overlay's own and ACLs are equal on both sides; null when not compared */
  readonly sameXattrs: boolean | null;
  /** POSIX ACLs are equal on both sides; null when not compared */
  readonly sameAcl: boolean | null;
  /** a renamed directory of the base (trusted family only): the path it had there; `base` is that directory */
  readonly redirect: Bytes | null;
  /** symlink target of the upper, null for other types */
  readonly target: Bytes | null;
  /** first bytes of a file whose content is new or differs; null when not asked for, or unreadable */
  readonly look: FirstLook | null;
  /** lines that a new, changed or deleted file adds and removes; null when not asked for */
  readonly lines: LineCounts | null;
  /** printable ASCII that `WalkOptions.names` can't match; false when not asked for */
  readonly ordinary: boolean;
}

/** Names in lower case that may be of interest: a fast search tells of more than match, never of fewer. */
export interface NameFilter {
  readonly literals: readonly string[];
  /** with their dot */
  readonly endings: readonly string[];
  /** anywhere in a name */
  readonly pieces: readonly string[];
}

/** What the first 8,000 bytes of a file tell. */
export interface FirstLook {
  readonly program: 'ELF' | 'Mach-O' | 'PE' | null;
  /** begins with #! */
  readonly script: boolean;
  /** there is a zero byte among them */
  readonly binary: boolean;
  /** `binary`, and the base has none */
  readonly replacesText: boolean;
}

/** Null for what is binary, too long (8 MiB) or unreadable. */
export interface LineCounts {
  readonly added: number | null;
  readonly removed: number | null;
}

/** How a layer is walked. */
export interface WalkOptions {
  /** overlay xattr family of the layer */
  readonly family: 'user' | 'trusted';
  /** compare contents of regular files of equal size */
  readonly compare: boolean;
  /**
   * What to do with a directory that its owner can't read: throw (the default),
   * yield it without children, or lend the permission for the time of the walk
   * (layers only: that changes the directory's mode for the moment).
   */
  readonly unreadable?: 'fail' | 'skip' | 'unlock';
  /** also read contents: the beginning, or all of it to count lines */
  readonly look?: 'no' | 'head' | 'lines';
  /** false: leave `WalkEntry.origin` null, which saves a call for each file that came up */
  readonly origins?: boolean;
  /** names that rules are about: the others are told apart */
  readonly names?: NameFilter;
  /** what is usual in `WalkPiece.usual` has a base whose ctime is before this, or came from none; without it, none is harmless that has a base */
  readonly before?: bigint;
}

/**
 * Of an entry: `yes` for a regular file with one name and neither set-id bits nor capabilities that came, went, or has other
 * content with the same metadata; `ordinary` if its name is, too; `harmless` if beside that
 * neither content nor permissions nor the time of its base give anything to judge.
 */
export type Usual = 'no' | 'yes' | 'ordinary' | 'harmless';
/** Changes that a walk can tell by itself. */
export type UsualKind = 'add' | 'modify' | 'delete';

/** Entries of a walk that stay packed until they are asked for, by their place: from 0 by `after` to `end`. */
export interface WalkPiece {
  readonly memory: ArrayBuffer;
  readonly end: number;
  readonly after: (at: number) => number;
  readonly usual: (at: number) => Usual;
  /** of a usual entry */
  readonly usualKind: (at: number) => UsualKind;
  /** path of the directory that it is in: asked for in the order of the walk */
  readonly dir: (at: number) => Bytes;
  readonly name: (at: number) => Bytes;
  readonly upperSize: (at: number) => number;
  readonly baseSize: (at: number) => number;
  /** lines, if they were counted */
  readonly added: (at: number) => number;
  readonly removed: (at: number) => number;
  /** asked for in the order of the walk */
  readonly path: (at: number) => Bytes;
  /** as a `WalkEntry` has it */
  readonly upper: (at: number) => Stat;
  /** both are the agent's version of one object, as far as `isSameObject` tells for files */
  readonly sameUpper: (at: number, other: WalkPiece, otherAt: number) => boolean;
  readonly whiteout: (at: number) => boolean;
  readonly plain: (at: number) => boolean;
  /** asked for in the order of the walk */
  readonly entry: (at: number) => WalkEntry;
  /** asked for at any time */
  readonly entryIn: (at: number, dir: Bytes) => WalkEntry;
}

/** Many renames in one call; `changes/batch.ts` packs the steps. */
export interface BatchWork {
  readonly steps: Buffer;
  readonly names: Buffer;
  /** end of each lane: its steps are done in order, lanes side by side */
  readonly lanes: Uint32Array;
  /** per step, filled in: 0 not begun, 1 done, 2 not as expected, and as it was before */
  readonly status: Uint8Array;
  readonly threads: number;
  /** stops after so many steps: tests cut a batch short */
  readonly most: number;
}

/**
 * The system calls that Node's `fs` lacks: the only way core code touches the
 * kernel beyond reading and writing fds it holds, and the seam that tests
 * replace. All are synchronous, retry EINTR, never follow a symlink in the
 * last component, and throw `KernelError`.
 */
export interface Kernel {
  /** openat2; O_CLOEXEC is always added */
  open(at: Fd, path: Bytes, flags: number, mode?: number, resolve?: number): Fd;
  close(fd: Fd): void;
  /** statx; name '' is `at` itself */
  stat(at: Fd, name: Bytes): Stat;
  /** null on ENOENT and ENOTDIR */
  statOrNull(at: Fd, name: Bytes): Stat | null;
  /** names in a directory fd, without . and .., in directory order */
  list(fd: Fd): Bytes[];
  readlink(at: Fd, name: Bytes): Bytes;
  /** the beginning of a regular file, as far as it fits: how many bytes that are; ENOTSUP for anything else. The file's owner and root leave its access time alone */
  readFile(at: Fd, name: Bytes, into: Buffer): number;
  mkdir(at: Fd, name: Bytes, mode: number): void;
  symlink(target: Bytes, at: Fd, name: Bytes): void;
  link(oldAt: Fd, oldName: Bytes, newAt: Fd, newName: Bytes): void;
  /** FIFO or whiteout (mode S_IFCHR, dev 0) */
  mknod(at: Fd, name: Bytes, mode: number, dev: number): void;
  unlink(at: Fd, name: Bytes): void;
  rmdir(at: Fd, name: Bytes): void;
  rename(oldAt: Fd, oldName: Bytes, newAt: Fd, newName: Bytes, flags: number): void;
  chmod(at: Fd, name: Bytes, mode: number): void;
  chown(at: Fd, name: Bytes, uid: number, gid: number): void;
  utimes(at: Fd, name: Bytes, atimeNs: bigint, mtimeNs: bigint): void;
  /** all xattrs incl. POSIX ACLs, sorted by name; [] where unsupported */
  xattrs(at: Fd, name: Bytes): Xattr[];
  setXattr(at: Fd, name: Bytes, key: Bytes, value: Buffer): void;
  removeXattr(at: Fd, name: Bytes, key: Bytes): void;
  /** whole content of src into the empty dst: FICLONE, else copy that keeps holes */
  copy(src: Fd, dst: Fd): 'reflink' | 'copy';
  /** true when both regular files have the same bytes */
  sameBytes(a: Fd, b: Fd): boolean;
  fsync(fd: Fd): void;
  syncfs(fd: Fd): void;
  /** what a directory gives on (a project, encryption): files with another one can't be renamed or linked there; '' for neither */
  domain(fd: Fd): Bytes;
  /** false when it would block; `wait` blocks instead */
  flock(fd: Fd, kind: 'exclusive' | 'shared' | 'unlock', wait: boolean): boolean;
  /** lets go of what is in memory of Node's own file: the kernel has it still; how many bytes of addresses */
  readonly forgetProgram?: () => number;
  /** absent: the caller makes the single calls instead */
  readonly landBatch?: (work: BatchWork) => void;
  /** pre-order walk of a layer against the host, parents before children */
  walk(upper: Fd, base: Fd | null, options: WalkOptions): Iterable<WalkEntry>;
  /** the same, many entries at a time */
  walkPieces(upper: Fd, base: Fd | null, options: WalkOptions): Iterable<WalkPiece>;
}

/** Shaped like Node's own system errors. */
export class KernelError extends Error {
  override readonly name = 'KernelError';
  constructor(
    readonly code: string,
    readonly errno: number,
    readonly syscall: string,
    readonly path: Bytes | null,
    text: string,
  ) {
    super(text);
  }
}
