// Writes policy.schema.json from src/policy/schema.ts, for editors. `--check`
// only compares, for CI.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { z } from 'zod';

const root = fileURLToPath(new URL('..', import.meta.url));
const file = `${root}policy.schema.json`;

// Bundled in memory, so that no build is needed and none can be stale.
const { outputFiles } = await build({
  entryPoints: [`${root}src/policy/schema.ts`],
  bundle: true,
  write: false,
  format: 'esm',
  platform: 'node',
});
const { policySchema } = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`);
const { $schema, ...schema } = z.toJSONSchema(policySchema, { io: 'input' });
const text = `${JSON.stringify({ $schema, title: 'agentfw policy', ...schema }, null, 2)}\n`;

if (!process.argv.includes('--check')) writeFileSync(file, text);
else if (present() !== text) {
  console.error('policy.schema.json differs from src/policy/schema.ts: run node scripts/schema.mjs');
  process.exitCode = 1;
}

function present() {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return '';
    throw error;
  }
}
