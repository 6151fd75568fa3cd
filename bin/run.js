#!/usr/bin/env node
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const { main } = createRequire(import.meta.url)('../dist/fast/main.cjs');
await main(process.argv.slice(2), fileURLToPath(new URL('..', import.meta.url)));
