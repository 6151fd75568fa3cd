import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import { openBase, readBase, readBases, type CapturedBase } from '../../src/changes/base.js';
import { startCapture, type Capture } from '../../src/changes/capture/capture.js';
import { native } from '../../src/kernel/native.js';
import { contextFor, makeWorld, sh, type World } from './world.js';

let world: World;
let capture: Capture | null;
beforeEach(() => {
  world = makeWorld();
  capture = null;
});
afterEach(() => {
  capture?.stop();
  world.remove();
});

const sandboxDir = (): ReturnType<typeof fromText> => fromText(join(world.state, 'sandboxes/box'));
function start(limits: { readonly fileBytes?: number; readonly totalBytes?: number } = {}): Capture {
  const { kernel, record } = contextFor(world, native);
  capture = startCapture({ kernel, sandboxDir: sandboxDir(), layers: record.layers, t0: record.t0, fileBytes: 1 << 20, totalBytes: 1 << 30, ...limits });
  return capture;
}
function bases(): Record<string, CapturedBase['state']> {
  return Object.fromEntries([...readBases(native, sandboxDir())].map(([path, { state }]) => [path.slice(world.host.length + 1), state]));
}
const settled = async (): Promise<void> => {
  // Watch events come through the loop, in their own time.
  for (let turn = 0; turn < 20; turn += 1) await new Promise((done) => setTimeout(done, 5));
};

test('keeps content and identity of each path that comes up in a layer, and says what had none', async () => {
  sh(world, 'mkdir -p $H/d/e; echo x >$H/d/e/x; echo f >$H/f; ln -s t $H/l; mkfifo $H/p');
  start();
  sh(world, 'mkdir -p $U/d/e; echo X >$U/d/e/x; wh $U/f; ln -s T $U/l; mkfifo $U/p; echo n >$U/new');
  await settled();
  capture?.settle();

  expect(bases()).toEqual({ d: 'dir', 'd/e': 'dir', 'd/e/x': 'file', f: 'file', l: 'symlink', new: 'absent', p: 'other' });
  const found = readBases(native, sandboxDir());
  const x = found.get(fromText(join(world.host, 'd/e/x')));
  expect(readFileSync(openBase(native, sandboxDir(), x as CapturedBase), 'utf8')).toBe('x\n');
  expect(found.get(fromText(join(world.host, 'l')))?.detail).toBe('t');
  const read = (longest: number): string | undefined => readBase(native, sandboxDir(), x as CapturedBase, longest)?.toString();
  expect([read(2), read(1)]).toEqual(['x\n', undefined]);
  sh(world, `rm -r ${join(world.state, 'sandboxes/box/base')}`);
  expect(read(2)).toBeUndefined();
});
test('the first record of a path counts, also after a second start', async () => {
  sh(world, 'echo 1 >$H/f; echo a >$U/f');
  start().stop();
  sh(world, 'echo 2 >$H/f; echo b >$U/f');
  start();
  await settled();
  capture?.settle();

  const file = readBases(native, sandboxDir()).get(fromText(join(world.host, 'f')));
  expect(readFileSync(openBase(native, sandboxDir(), file as CapturedBase), 'utf8')).toBe('1\n');
});
test('directories that are made while one looks are found whole (race of new watches)', async () => {
  for (let n = 0; n < 50; n += 1) mkdirSync(join(world.host, `${n}/a/b`), { recursive: true });
  start();
  for (let n = 0; n < 50; n += 1) {
    mkdirSync(join(world.upper, `${n}/a/b`), { recursive: true });
    writeFileSync(join(world.upper, `${n}/a/b/f`), '');
    if (n % 10 === 0) await settled();
  }
  const counts = capture?.stop();
  capture = null;

  expect(Object.keys(bases())).toHaveLength(200);
  expect(counts).toEqual({ captured: 200, unknown: 0, unwatched: 0 });
});
test('below a directory that the base lacks there is nothing to keep', () => {
  sh(world, 'mkdir -p $U/n/m; echo f >$U/n/m/f');
  start().stop();
  capture = null;

  expect(bases()).toEqual({ n: 'absent' });
});
test('limits per file and in total: what is beyond them is marked unknown', () => {
  sh(world, 'head -c 5000 /dev/zero >$H/big; for n in 1 2 3; do head -c 900 /dev/zero >$H/$n; done; for f in big 1 2 3; do echo x >$U/$f; done');
  const counts = start({ fileBytes: 1000, totalBytes: 2000 }).stop();
  capture = null;
  const states = Object.values(bases());

  // A filesystem that clones needs no limits.
  if (counts.unknown > 0) expect(states.filter((state) => state === 'unknown')).toHaveLength(2);
  else expect(new Set(states)).toEqual(new Set(['file']));
});
test('a later run of the sandbox keeps what comes up in directories that an earlier one had opened', async () => {
  sh(world, 'mkdir -p $H/d/e; for f in a b c; do echo $f >$H/d/e/$f; done');
  sh(world, 'mkdir -p $U/d/e; echo A >$U/d/e/a');
  start().stop();
  expect(bases()).toEqual({ d: 'dir', 'd/e': 'dir', 'd/e/a': 'file' });

  sh(world, 'echo B >$U/d/e/b');
  start();
  sh(world, 'echo host >$H/d/e/a; echo C >$U/d/e/c; echo N >$U/d/e/n');
  await settled();
  capture?.stop();
  capture = null;
  expect(bases()).toEqual({ d: 'dir', 'd/e': 'dir', 'd/e/a': 'file', 'd/e/b': 'file', 'd/e/c': 'file', 'd/e/n': 'absent' });
  const first = readBases(native, sandboxDir()).get(fromText(join(world.host, 'd/e/a')));
  expect(readFileSync(openBase(native, sandboxDir(), first as CapturedBase), 'utf8')).toBe('a\n');
});

test('a later run looks at nothing again below which the base had nothing', async () => {
  sh(world, 'mkdir -p $H/d; for f in a b c; do echo $f >$H/d/$f; done; ln -s t $H/l');
  sh(world, 'mkdir -p $U/d/new; for f in a b c d new/e; do echo X >$U/d/$f; done; ln -s T $U/l');
  start().stop();
  const looked: string[] = [];
  const { kernel, record } = contextFor(world, native);
  const statOrNull: typeof native.statOrNull = (at, name) => {
    looked.push(name);
    return kernel.statOrNull(at, name);
  };

  capture = startCapture({ kernel: { ...kernel, statOrNull }, sandboxDir: sandboxDir(), layers: record.layers, t0: record.t0, fileBytes: 1 << 20, totalBytes: 1 << 30 });
  capture.settle();

  expect(looked.filter((name) => !name.includes('/'))).toEqual(['d']);
});

test('a storm of 2,000 copy-ups is captured to the last one', async () => {
  for (let n = 0; n < 2000; n += 1) writeFileSync(join(world.host, `${n}`), `${n}`);
  start();
  for (let n = 0; n < 2000; n += 1) writeFileSync(join(world.upper, `${n}`), 'x');
  await settled();
  const counts = capture?.stop();
  capture = null;

  expect(counts).toEqual({ captured: 2000, unknown: 0, unwatched: 0 });
  expect(new Set(Object.values(bases()))).toEqual(new Set(['file']));
  rmSync(join(world.state, 'sandboxes/box/base'), { recursive: true });
});
