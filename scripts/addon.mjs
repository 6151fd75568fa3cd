// Builds the addon, unless it is newer than all it is made of: `npx` in the
// checkout runs the install step again each time its cache is empty.
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const built = statSync(`${root}build/Release/agentfw.node`, { throwIfNoEntry: false })?.mtimeMs ?? 0;
const sources = ['binding.gyp', 'package-lock.json', ...readdirSync(`${root}native`).map((name) => `native/${name}`)];
const fresh = sources.every((name) => (statSync(root + name, { throwIfNoEntry: false })?.mtimeMs ?? 0) < built);

if (!fresh) {
  const { status, error } = spawnSync('node-gyp', ['configure', 'build', '--silent'], { cwd: root, stdio: 'inherit' });
  if (error) console.error(`can't run node-gyp: ${error.message}`);
  process.exit(status ?? 1);
}
