/** Where a benchmark works: an ext4 image in memory as root, in mounts of its own that end with it. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** Mounts made below end with us: nothing stays on the machine. */
export function inOwnMounts() {
  const image = mkdtempSync('/dev/shm/agentfw-bench-');
  const point = mkdtempSync('/srv/agentfw-bench-');
  try {
    const done = spawnSync('unshare', ['--mount', '--propagation', 'private', process.execPath, ...process.argv.slice(1)], {
      stdio: 'inherit', env: { ...process.env, AGENTFW_BENCH_INSIDE: '1', AGENTFW_BENCH_IMAGE: image, AGENTFW_BENCH_POINT: point },
    });
    process.exitCode = done.status ?? 1;
  } finally {
    rmSync(image, { recursive: true, force: true });
    rmSync(point, { recursive: true, force: true });
  }
}

/** ext4 on a file in memory: a real filesystem, and no shared disk speaks. */
export function ramDisk() {
  const { AGENTFW_BENCH_IMAGE: image, AGENTFW_BENCH_POINT: point } = process.env;
  const file = join(image, 'ext4');
  must(['truncate', '-s', '8G', file]);
  must(['mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0', file]);
  must(['mount', '-o', 'loop,noatime', file, point]);
  chmodSync(point, 0o755);
  return point;
}

export function must([file, ...args]) {
  const done = spawnSync(file, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (done.status !== 0) throw new Error(`${file} ended ${done.status}`);
}
