/** What is told of crowds is what is told of each change by itself. */
import { chmodSync, constants, existsSync, lstatSync, linkSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fromText } from '../../../src/bytes.js';
import { appendBases, capturedOf, openIndex } from '../../../src/changes/base.js';
import type { JudgedChange } from '../../../src/changes/change.js';
import { offerOf, WHOLE } from '../../../src/changes/offer.js';
import { weightOf } from '../../../src/changes/scan/crowd.js';
import { membersOf } from '../../../src/changes/scan/crowding.js';
import { unpacked } from '../../../src/changes/scan/unpack.js';
import { frameOf } from '../../../src/changes/journal/frames.js';
import { changesOf, countKinds, gather, someChange, type Gathered, type Question } from '../../../src/changes/gather.js';
import { changedPaths, countChanges, hasChanges } from '../../../src/changes/tally.js';
import { native } from '../../../src/kernel/native.js';
import { AT_FDCWD } from '../../../src/kernel/kernel.js';
import type { SandboxRecord } from '../../../src/sandbox/sandbox.js';
import { writePolicy } from '../../../src/sandbox/policy-file.js';
import type { Store } from '../../../src/sandbox/store.js';
import { summarise } from '../../../src/render/summary.js';
import { statText } from '../../../src/ui/stat.js';
import { testContext } from '../../helpers/context.js';
import { inMemory } from '../../helpers/memory.js';
import { policyOf } from '../../policy/make.js';
import { b } from '../../kernel/temp.js';
import { contextFor, makeWorld, type World } from '../world.js';

const ODD = ['touched', 'captured', 'linked', 'copied up', 'hidden', 'removed', 'parent', 'landed'] as const;

/** What a path is on the host and in the layer, and what happened to it. */
interface Spot {
  readonly path: string;
  readonly host: string | null;
  /** null: nothing in the layer */
  readonly layer: string | null;
  readonly mode: number;
  readonly odd: 'no' | (typeof ODD)[number];
}

const DIRS = ['', 'a/', 'a.d/', 'b/c/', 'b/', 'src/', 'src/deep/', '.github/workflows/', 'node_modules/.bin/', 'é/', 'own/', '.git/objects/ab/', '.git/refs/heads/', 'repo/objects/ab/', 'repo/refs/heads/'];
const FILES = Array.from({ length: 12 }, (_, n) => `f${n}.js`);
const NAMES = [...FILES, 'a', 'a.js', 'z', 'Makefile', 'package.json', 'a\\b', 'e ', 'long-name-of-a-file.txt', 'é', 'settings.json', '.git'];
const CONTENTS = ['', 'one\n', 'one\ntwo\n', 'two\n', 'x\0y', '#!/bin/sh\n', '\x7fELF', 'one\r\n', 'a longer text\nof three\nlines'];

const spot: fc.Arbitrary<Spot> = fc.record({
  path: fc.tuple(fc.oneof(fc.constantFrom('src/', 'src/deep/', 'a/', 'new/', 'new/deep/'), fc.constantFrom(...DIRS)), fc.oneof(fc.constantFrom(...FILES), fc.constantFrom(...NAMES))).map(([dir, name]) => dir + name),
  host: fc.oneof(fc.constant(null), fc.constantFrom(...CONTENTS)),
  layer: fc.oneof({ weight: 1, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.constant('whiteout') }, { weight: 8, arbitrary: fc.constantFrom(...CONTENTS) }),
  mode: fc.oneof({ weight: 20, arbitrary: fc.constant(0o644) }, { weight: 1, arbitrary: fc.constantFrom(0o755, 0o4755) }),
  odd: fc.oneof({ weight: 40, arbitrary: fc.constant('no' as const) }, { weight: 1, arbitrary: fc.constantFrom(...ODD) }),
}).map((one) => (one.path.startsWith('new/') ? { ...one, host: null } : one));

const POLICIES = [
  null,
  { bare: true },
  { bare: true, user: 'version: 1\nchanges:\n  commit: ["./src/**", "./b"]\n  discard: ["./a.d/**"]\n  escalate: ["./**/f2.js", "./own"]\n  thresholds: {deletions: 3, files: 12}\n' },
  { user: 'version: 1\nchanges:\n  commit: ["./**"]\n' },
] as const;

function plant(world: World, spots: readonly Spot[]): void {
  for (const { path, host, layer, mode } of spots) {
    for (const [root, content] of [[world.host, host], [world.upper, layer]] as const) {
      if (content === null) continue;
      const file = join(root, path);
      try {
        mkdirSync(dirname(file), { recursive: true });
        if (content === 'whiteout') native.mknod(AT_FDCWD, fromText(file), constants.S_IFCHR, 0);
        else {
          writeFileSync(file, content, { flag: 'wx' });
          chmodSync(file, root === world.host ? 0o644 : mode);
        }
      } catch (error) {
        // Two spots at odds: the first stays.
        if (!['EEXIST', 'ENOTDIR', 'EISDIR'].includes((error as NodeJS.ErrnoException).code ?? '') && !/EEXIST|ENOTDIR/.test(String(error))) throw error;
      }
    }
  }
}

/** False also where a file stands in the place of its directory. */
function isFile(path: string): boolean {
  const stat = native.statOrNull(AT_FDCWD, fromText(path));
  return stat !== null && (stat.mode & constants.S_IFMT) === constants.S_IFREG;
}

/** A moment after all that is there, which what comes next is not before. */
function markTime(world: World): bigint {
  const marker = join(world.top, 'marker');
  writeFileSync(marker, '');
  const t0 = lstatSync(marker, { bigint: true }).ctimeNs + 1n;
  while (lstatSync(marker, { bigint: true }).ctimeNs < t0) writeFileSync(marker, '');
  return t0;
}

function afterwards(world: World, spots: readonly Spot[]): void {
  const writer = openIndex(native, fromText(join(world.state, 'sandboxes', 'box')));
  for (const { path, odd } of new Map(spots.map((one) => [one.path, one])).values()) {
    const [host, upper] = [join(world.host, path), join(world.upper, path)];
    if (odd === 'captured') appendBases(writer, [{ path: fromText(host), base: capturedOf(native.statOrNull(AT_FDCWD, fromText(host)), 'file', '1') }]);
    if (odd === 'touched' && isFile(host)) writeFileSync(host, 'the host\n');
    if (odd === 'removed' && isFile(host)) rmSync(host);
    if (odd === 'parent' && path.includes('/') && existsSync(dirname(host)) && !existsSync(`${dirname(host)}.away`)) {
      renameSync(dirname(host), `${dirname(host)}.away`);
      mkdirSync(dirname(host));
    }
    if (odd === 'linked' && isFile(upper)) linkSync(upper, `${upper}.second`);
    if (odd === 'copied up' && isFile(upper)) native.setXattr(AT_FDCWD, fromText(upper), b('user.overlay.origin'), Buffer.alloc(0));
  }
  native.close(writer.fd);
  const landed = spots.filter(({ odd }) => odd === 'landed').map(({ path }) => `${fromText(join(world.host, path))}\x001 4 5 6 0\0`);
  writeFileSync(join(world.state, 'sandboxes', 'box', 'epochs'), frameOf('E', landed.join('')));
}

function recordOf(world: World, spots: readonly Spot[], t0: bigint, covered: readonly string[]): SandboxRecord {
  const { record } = contextFor(world, native, t0);
  const mounts = spots.filter(({ odd }) => odd === 'hidden').map(({ path }) => ({ path: fromText(join(world.host, path)), decision: 'hide', why: 'test' }));
  return { ...record, mounts, exit: { code: 0 }, layers: record.layers.map((layer) => ({ ...layer, covered: covered.map(fromText) })) };
}

function storeOf({ top, state }: World): Store {
  return { context: { ...testContext({ HOME: top }), now: () => new Date(Date.now() + 60_000) }, kernel: native, dir: fromText(state) };
}

/** Each change by itself, with what its representative was judged. */
function apart(shown: readonly JudgedChange[]): JudgedChange[] {
  return shown.flatMap((change) => {
    const { crowd, class: name, reason, conflict, verdict, rule } = change;
    const followers = crowd === undefined ? [] : membersOf(crowd.crowd).map((member) => ({ ...member, class: name, reason, conflict, verdict, rule }));
    return [{ ...change, crowd: undefined }, ...followers];
  });
}

function wordsOf(changes: readonly JudgedChange[], { contents }: Gathered): string[] {
  return changes.map((change) => {
    const { path, kind, from, type, class: name, reason, conflict, verdict, rule, at, upper, base, link, meta } = change;
    return JSON.stringify([path, kind, from, type, name, reason, conflict, verdict, rule, at, upper?.size, base?.size, link?.path, meta, summarise(change, contents)]);
  }).sort();
}

/** What a commit of everything asks of each. */
function asked(single: readonly JudgedChange[]): unknown[] {
  return single.map(({ path, kind, type, class: name, reason, conflict, link, meta }) => [path, kind, type, name === 'control' ? reason : null, conflict, link?.path, meta]);
}

/** What would land, and how. */
function landing(store: Store, record: SandboxRecord, gathered: Gathered): unknown {
  const { plan, digest, withheld } = offerOf(store, record, { gathered, wish: WHOLE });
  const steps = plan.steps.map(({ act, kind, type, path, method, layerEntry, group, covers, entries, origin, plain, old, fresh }) => {
    const within = entries === null ? null : [...entries].map((entry) => [entry.path, entry.type, entry.stat.ino, entry.stat.mode]);
    return [path, act, kind, type, method, layerEntry, group !== 0, covers, within?.sort(byFirst), entries?.length, origin, plain, old?.ctimeNs, fresh?.ctimeNs];
  });
  const { counts, refused, copyBytes, emptied, unmark } = plan;
  return [digest, withheld.map(({ path }) => path).sort(), counts, [...refused].map((one) => [one.path, one.why, one.text, one.conflict]).sort(byFirst), copyBytes, emptied, unmark, steps.sort(byFirst)];
}

function byFirst(a: readonly unknown[], b: readonly unknown[]): number {
  return String(a[0]) < String(b[0]) ? -1 : 1;
}

function packedIn({ single }: Gathered): number {
  return single.reduce((sum, change) => sum + weightOf(change) - 1, 0);
}

function tables(gathered: Gathered): string[] {
  const paint = (colour: string, text: string): string => `<${colour}>${text}</>`;
  return ['control', 'later', 'normal'].map((name) => Buffer.from(statText(gathered.shown.filter((change) => change.class === name), gathered.contents, paint)).toString());
}

/** A question that the directory answers in one, the name in another, and nothing elsewhere. */
function isNamed(name: string): Question {
  return {
    names: { literals: [name], endings: [], pieces: [] },
    of: ({ path }) => path.endsWith(`/${name}`) || path.includes('/host/src/deep/') || path.endsWith('/a/f3.js'),
    within: (dir) => (dir.endsWith('/host/a') ? null : `${dir}/`.includes('/host/src/deep/')),
  };
}

/** How many changes followed another one where they were shown, and where they landed. */
interface Followers {
  readonly shown: number;
  readonly landed: number;
}

function expectSame(store: Store, record: SandboxRecord): Followers {
  const [single, crowded] = [gather(store, record, { look: 'lines' }), gather(store, record, { look: 'lines', crowds: 'shown' })];
  const [silent, landed] = [gather(store, record, { controlOnly: true }), gather(store, record, { controlOnly: true, crowds: 'landed' })];
  try {
    expect(wordsOf(apart(crowded.shown), crowded)).toEqual(wordsOf(single.shown, single));
    expect(tables(crowded)).toEqual(tables(single));
    expect(asked(silent.single)).toEqual(asked(single.single));
    expect(asked(unpacked(landed.single)).map(textOf).sort()).toEqual(asked(single.single).map(textOf).sort());
    expect(landing(store, record, landed)).toEqual(landing(store, record, silent));
    expect(silent.single.every(({ look }) => look === null || look === undefined)).toBe(true);
    expect([crowded.ruled?.counts, crowded.ruled?.exceeded, crowded.ruled?.held]).toEqual([single.ruled?.counts, single.ruled?.exceeded, single.ruled?.held]);
    expect(countKinds(crowded.shown)).toEqual(countKinds(single.shown));
    expect(countChanges(store, record)).toEqual(countKinds(single.single));
    expect(changedPaths(store, record).sort()).toEqual(single.single.map(({ path }) => path).sort());
    expect(hasChanges(store, record)).toBe(single.single.length > 0);
    const changes = changesOf(store, record);
    for (const one of ['f2.js', 'f9.js']) expect(someChange(store, record, isNamed(one))).toBe(changes.some(isNamed(one).of));
    return { shown: crowded.shown.reduce((sum, change) => sum + weightOf(change) - 1, 0), landed: packedIn(landed) };
  } finally {
    for (const { contents } of [single, crowded, silent, landed]) contents.close();
  }
}

function textOf(words: unknown): string {
  return JSON.stringify(words);
}

/** A text of the host became binary, and has a new name that came to no text. */
const NAMED_TWICE: Spot[] = [{ path: 'f0.js', host: 'one\ntwo\n', layer: 'x\0y', mode: 0o644, odd: 'linked' }, { path: 'src/f0.js', host: null, layer: '', mode: 0o644, odd: 'no' }];

test('whatever changed, was judged and is hidden', async () => {
  const followers = { shown: 0, landed: 0 };
  const many = fc.array(spot, { minLength: 1, maxLength: 100, size: 'max' });
  await fc.assert(fc.asyncProperty(many, fc.constantFrom(...POLICIES), fc.constantFrom([], ['b/c'], ['src', 'f1.js']), fc.boolean(), fc.boolean(), async (all, layers, covered, isWhole, deletes) => {
    // What may be a rename is not in a crowd.
    const spots = deletes ? all : all.filter(({ layer }) => layer !== 'whiteout');
    const world = makeWorld({ under: inMemory() });
    try {
      plant(world, spots);
      const t0 = markTime(world);
      afterwards(world, spots);
      const record = recordOf(world, spots, t0, covered);
      if (layers !== null) writePolicy(storeOf(world), 'box', { version: 1, policy: await policyOf({ ...layers, root: world.host, home: world.top }), notes: [], withheld: [] });
      const found = expectSame(storeOf(world), isWhole ? record : { ...record, cwd: fromText(join(world.host, 'src')) });
      followers.shown += found.shown;
      followers.landed += found.landed;
    } finally {
      world.remove();
    }
  }), { numRuns: 80, examples: [[NAMED_TWICE, null, [], true, false]] });

  expect(followers.shown).toBeGreaterThan(20);
  expect(followers.landed).toBeGreaterThan(20);
}, 120_000);

test('more additions and deletions of one size than are compared, and names that sort before a slash', () => {
  const world = makeWorld({ under: inMemory() });
  try {
    const range = Array.from({ length: 1100 }, (_, n) => n);
    const rest = { mode: 0o644, odd: 'no' } as const;
    plant(world, range.flatMap((n): Spot[] => [
      { ...rest, path: `a/f${n}`, host: null, layer: `${10_000 + n}\n` }, { ...rest, path: `old/f${n}`, host: `${20_000 + n}\n`, layer: 'whiteout' },
      { ...rest, path: `a.${n}`, host: 'text\n', layer: 'another\n' },
      // Wider than a column is.
      { ...rest, path: `b/${'n'.repeat(n % 40 === 0 ? 230 : 20)}${n}`, host: null, layer: `${n % 2 ? '\x7fELF' : 'text\n'}` },
    ]));
    // A pair that would be a rename, were there no others of its size.
    plant(world, [{ ...rest, path: 'Makefile', host: null, layer: '99999\n' }, { ...rest, path: 'package.json', host: '99999\n', layer: 'whiteout' }]);

    const followers = expectSame(storeOf(world), recordOf(world, [], markTime(world), []));
    expect(followers.shown).toBeGreaterThan(3000);
    expect(followers.landed).toBeGreaterThan(2000);
  } finally {
    world.remove();
  }
});
