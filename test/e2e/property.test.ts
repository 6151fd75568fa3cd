/**
 * Random file operations run natively on a copy and in a
 * sandbox on the original must look the same, leave the host alone, and land.
 * AGENTFW_PROPERTY_SEEDS sets how many seeds, AGENTFW_PROPERTY_FIRST the first.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, helpers, identities, jsonOf, python, type Area } from '../helpers/sandbox.js';

type Dump = Readonly<Record<string, Readonly<Record<string, unknown>>>>;
type Results = Readonly<Record<string, { readonly log: readonly string[]; readonly dump: Dump }>>;

const interpreter = join(helpers, 'ops.py');
const total = Number(process.env['AGENTFW_PROPERTY_SEEDS'] ?? 100);
const first = Number(process.env['AGENTFW_PROPERTY_FIRST'] ?? 1);
const batch = 25;

for (const identity of identities()) {
  needs('userns', 'overlay', 'python').describe(`random file operations as ${identity.name}`, () => {
    const gated = needs('python');
    let area: Area;
    beforeAll(() => { area = createArea(identity); });
    afterAll(() => area.remove(), 120_000);

    for (let start = first; start < first + total; start += batch) {
      const seeds = Array.from({ length: Math.min(batch, first + total - start) }, (_, n) => String(start + n));
      // A quarter of the batches makes FIFOs too.
      const fifos = ((start - first) / batch) % 4 === 3;
      gated.test(`seeds ${seeds[0]} to ${seeds.at(-1)}${fifos ? ' with FIFOs' : ''}: the view equals a native run, the host stays, a commit lands it`, async () => {
        await prove(area, { seeds, fifos });
      });
    }
  });
}

interface Batch {
  readonly seeds: readonly string[];
  readonly fifos: boolean;
}

async function prove(area: Area, { seeds, fifos }: Batch): Promise<void> {
  const name = `batch${seeds[0]}`;
  const tree = join(area.project, name);
  const copy = join(area.dir, `${name}-native`);
  const env = { FIFOS: fifos ? '1' : '0' };
  await succeed(area, [python, interpreter, 'make', tree, ...seeds]);
  await succeed(area, ['cp', '-a', tree, copy]);
  const before = await dumpOf(area, tree);

  const expected = jsonOf<Results>(await area.native([python, interpreter, 'run', copy, ...seeds], { env }));
  const inside = await area.cli(
    ['run', '--tag', name, '--net', 'off', '--env', 'FIFOS', '--', python, interpreter, 'run', tree, ...seeds],
    { env },
  );

  expect(inside.status, inside.stderr).toBe(0);
  expect(differences(jsonOf<Results>(inside), expected), 'the view against the native run').toEqual([]);
  expect(unequal(await dumpOf(area, tree), before), 'the host after the run').toEqual([]);

  const commit = await area.cli(['commit', '--tag', name, '--yes', ...(fifos ? ['--keep-special'] : [])]);
  expect(commit.status, commit.stdout + commit.stderr).toBe(0);
  const [landed, native] = [await dumpOf(area, tree), await dumpOf(area, copy)];
  expect(unequal(landed, native), 'the host after the commit').toEqual([]);

  const rest = await area.cli(['diff', '--tag', name, '--name-only']);
  expect(rest.stdout, 'what a second diff still shows').toBe('');
}

async function succeed(area: Area, argv: readonly string[]): Promise<void> {
  const outcome = await area.native(argv);
  expect(outcome.status, outcome.stderr).toBe(0);
}

async function dumpOf(area: Area, tree: string): Promise<Dump> {
  return jsonOf<Dump>(await area.native([python, interpreter, 'dump', tree]));
}

/** Per seed the first operation that went differently, else the paths that differ. */
function differences(actual: Results, expected: Results): readonly string[] {
  return Object.keys(expected).flatMap((seed) => {
    const [a, e] = [actual[seed], expected[seed]];
    const step = e?.log.findIndex((line, n) => a?.log[n] !== line) ?? -1;
    if (step >= 0) return [`seed ${seed}, operation ${step}: ${a?.log[step]} instead of ${e?.log[step]}`];
    return unequal(withoutLinks(a?.dump ?? {}), withoutLinks(e?.dump ?? {})).map((line) => `seed ${seed}: ${line}`);
  });
}

/**
 * In user mode the kernel keeps two inode numbers for a base file and its new
 * link, though they are one file: names can't be grouped in the view. On the
 * host they are (E57, E119).
 */
function withoutLinks(dump: Dump): Dump {
  return Object.fromEntries(Object.entries(dump).map(([path, { links: _, ...entry }]) => [path, entry]));
}

function unequal(actual: Dump, expected: Dump): readonly string[] {
  const paths = [...new Set([...Object.keys(actual), ...Object.keys(expected)])].sort();
  return paths
    .filter((path) => JSON.stringify(actual[path]) !== JSON.stringify(expected[path]))
    .map((path) => `${JSON.stringify(path)} is ${JSON.stringify(actual[path])} instead of ${JSON.stringify(expected[path])}`);
}
