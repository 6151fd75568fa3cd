// Builds the addon, unless it is newer than all it is made of: `npx` in the
// checkout runs the install step again each time its cache is empty.
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const built = statSync(`${root}build/Release/agentfw.node`, { throwIfNoEntry: false })?.mtimeMs ?? 0;
const sources = ['binding.gyp', 'package-lock.json', ...readdirSync(`${root}native`).map((name) => `native/${name}`)];
// In a tarball all files have one time.
const fresh = built > 0 && sources.every((name) => (statSync(root + name, { throwIfNoEntry: false })?.mtimeMs ?? 0) <= built) && loads();

/** It may have been built on another kind of machine. */
function loads() {
  const words = ['-e', 'process.dlopen({ exports: {} }, process.argv[1])', `${root}build/Release/agentfw.node`];
  return spawnSync(process.execPath, words, { stdio: 'ignore' }).status === 0;
}

/** Node's own headers, where it was installed with them: then nothing is downloaded. */
function headers() {
  const prefix = dirname(dirname(process.execPath));
  try {
    const text = readFileSync(`${prefix}/include/node/node_version.h`, 'utf8');
    const [major, minor] = process.versions.node.split('.');
    const same = text.includes(`#define NODE_MAJOR_VERSION ${major}\n`) && text.includes(`#define NODE_MINOR_VERSION ${minor}\n`);
    return same ? [`--nodedir=${prefix}`] : [];
  } catch {
    return [];
  }
}

if (!fresh) {
  const given = process.env.npm_config_nodedir ? [] : headers();
  const options = { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] };
  const { status, error } = spawnSync('node-gyp', ['configure', 'build', '--loglevel=error', ...given], options);
  if (error) console.error(`can't run node-gyp: ${error.message}`);
  process.exit(status ?? 1);
}
