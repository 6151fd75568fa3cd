/** A bare command line over `runSandbox`, so that tests of the run path need no other command. */
import { writeSync } from 'node:fs';
import { fromText } from '../../src/bytes.js';
import { AgentfwError } from '../../src/errors.js';
import { runSandbox } from '../../src/sandbox/run.js';
import { processContext } from '../../src/ui/context.js';

const words = process.argv.slice(2);
const cut = words.indexOf('--');
const flags = words.slice(0, cut);
const value = (name: string): string | null => flags[flags.indexOf(`--${name}`) + 1 || -1] ?? null;
const all = (name: string): readonly string[] => flags.flatMap((word, at) => (word === `--${name}` ? [flags[at + 1] ?? ''] : []));
const net = value('net');

process.exitCode = await runSandbox({
  context: processContext(),
  argv: words.slice(cut + 1).map(fromText),
  tag: value('tag'),
  resume: value('in'),
  net: net === 'off' || net === 'allow' || net === 'ask' || net === 'deny' ? net : null,
  rm: flags.includes('--rm'),
  durable: flags.includes('--durable'),
  detach: flags.includes('--detach'),
  nested: 'allow',
  hide: all('hide').map(fromText),
  passthrough: all('passthrough').map(fromText),
  share: all('share').map(fromText),
  env: all('env').map((entry) => {
    const at = entry.indexOf('=');
    return at < 0 ? { name: entry, value: null } : { name: entry.slice(0, at), value: entry.slice(at + 1) };
  }),
  self: [process.execPath, ...process.execArgv, ...process.argv.slice(1)],
  say: (line) => void writeSync(2, `${line}\n`),
  onDetached: (tag) => void writeSync(1, `${tag}\n`),
}).catch((error: unknown) => {
  const known = error instanceof AgentfwError;
  writeSync(2, `Error: ${known ? error.message : String(error instanceof Error ? error.stack : error)}\n`);
  if (known && error.hint !== null) writeSync(2, `Hint: ${error.hint}\n`);
  return known ? error.status : 70;
});
