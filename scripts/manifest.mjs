// Writes oclif.manifest.json from the compiled commands, so that help and the
// version load none of them. `--check` only compares, for CI.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Plugin } from '@oclif/core';

const root = fileURLToPath(new URL('..', import.meta.url));
const file = `${root}oclif.manifest.json`;

/** Keys in one order everywhere, and nothing of the machine that made it. */
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key])]),
  );
}

const plugin = new Plugin({ root, isRoot: true, ignoreManifest: true, errorOnManifestCreate: true });
await plugin.load();
const text = `${JSON.stringify(sorted(plugin.manifest), null, 2)}\n`;

if (process.argv.includes('--check')) {
  let present = '';
  try {
    present = readFileSync(file, 'utf8');
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
  if (present !== text) {
    console.error('oclif.manifest.json differs from the commands: run npm run build:manifest');
    process.exitCode = 1;
  }
} else {
  writeFileSync(file, text);
}
