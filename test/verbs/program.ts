/**
 * Random sequences of verbs against what they must do, in the directory where
 * it is started: `program REPOSITORY STEPS SEED…`. Prints what does not hold.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { toText } from '../../src/bytes.js';
import { openStore } from '../../src/sandbox/store.js';
import { processContext } from '../../src/ui/context.js';
import { Episode, treeOf } from './episode.js';
import { startServer } from './server.js';

const [repository = '', steps = '', ...seeds] = process.argv.slice(2);
const project = process.cwd();
const at = join(process.env['TMPDIR'] ?? '/tmp', 'view');
mkdirSync(at);
const server = startServer(join(repository, 'test/verbs/inside.py'), at, { ...process.env, OPS_DIR: join(repository, 'test/helpers') });
const store = openStore(processContext());
const failures: { readonly seed: number; readonly bad: readonly string[]; readonly log: readonly string[] }[] = [];

for (const word of seeds) {
  const seed = Number(word);
  const root = treeOf(project, seed);
  const tags = [`a${seed}`, `b${seed}`];
  const log: string[] = [];
  await server.make(root, `${seed}`);
  for (const tag of tags) execFileSync(process.execPath, [join(repository, 'bin/run.js'), 'run', '--tag', tag, '--net', 'off', '--', 'true'], { cwd: toText(root), stdio: ['ignore', 'ignore', 'pipe'] });
  const bad = await new Episode({ store, server, root, tags, seed, say: (line) => log.push(line) }).run(Number(steps));
  if (bad.length > 0) failures.push({ seed, bad, log });
}
await server.end();
process.stdout.write(`${JSON.stringify(failures)}\n`);
