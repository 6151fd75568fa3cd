#!/usr/bin/env node
// CommonJS: Node's loader of modules takes 4 ms more.
const { readFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const { dirname, resolve } = require('node:path');
const { Script } = require('node:vm');

const root = resolve(__dirname, '..');
const filename = `${root}/dist/fast/main.cjs`;

/** The bundle, compiled before where Node and the build are the same (docs/adr/0006). */
function load() {
  const source = readFileSync(filename, 'latin1');
  const script = new Script(source, { filename, cachedData: cacheFor(source) });
  const module = { exports: {} };
  script.runInThisContext()(module.exports, createRequire(filename), module, filename, dirname(filename), (name) => import(name));
  return module.exports;
}

/** V8 compares its version, its flags and the length of the source; the build's name does the rest. */
function cacheFor(source) {
  try {
    const cache = readFileSync(`${root}/dist/fast/main.cache`);
    const build = /\/\/ ([0-9a-f]{64})\n/.exec(source.slice(0, 200))?.[1] ?? '';
    return cache.latin1Slice(0, build.length) === build && build !== '' ? cache.subarray(build.length) : undefined;
  } catch {
    return undefined;
  }
}

load().main(process.argv.slice(2), `${root}/`);
