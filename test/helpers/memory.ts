import { accessSync, constants, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';

const SHARED = '/dev/shm';
/** Bytes: containers often have 64 MiB there. */
const ENOUGH = 1024 ** 3;

/** A directory whose filesystem is in memory, for tests that make thousands of files; the temporary directory where there is none. */
export function inMemory(): string {
  try {
    accessSync(SHARED, constants.W_OK | constants.X_OK);
    const { bavail, bsize } = statfsSync(SHARED);
    return bavail * bsize < ENOUGH ? tmpdir() : SHARED;
  } catch {
    return tmpdir();
  }
}
