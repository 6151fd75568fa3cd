import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Bytes } from '../bytes.js';
import { fromBuffer, isText, toBuffer, toText } from '../bytes.js';
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

/**
 * Those of the paths that can't be looked at: what serves them is gone, keeps
 * them from us, or doesn't answer within a second. A look that hangs can only
 * be killed, so this process doesn't take it itself.
 */
export function silentPaths(paths: readonly Bytes[]): ReadonlySet<Bytes> {
  if (paths.length === 0) return new Set();
  const input = Buffer.concat(paths.map((path) => Buffer.concat([toBuffer(path), Buffer.of(0)])));
  const { stdout } = spawnSync(DRIVER, ['--silent'], { cwd: '/', env: {}, input, stdio: ['pipe', 'pipe', 'ignore'] });
  // Without a driver the start fails later, by its name.
  return new Set(fromBuffer(stdout ?? Buffer.of()).split('\0').filter((path) => path !== '') as Bytes[]);
}

/** What `agentfw-driver --probe` prints, trying layers in `dir` and the gate, of which `rung` may insist on one rung. */
export function runProbe(dir: Bytes, rung: string | null): string {
  const probe = spawnSync(DRIVER, ['--probe', '--dir', toBuffer(dir).toString('utf8')], { env: rung === null ? {} : { AGENTFW_GATE: rung }, stdio: ['ignore', 'pipe', 'ignore'] });
  if (probe.error !== undefined) {
    throw new AgentfwError('AFW_DRIVER', "Can't start the driver.", { cause: probe.error, hint: 'Build it: npm run build:driver' });
  }
  return probe.stdout.toString('utf8');
}
