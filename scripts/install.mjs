// What npm runs where the package is installed. A tarball brings driver and
// addon built; what of them does not run on this machine is built here.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const tried = spawnSync(`${root}driver/build/agentfw-driver`, ['--version'], { stdio: 'ignore' });
if (tried.status !== 0) {
  const { status, error } = spawnSync('make', ['-s', '-B', '-C', `${root}driver`], { stdio: 'inherit' });
  if (error) console.error(`can't run make: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}
await import('./addon.mjs');
