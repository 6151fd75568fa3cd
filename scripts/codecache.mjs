// Compiles the bundle as bin/run.js does, loads every command, and keeps what
// V8 made of it: `node scripts/codecache.mjs dist/fast`.
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { Script } from 'node:vm';

const out = resolve(process.argv[2]);
const filename = join(out, 'main.cjs');
const source = readFileSync(filename, 'latin1');
const script = new Script(source, { filename });
const module = { exports: {} };
script.runInThisContext()(module.exports, createRequire(filename), module, filename, dirname(filename), (name) => import(name));

// What commands run first is compiled too. They find an empty store and home.
const store = mkdtempSync(join(tmpdir(), 'agentfw-cache-'));
const root = `${dirname(dirname(out))}/`;
Object.assign(process.env, { AGENTFW_STATE_DIR: store, HOME: store, NO_COLOR: '1' });
process.chdir(store);
try {
  for (const load of Object.values(module.exports.COMMANDS)) await load();
  for (const words of [['list'], ['policy', 'show'], ['diff'], ['run', '--no-such-flag']]) await module.exports.main(words, root);
} finally {
  process.chdir('/');
  rmSync(store, { recursive: true, force: true });
}
process.exitCode = 0;
const build = /\/\/ ([0-9a-f]{64})\n/.exec(source.slice(0, 200))[1];
const cache = join(out, 'main.cache');
writeFileSync(`${cache}.new`, Buffer.concat([Buffer.from(build, 'latin1'), script.createCachedData()]));
renameSync(`${cache}.new`, cache);
