import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Bytes } from '../bytes.js';
import { isText, toBuffer, toText } from '../bytes.js';
import { AgentfwError } from '../errors.js';

/** In the checkout and when installed: this file and the bundle both lie two directories below the package. */
const SWEEP = fileURLToPath(new URL('../../dist/fast/sweep.cjs', import.meta.url));
export const DRIVER = fileURLToPath(new URL('../../driver/build/agentfw-driver', import.meta.url));

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

/** What `agentfw-driver --probe` prints, trying layers in `dir` and the gate, of which `rung` may insist on one rung. */
export function runProbe(dir: Bytes, rung: string | null): string {
  const probe = spawnSync(DRIVER, ['--probe', '--dir', toBuffer(dir).toString('utf8')], { env: rung === null ? {} : { AGENTFW_GATE: rung }, stdio: ['ignore', 'pipe', 'ignore'] });
  if (probe.error !== undefined) {
    throw new AgentfwError('AFW_DRIVER', "Can't start the driver.", { cause: probe.error, hint: 'Build it: npm run build:driver' });
  }
  return probe.stdout.toString('utf8');
}
