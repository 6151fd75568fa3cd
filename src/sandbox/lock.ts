import { constants, readFileSync, readdirSync, statSync } from 'node:fs';
import type { Bytes } from '../bytes.js';
import { openOwn } from '../kernel/files.js';
import { AT_FDCWD, type Fd, type Kernel, type Stat } from '../kernel/kernel.js';

/**
 * A lock held by this process. The kernel drops it when the process ends,
 * however it ends, so no lock is ever stale.
 */
export interface Lock {
  readonly fd: Fd;
  readonly release: () => void;
}

const TRIES = 6;
const PAUSE_MS = 5;

/**
 * Takes the lock file at once, or returns null because another process holds
 * it. A look at a lock (`isLocked`) takes it shared for microseconds, so a
 * refusal is tried again a few times before it is believed.
 */
export function tryLock(kernel: Kernel, file: Bytes): Lock | null {
  const fd = openLockFile(kernel, file);
  if (took(kernel, fd)) return held(kernel, fd);
  kernel.close(fd);
  return null;
}

/** Waits for the lock; `onWait` is called once if that takes time, to tell the user. */
export function waitLock(kernel: Kernel, file: Bytes, onWait: () => void): Lock {
  const fd = openLockFile(kernel, file);
  if (!took(kernel, fd)) {
    onWait();
    kernel.flock(fd, 'exclusive', true);
  }
  return held(kernel, fd);
}

function took(kernel: Kernel, fd: Fd): boolean {
  for (let left = TRIES; left > 0; left -= 1) {
    if (kernel.flock(fd, 'exclusive', false)) return true;
    pauseHere(PAUSE_MS);
  }
  return false;
}

/** Stands still for `ms`: nothing else of this process goes on meanwhile. */
export function pauseHere(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** True while another process holds the lock. A missing file is not locked. */
export function isLocked(kernel: Kernel, file: Bytes): boolean {
  if (kernel.statOrNull(AT_FDCWD, file) === null) return false;
  let fd: Fd;
  try {
    fd = openOwn(kernel, file, constants.O_RDONLY);
  } catch (error) {
    // Moved to the trash since.
    if (kernel.statOrNull(AT_FDCWD, file) === null) return false;
    throw error;
  }
  try {
    return !kernel.flock(fd, 'shared', false);
  } finally {
    kernel.close(fd);
  }
}

/** The process of ours that holds the lock alone; null where there is none, or the kernel doesn't tell. */
export function holderOf(kernel: Kernel, file: Bytes): number | null {
  const stat = kernel.statOrNull(AT_FDCWD, file);
  if (stat === null) return null;
  // The kernel's name of a filesystem need not be the file's: btrfs has one per subvolume. So the descriptors are looked at.
  const held = new RegExp(`FLOCK +\\S+ +WRITE (\\d+) [0-9a-f]+:[0-9a-f]+:${stat.ino} `, 'g');
  const pids = [...readFileSync('/proc/locks', 'latin1').matchAll(held)].map(([, pid]) => Number(pid));
  return pids.find((pid) => hasOpen(pid, stat)) ?? null;
}

function hasOpen(pid: number, { dev, ino }: Stat): boolean {
  try {
    const fds = `/proc/${pid}/fd`;
    return readdirSync(fds).some((fd) => {
      const open = statSync(`${fds}/${fd}`, { bigint: true, throwIfNoEntry: false });
      return open?.dev === dev && open.ino === ino;
    });
  } catch {
    return false; // it has ended, or is none of ours
  }
}

function openLockFile(kernel: Kernel, file: Bytes): Fd {
  return openOwn(kernel, file, constants.O_RDWR | constants.O_CREAT, 0o600);
}

function held(kernel: Kernel, fd: Fd): Lock {
  let open = true;
  return {
    fd,
    release: () => {
      if (open) kernel.close(fd);
      open = false;
    },
  };
}
