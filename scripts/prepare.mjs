// What `npm ci` runs last: driver, TypeScript, bundle. Skips what is up to date,
// because `npx` in the checkout prepares the package again each time its cache is empty.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const time = (name) => statSync(root + name, { throwIfNoEntry: false })?.mtimeMs ?? 0;
const newest = (dir) => Math.max(...readdirSync(root + dir, { recursive: true }).map((name) => time(`${dir}/${name}`)));

function step(command, ...args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error) console.error(`can't run ${command}: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}

step('make', '-s', '-C', 'driver');
const sources = Math.max(newest('src'), newest('scripts'), newest('profiles'), time('tsconfig.build.json'), time('package-lock.json'));
if (time('dist/fast/main.cjs') < sources) {
  step(process.execPath, 'node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json');
  step(process.execPath, 'scripts/build.mjs');
}
// npm links the commands of dependencies, but not those of the package it stands in.
mkdirSync(`${root}node_modules/.bin`, { recursive: true });
rmSync(`${root}node_modules/.bin/agentfw`, { force: true });
symlinkSync('../../bin/run.js', `${root}node_modules/.bin/agentfw`);
