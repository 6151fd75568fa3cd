import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Bytes } from '../bytes.js';
import { isText, toText } from '../bytes.js';

/** In the checkout and when installed: this file and the bundle both lie two directories below the package. */
const SWEEP = fileURLToPath(new URL('../../dist/fast/sweep.cjs', import.meta.url));

/**
 * Starts the trash's sweeper and returns at once: its own session, no
 * terminal, an empty environment. False when the product isn't built, or when
 * the store's path can't be passed as an argument.
 */
export function startSweeper(storeDir: Bytes): boolean {
  if (!isText(storeDir) || !existsSync(SWEEP)) return false;
  const child = spawn(process.execPath, [SWEEP, toText(storeDir)], {
    cwd: '/',
    detached: true,
    env: {},
    stdio: 'ignore',
  });
  child.on('error', () => undefined);
  child.unref();
  return true;
}
