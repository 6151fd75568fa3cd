import { ftruncateSync, readSync, writeSync } from 'node:fs';
import type { Fd } from '../../kernel/kernel.js';

/** Writing to files that are open: a seam of its own, so that tests can fail and cut each write. */
export interface Disk {
  /** all of it, at `position` */
  write(fd: Fd, data: Uint8Array, position: number): void;
  truncate(fd: Fd, size: number): void;
}

export const nodeDisk: Disk = {
  write(fd, data, position) {
    for (let done = 0; done < data.length; ) {
      done += writeSync(fd, data, done, data.length - done, position + done);
    }
  },
  truncate: (fd, size) => ftruncateSync(fd, size),
};

/** The bytes of an open file from `position` on, up to `most`. */
export function readAt(fd: Fd, position: number, most: number): Buffer {
  const buffer = Buffer.allocUnsafe(most);
  let length = 0;
  while (length < most) {
    const got = readSync(fd, buffer, length, most - length, position + length);
    if (got === 0) break;
    length += got;
  }
  return buffer.subarray(0, length);
}
