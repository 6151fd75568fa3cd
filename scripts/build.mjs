// Bundles the compiled product into dist/fast, so that a command loads what it
// needs and nothing else (docs/adr/0006).
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { loadBytes } from '../dist/policy/load.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const out = `${root}dist/fast`;

// What of oclif only help, colour and stack traces need: loaded from its own package at first use.
const LATE = /@oclif\/core\/lib\/(help\/(index|util)|config\/\w+|ux\/\w+|errors\/handle|util\/(fs|ids)|module-loader|screen)\.js$/;
const LATE_PACKAGES = /^(ejs|minimatch|ansis|supports-color|clean-stack|wrap-ansi|indent-string)$/;

/** A stand-in that loads the real module when something of it is used. */
const late = (expression) => ({
  contents: `let real;
    const load = () => (real ??= ${expression});
    module.exports = new Proxy(function () {}, { get: (_, key) => (key === '__esModule' ? true : load()[key]) });`,
  loader: 'js',
});
const latePackage = (name) => late(`__late(${JSON.stringify(name)})`);
const lateFile = (path) => late(`__late(__late.resolve('@oclif/core').replace(/index.js$/, ${JSON.stringify(path)}))`);

/** oclif's parser and flags without the rest of oclif. */
const slimOclif = {
  name: 'slim-oclif',
  setup(bundle) {
    // Running, help and the manifest use the real class; a bundled command needs only its constructor.
    bundle.onLoad({ filter: /@oclif\/core\/lib\/command\.js$/ }, () => ({
      contents: 'exports.Command = class { constructor(argv, config) { this.argv = argv; this.config = config; } };',
      loader: 'js',
    }));
    bundle.onLoad({ filter: LATE }, ({ path }) => lateFile(path.split('@oclif/core/lib/').at(-1)));
    bundle.onLoad({ filter: /@oclif\/core\/package\.json$/ }, () => ({ contents: '{}', loader: 'json' }));
    bundle.onResolve({ filter: LATE_PACKAGES }, ({ path }) => ({ path, namespace: 'late' }));
    bundle.onResolve({ filter: /^node:(os|readline)$/ }, ({ path, importer }) =>
      importer.includes('@oclif/core/') ? { path, namespace: 'late' } : null);
    bundle.onResolve({ filter: /^node:crypto$/ }, ({ path, importer }) => (importer.includes('/ulid/') ? { path, namespace: 'late' } : null));
    bundle.onResolve({ filter: /^debug$/ }, ({ path }) => ({ path, namespace: 'silent' }));
    bundle.onLoad({ filter: /./, namespace: 'late' }, ({ path }) => latePackage(path));
    bundle.onLoad({ filter: /./, namespace: 'silent' }, () => ({
      contents: 'const silent = () => Object.assign(() => {}, { enabled: false, extend: silent }); module.exports = silent;',
      loader: 'js',
    }));
  },
};

// Node's own modules that few commands use: each takes milliseconds to load.
const LATE_BUILTIN = /(\w+\s*=\s*)require\("(node:(?:crypto|zlib|child_process|net|dgram|os|readline|http|https|dns|v8|worker_threads))"\)/g;

/**
 * What `bin/run.js` runs: a function, as it is compiled with a code cache and
 * not by Node's loader. A cache belongs to the build whose name is in both.
 */
function wrapped(text) {
  const body = text
    .replace(LATE_BUILTIN, '$1__later("$2")')
    // Only a module that Node's loader compiled may import.
    .replace(/\bimport\("/g, '__import("');
  const build = createHash('sha256').update(body).digest('hex');
  return `(function (exports, require, module, __filename, __dirname, __import) { // ${build}\n${body}\n})\n`;
}

const BANNER = `
const __late = require, __url = require('node:url').pathToFileURL(__filename).href;
const __later = (name) => { let real; return new Proxy({}, { get: (_, key) => (real ??= require(name))[key] }); };`;

/** Shipped profiles as documents, by the digest of their text: a first run reads no YAML. */
async function shippedDocuments() {
  const documents = new Map();
  for (const name of (await readdir(`${root}profiles`)).filter((file) => file.endsWith('.yaml')).sort()) {
    const bytes = await readFile(`${root}profiles/${name}`);
    const digest = createHash('sha256').update(bytes).digest('hex');
    const result = await loadBytes(`profiles/${name}`, bytes, digest);
    if (result.kind !== 'ok') throw new Error(`profiles/${name}: ${JSON.stringify(result)}`);
    documents.set(digest, JSON.stringify(result.document));
  }
  return documents;
}

const documents = await shippedDocuments();
const shipped = `profiles-${createHash('sha256').update([...documents].flat().join('\n')).digest('hex').slice(0, 16)}`;
await mkdir(`${out}/${shipped}`, { recursive: true });
for (const [digest, text] of documents) await writeFile(`${out}/${shipped}/${digest}.json`, text);
const { outputFiles } = await build({
  entryPoints: [`${root}dist/ui/main.js`, `${root}dist/ui/sweep.js`],
  outdir: out,
  write: false,
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20',
  // Flat, because src/kernel/*.ts find the addon and the driver two directories up.
  entryNames: '[name]',
  outExtension: { '.js': '.cjs' },
  define: { 'import.meta.url': '__url', SHIPPED_DOCUMENTS: JSON.stringify(shipped) },
  minifySyntax: true,
  legalComments: 'none',
  external: ['@oclif/core/run', '@inquirer/core', 'execa', 'tar', 'yaml', 'zod', 'tldts'],
  banner: { js: BANNER },
  plugins: [slimOclif],
  logLevel: 'warning',
});
// A command that starts meanwhile finds the old build or the new one.
for (const { path, text } of outputFiles) {
  await writeFile(`${path}.new`, basename(path) === 'main.cjs' ? wrapped(text) : text);
  await rename(`${path}.new`, path);
}
for (const name of await readdir(out)) {
  if (name.startsWith('profiles-') && name !== shipped) await rm(`${out}/${name}`, { recursive: true });
}
const made = spawnSync(process.execPath, [`${root}scripts/codecache.mjs`, out], { encoding: 'utf8', timeout: 60_000 });
if (made.status !== 0) console.error(`can't make the code cache: ${made.stderr}`);
process.exitCode = made.status ?? 1;
