// Makes `npx agentfw` in the checkout run the checkout: npm links the commands of
// dependencies, but not those of the package it stands in.
import { mkdir, rm, symlink } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const bin = fileURLToPath(new URL('../node_modules/.bin', import.meta.url));
await mkdir(bin, { recursive: true });
await rm(`${bin}/agentfw`, { force: true });
await symlink('../../bin/run.js', `${bin}/agentfw`);
