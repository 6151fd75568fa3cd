import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spareId } from './needs.js';

const checkout = resolve(fileURLToPath(import.meta.url), '../../..');
let copy: string | null = null;

/**
 * For vitest's `globalSetup`: root tests as a plain user too, who can't enter a
 * checkout below root's home. The tests then use a copy of what is built.
 */
export function setup(): void {
  if (process.getuid?.() !== 0 || isReachable()) return;
  // Not below /tmp: a sandbox has one of its own.
  copy = mkdtempSync('/opt/agentfw-test-copy-');
  chmodSync(copy, 0o755);
  for (const name of readdirSync(checkout)) {
    if (!name.startsWith('.')) cpSync(join(checkout, name), join(copy, name), { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
  }
  process.env['AGENTFW_TEST_REPOSITORY'] = copy;
}

export function teardown(): void {
  if (copy !== null) rmSync(copy, { recursive: true, force: true });
}

function isReachable(): boolean {
  const id = String(spareId);
  return spawnSync('setpriv', ['--reuid', id, '--regid', id, '--clear-groups', '--', 'test', '-r', join(checkout, 'bin/run.js')], { cwd: '/' }).status === 0;
}
