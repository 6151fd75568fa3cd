/** The runner as one file that Node can start without a TypeScript loader. */
import { chmodSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

export async function bundleRunner(source = 'runner.ts'): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'afw-crash-'));
  // Other users run it too.
  chmodSync(dir, 0o755);
  const outfile = join(dir, 'runner.mjs');
  await build({
    entryPoints: [join(import.meta.dirname, source)],
    ...{ outfile, bundle: true, platform: 'node', format: 'esm', target: 'node20', logLevel: 'warning' },
    banner: { js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);" },
    // The addon is found relative to the source that loads it.
    define: { 'import.meta.url': JSON.stringify(pathToFileURL(join(import.meta.dirname, '../../src/kernel/native.ts')).href) },
  });
  return outfile;
}
