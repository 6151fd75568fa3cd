// Bundles the compiled product into dist/fast, so that a command loads what it
// needs and nothing else (docs/adr/0006).
import { rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

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
    bundle.onResolve({ filter: /^debug$/ }, ({ path }) => ({ path, namespace: 'silent' }));
    bundle.onLoad({ filter: /./, namespace: 'late' }, ({ path }) => latePackage(path));
    bundle.onLoad({ filter: /./, namespace: 'silent' }, () => ({
      contents: 'const silent = () => Object.assign(() => {}, { enabled: false, extend: silent }); module.exports = silent;',
      loader: 'js',
    }));
  },
};

await rm(out, { recursive: true, force: true });
await build({
  entryPoints: [`${root}dist/ui/main.js`, `${root}dist/ui/sweep.js`],
  outdir: out,
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20',
  // Flat, because src/kernel/*.ts find the addon and the driver two directories up.
  entryNames: '[name]',
  outExtension: { '.js': '.cjs' },
  define: { 'import.meta.url': '__url' },
  minifySyntax: true,
  legalComments: 'none',
  external: ['@oclif/core/run', '@inquirer/prompts', 'execa', 'tar', 'yaml', 'zod', 'tldts'],
  banner: { js: "const __late = require, __url = require('node:url').pathToFileURL(__filename).href;" },
  plugins: [slimOclif],
  logLevel: 'warning',
});
