/**
 * Random file operations run natively on a copy and in a
 * sandbox on the original must look the same, leave the host alone, land, and
 * be taken back by an undo.
 * AGENTFW_PROPERTY_SEEDS sets how many seeds, AGENTFW_PROPERTY_FIRST the first.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, helpers, identities, jsonOf, python, type Area } from '../helpers/sandbox.js';

type Entry = Readonly<Record<string, unknown>>;
type Dump = Readonly<Record<string, Entry>>;
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
      gated.test(`seeds ${seeds[0]} to ${seeds.at(-1)}${fifos ? ' with FIFOs' : ''}: the view equals a native run, the host stays, a commit lands it, an undo takes it back`, async () => {
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
  const env = { FIFOS: fifos ? '1' : '0', TIMES: '1' };
  await succeed(area, [python, interpreter, 'make', tree, ...seeds]);
  await succeed(area, ['cp', '-a', tree, copy]);
  const before = await dumpOf(area, tree);

  const expected = jsonOf<Results>(await area.native([python, interpreter, 'run', copy, ...seeds], { env }));
  const inside = await area.cli(
    ['run', '--tag', name, '--net', 'off', '--env', 'FIFOS', '--env', 'TIMES', '--', python, interpreter, 'run', tree, ...seeds],
    { env },
  );

  expect(inside.status, inside.stderr).toBe(0);
  expect(differences(jsonOf<Results>(inside), expected), 'the view against the native run').toEqual([]);
  expect(unequal(await dumpOf(area, tree), before), 'the host after the run').toEqual([]);

  const commit = await area.cli(['commit', '--tag', name, '--yes', ...(fifos ? ['--keep-special'] : [])]);
  expect(commit.status, commit.stdout + commit.stderr).toBe(0);
  const [landed, native] = [await dumpOf(area, tree), await dumpOf(area, copy)];
  const apart = partedLinks(native, before);
  const seen = (dump: Dump): Dump => withoutLinks(withoutWritten(dump, before), apart);
  expect(unequal(seen(landed), seen(asLanded(native, before))), 'the host after the commit').toEqual([]);

  const rest = await area.cli(['diff', '--tag', name, '--name-only']);
  expect(rest.stdout, 'what a second diff still shows').toBe('');

  const undo = await area.cli(['undo']);
  expect(undo.status, undo.stdout + undo.stderr).toBe(0);
  expect(unequal(withoutWritten(await dumpOf(area, tree), before), withoutWritten(before, before)), 'the host after the undo').toEqual([]);
}

/** A time alone is no change, nor does one go along with a mode or an attribute: the host's file keeps its own. */
function asLanded(native: Dump, before: Dump): Dump {
  const isSame = (a: Entry | undefined, b: Entry): boolean => ['type', 'sha', 'target'].every((key) => a?.[key] === b[key]);
  return Object.fromEntries(Object.entries(native).map(([path, entry]) => [path, isSame(before[path], entry) ? { ...entry, mtime: before[path]?.['mtime'] } : entry]));
}

/** A directory of the host has the time at which the last thing landed in it. */
function withoutWritten(dump: Dump, before: Dump): Dump {
  const isOfHost = (path: string): boolean => [dump[path], before[path]].every((entry) => entry?.['type'] === 'dir');
  return Object.fromEntries(Object.entries(dump).map(([path, entry]) => [path, isOfHost(path) ? { ...entry, mtime: null } : entry]));
}

async function succeed(area: Area, argv: readonly string[]): Promise<void> {
  const outcome = await area.native(argv);
  expect(outcome.status, outcome.stderr).toBe(0);
}

async function dumpOf(area: Area, tree: string): Promise<Dump> {
  return jsonOf<Dump>(await area.native([python, interpreter, 'dump', tree], { env: { TIMES: '1' } }));
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

/** A new name of a file that others may read by now lands as a file of its own (docs/commit.md): the names of all that changed so. */
function partedLinks(native: Dump, before: Dump): ReadonlySet<string> {
  const isOther = (path: string): boolean => before[path] !== undefined && ['mode', 'xattrs'].some((key) => JSON.stringify(before[path]?.[key]) !== JSON.stringify(native[path]?.[key]));
  const groups = Object.values(native).flatMap(({ links }) => (links === undefined ? [] : [links as readonly string[]]));
  return new Set(groups.filter((names) => names.some(isOther)).flat());
}

/**
 * In user mode the kernel keeps two inode numbers for a base file and its new
 * link, though they are one file: names can't be grouped in the view. On the
 * host they are (E57, E119).
 */
function withoutLinks(dump: Dump, apart: ReadonlySet<string> = new Set(Object.keys(dump))): Dump {
  return Object.fromEntries(Object.entries(dump).map(([path, { links, ...entry }]) => [path, links === undefined || apart.has(path) ? entry : { ...entry, links }]));
}

function unequal(actual: Dump, expected: Dump): readonly string[] {
  const paths = [...new Set([...Object.keys(actual), ...Object.keys(expected)])].sort();
  return paths
    .filter((path) => JSON.stringify(actual[path]) !== JSON.stringify(expected[path]))
    .map((path) => `${JSON.stringify(path)} is ${JSON.stringify(actual[path])} instead of ${JSON.stringify(expected[path])}`);
}
