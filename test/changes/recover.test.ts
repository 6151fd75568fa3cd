import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { applyPlan } from '../../src/changes/apply.js';
import { recoverAll } from '../../src/changes/recover.js';
import { undoCommit } from '../../src/changes/undo.js';
import { KernelError, type Kernel } from '../../src/kernel/kernel.js';
import { native } from '../../src/kernel/native.js';
import { faulty } from '../crash/faulty.js';
import { look } from '../crash/look.js';
import { at, changesIn, commit, contextFor, makeWorld, planOf, sh, type World } from './world.js';

let world: World;
beforeEach(() => {
  world = makeWorld();
});
afterEach(() => world.remove());

/** Dies at the first call that `when` holds for. */
function die(when: (line: string) => boolean): void {
  const log: string[] = [];
  const { kernel, disk } = faulty(native, { how: 'die', at: 0 }, { calls: 0, log, hit: null });
  // A first run on a copy tells the number of the call.
  const copy = makeWorld();
  try {
    sh(copy, `rm -rf $H; cp -a ${world.host} $H; rm -rf $U; cp -a ${world.upper} $U`);
    applyPlan({ ...contextFor(copy, kernel), disk }, planOf(copy));
  } finally {
    copy.remove();
  }
  const number = log.findIndex(when) + 1;
  expect(number).toBeGreaterThan(0);
  const mortal = faulty(native, { how: 'die', at: number }, { calls: 0, log: null, hit: null });
  const plan = planOf(world);
  expect(() => applyPlan({ ...contextFor(world, mortal.kernel), disk: mortal.disk }, plan)).toThrow();
}

const TREES = 'for f in a b c; do echo old >$H/$f; echo new >$U/$f; done; wh $U/d; echo d >$H/d';

test('nothing left over is nothing to do, and no lock is taken', () => {
  expect(recoverAll(world.ctx)).toEqual([]);
  expect(readdirSync(join(world.state, 'commits'))).toEqual([]);
});
test('a commit that died before its commit point never was (I1)', () => {
  sh(world, TREES);
  const old = look(world);
  die((line) => line.startsWith('syncfs'));

  expect(recoverAll(world.ctx)).toMatchObject([{ outcome: 'discarded' }]);
  expect(look(world)).toBe(old);
});
test('one that died after it is finished, and what the host put in its way stays (I13)', () => {
  sh(world, TREES);
  die((line) => line === 'rename b b');
  sh(world, 'echo host >$H/c');

  const [recovered] = recoverAll(world.ctx);

  expect(recovered).toMatchObject({ outcome: 'finished', result: { refused: [{ path: at(world, 'c'), conflict: 'changed' }] } });
  expect(sh(world, 'cat $H/a $H/b $H/c; ls $H')).toBe('new\nnew\nhost\na\nb\nc\n');
  expect(changesIn(world).map(({ path }) => path)).toEqual([at(world, 'c')]);
  expect(recoverAll(world.ctx)).toEqual([]);
});
test('one that can\'t go on is rolled back', () => {
  sh(world, TREES);
  const old = look(world);
  die((line) => line === 'rename b b');
  const full: Kernel = {
    ...native,
    rename: (oldAt, oldName, newAt, newName, flags) => {
      if (newName === 'c') throw new KernelError('ENOSPC', 28, 'renameat2', newName, 'ENOSPC: injected');
      native.rename(oldAt, oldName, newAt, newName, flags);
    },
  };

  const [recovered] = recoverAll(contextFor(world, full));

  expect(recovered?.outcome).toBe('rolled-back');
  expect(look(world)).toBe(old);
});
test('what a sandbox that ran again wrote before the recovery stays in its layer (I9)', () => {
  sh(world, TREES);
  die((line) => line === 'rename b b');
  sh(world, 'echo e >$U/e; rm $U/a; echo again >$U/a');

  expect(recoverAll(world.ctx)).toMatchObject([{ outcome: 'finished' }]);
  expect(sh(world, 'cat $U/a $U/e; ls $U')).toBe('again\ne\na\ne\n');
});
test('the next commit recovers first', () => {
  sh(world, TREES);
  die((line) => line === 'rename b b');
  sh(world, 'echo e >$U/e');

  expect(commit(world)).toMatchObject({ state: 'landed' });
  expect(sh(world, 'cat $H/a $H/b $H/c $H/e')).toBe('new\nnew\nnew\ne\n');
  expect(changesIn(world)).toEqual([]);
});
test('a directory that is no commit of ours is discarded only when it has no journal', () => {
  mkdirSync(join(world.state, 'commits/empty'));
  mkdirSync(join(world.state, 'commits/newer'));
  const body = Buffer.from('{"version":9}');
  writeFileSync(join(world.state, 'commits/newer/plan'), body);

  const found = recoverAll(world.ctx);

  expect(found.map(({ id, outcome }) => [id, outcome])).toEqual([['empty', 'discarded'], ['newer', 'blocked']]);
  expect(readFileSync(join(world.state, 'commits/newer/plan'))).toEqual(body);
});
test('what another directory has taken the place of is not gone on with: a filesystem may not be mounted', () => {
  sh(world, TREES);
  die((line) => line === 'rename b b');
  sh(world, 'mv $H $H.away; mkdir $H');

  expect(() => undoCommit(world.ctx, null)).toThrow(expect.objectContaining({ code: 'AFW_UNFINISHED' }));
  expect(recoverAll(world.ctx)).toMatchObject([{ outcome: 'blocked', tag: 'box', error: expect.stringContaining('mount the filesystem that it lies on again') as string }]);
  expect(sh(world, 'ls -A $H')).toBe('');

  sh(world, 'rmdir $H; mv $H.away $H');
  expect(recoverAll(world.ctx)).toMatchObject([{ outcome: 'finished' }]);
  expect(sh(world, 'cat $H/a $H/b $H/c; ls $H')).toBe('new\nnew\nnew\na\nb\nc\n');
});
test.each([['its header', 20], ['its steps', 700]])('a journal of which %s is damaged is no commit that never began: what it keeps stays', (_what, offset) => {
  sh(world, TREES);
  const { id } = commit(world);
  const dir = join(world.state, 'commits', id ?? '');
  rmSync(join(dir, 'result.json'));
  const plan = readFileSync(join(dir, 'plan'));
  plan[offset] = (plan[offset] ?? 0) ^ 1;
  writeFileSync(join(dir, 'plan'), plan);

  expect(recoverAll(world.ctx)).toMatchObject([{ outcome: 'blocked', error: expect.stringContaining(`${dir} keeps what it replaced`) as string }]);
  expect(readFileSync(join(dir, 'old/0/b'), 'utf8')).toBe('old\n');
});
test('a sandbox that somebody removed does not hold up what it had begun to land', () => {
  sh(world, `${TREES}; mkdir $H/e; echo e >$H/e/e; wh $U/e`);
  die((line) => line === 'rename b b');
  sh(world, 'rm -r state/sandboxes/box');

  expect(recoverAll(world.ctx)).toMatchObject([{ outcome: 'finished', result: { refused: expect.arrayContaining([expect.objectContaining({ path: at(world, 'c') })]) as [] } }]);
  // What needs nothing of the layer is through.
  expect(sh(world, 'cat $H/a $H/b $H/c $H/d; ls $H')).toBe('new\nold\nold\nd\na\nb\nc\nd\n');
  expect(recoverAll(world.ctx)).toEqual([]);
});
