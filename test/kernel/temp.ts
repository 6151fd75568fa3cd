import { existsSync, mkdtempSync, openSync, closeSync, constants } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import { execFileSync } from 'node:child_process';
import type { Bytes } from '../../src/bytes.js';

/** ASCII text as bytes. */
export const b = (text: string): Bytes => Buffer.from(text, 'utf8').toString('latin1') as Bytes;

const dirs: string[] = [];
const fds: number[] = [];

afterEach(() => {
  for (const fd of fds.splice(0)) closeSync(fd);
  // Not rmSync: it can't remove trees deeper than PATH_MAX or unreadable ones.
  for (const dir of dirs.splice(0)) {
    if (process.getuid?.() !== 0 && existsSync(dir)) execFileSync('chmod', ['-R', 'u+rwx', '--', dir]);
    execFileSync('rm', ['-rf', '--', dir]);
  }
});

/** A new directory that the end of the test removes. */
export function tempDir(under = tmpdir()): string {
  const dir = mkdtempSync(join(under, 'agentfw-test-'));
  dirs.push(dir);
  return dir;
}

/** A directory fd that the end of the test closes. */
export function openDir(path: string): number {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  fds.push(fd);
  return fd;
}
