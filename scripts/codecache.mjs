// Compiles the bundle as bin/run.js does, loads every command, and keeps what
// V8 made of it: `node scripts/codecache.mjs dist/fast`.
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Script } from 'node:vm';

const [, , out] = process.argv;
const filename = join(out, 'main.cjs');
const source = readFileSync(filename, 'latin1');
const script = new Script(source, { filename });
const module = { exports: {} };
script.runInThisContext()(module.exports, createRequire(filename), module, filename, dirname(filename), (name) => import(name));

// What a command runs first is compiled too.
const store = mkdtempSync(join(tmpdir(), 'agentfw-cache-'));
process.env.AGENTFW_STATE_DIR = store;
try {
  for (const load of Object.values(module.exports.COMMANDS)) await load();
  await module.exports.main(['list'], `${dirname(dirname(out))}/`);
} finally {
  rmSync(store, { recursive: true, force: true });
}
const build = /\/\/ ([0-9a-f]{64})\n/.exec(source.slice(0, 200))[1];
const cache = join(out, 'main.cache');
writeFileSync(`${cache}.new`, Buffer.concat([Buffer.from(build, 'latin1'), script.createCachedData()]));
renameSync(`${cache}.new`, cache);
