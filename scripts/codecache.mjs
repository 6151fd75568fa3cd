// Compiles the bundle as bin/run.js does, loads every command, and keeps what
// V8 made of it: `node scripts/codecache.mjs dist/fast`.
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { Script } from 'node:vm';

const out = resolve(process.argv[2]);
const filename = join(out, 'main.cjs');
const source = readFileSync(filename, 'latin1');
const script = new Script(source, { filename });
const module = { exports: {} };
// V8 takes a cache only under the flags that it was made under, and commands change some once all is loaded.
createRequire(filename)('node:v8').setFlagsFromString = () => undefined;
script.runInThisContext()(module.exports, createRequire(filename), module, filename, dirname(filename), (name) => import(name));

// What commands run is compiled too: they find an empty home, a store of their own, and an agent that writes one
// file. Where sandboxes can't run, as in another sandbox, the cache holds less.
const place = realpathSync(mkdtempSync(join(tmpdir(), 'agentfw-cache-')));
const [home, work] = ['home', 'home/work'].map((name) => join(place, name));
const root = `${dirname(dirname(out))}/`;
Object.assign(process.env, { AGENTFW_STATE_DIR: join(place, 'store'), HOME: home, NO_COLOR: '1' });
const lines = [
  'list', 'policy show', 'run --tag a --net off -- touch new', 'list', 'diff a', 'diff a --stat', 'status a', 'commit a --yes', 'undo',
  'run --in a --net off -- true', 'discard a --yes', 'run --tag b -- true', 'diff', 'run --no-such-flag',
];
mkdirSync(work, { recursive: true });
process.chdir(work);
try {
  for (const load of Object.values(module.exports.COMMANDS)) await load();
  for (const line of lines) await module.exports.perform(line.split(' '), root);
} finally {
  process.chdir('/');
  removePlace();
}
process.exitCode = 0;
const build = /\/\/ ([0-9a-f]{64})\n/.exec(source.slice(0, 200))[1];
const cache = join(out, 'main.cache');
writeFileSync(`${cache}.new`, Buffer.concat([Buffer.from(build, 'latin1'), script.createCachedData()]));
renameSync(`${cache}.new`, cache);

/** The trash of the store is swept in the background meanwhile, which can get in between. */
function removePlace(triesLeft = 50) {
  try {
    rmSync(place, { recursive: true, force: true });
  } catch (error) {
    if (triesLeft === 0) throw error;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
    removePlace(triesLeft - 1);
  }
}
