import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { applyPlan } from '../../src/changes/apply.js';
import { nodeDisk, type Disk } from '../../src/changes/apply/disk.js';
import { recoverAll } from '../../src/changes/recover.js';
import { KernelError, type Kernel } from '../../src/kernel/kernel.js';
import { native } from '../../src/kernel/native.js';
import { changesIn, commit, contextFor, makeWorld, planOf, refusalsIn, sh, singleCalls, type World } from './world.js';

let world: World;
beforeEach(() => {
  world = makeWorld();
});
afterEach(() => world.remove());

/** A file of two names, which is written in place, and one that is exchanged. */
const LINKED = 'echo old >$H/l1; ln $H/l1 $H/l2; echo new, and longer >$U/l1; echo old >$H/x; echo new >$U/x';
const EDIT = 'an edit of the host\n';

function save(): void {
  writeFileSync(join(world.host, 'l2'), EDIT);
}

/** The exchange of `x` fails; what `then` does has happened by then. */
function full(then: () => void = () => undefined): Kernel {
  return {
    ...singleCalls(native),
    rename: (oldAt, oldName, newAt, newName, flags) => {
      if (newName === 'x') {
        then();
        throw new KernelError('ENOSPC', 28, 'renameat2', newName, 'ENOSPC: injected');
      }
      native.rename(oldAt, oldName, newAt, newName, flags);
    },
  };
}

/** A commit that is killed while it writes `l1`: `written` bytes of it are there. */
function dieWriting(written: number): void {
  let fd = -1;
  let isDead = false;
  const kill = (): never => {
    isDead = true;
    throw new Error('killed');
  };
  const alive = Object.fromEntries(Object.entries(singleCalls(native)).map(([name, call]) => [name, (...args: unknown[]) => {
    if (isDead && name !== 'close') kill();
    if (name === 'copy' && args[1] === fd) {
      nodeDisk.write(fd, Buffer.from('new, and longer\n').subarray(0, written), 0);
      kill();
    }
    return (call as (...all: unknown[]) => unknown)(...args);
  }])) as unknown as Kernel;
  const disk: Disk = {
    write: (at, data, position) => (isDead ? kill() : nodeDisk.write(at, data, position)),
    truncate: (at, size) => {
      if (isDead) kill();
      fd = at;
      nodeDisk.truncate(at, size);
    },
  };
  expect(() => applyPlan({ ...contextFor(world, alive), disk }, planOf(world))).toThrow();
}

test('what the host saves in a file of several names right before it is written stays (I5)', () => {
  sh(world, LINKED);

  const result = commit(world, {}, { onStaged: save });

  expect(refusalsIn(world, result)).toEqual({ l1: 'changed' });
  expect(sh(world, 'cat $H/l1 $H/l2 $H/x')).toBe(`${EDIT}${EDIT}new\n`);
  expect(changesIn(world).map(({ path }) => path)).toEqual([join(world.host, 'l1')]);
});
test.each([['before', true], ['after', false]])('so it does when all is rolled back, saved %s the file was written (I13)', (_when, early) => {
  sh(world, LINKED);

  const result = applyPlan(contextFor(world, full(early ? undefined : save)), planOf(world), early ? { onStaged: save } : {});

  expect(result.state).toBe('rolled-back');
  expect(sh(world, 'cat $H/l1 $H/x $U/l1')).toBe(`${EDIT}old\nnew, and longer\n`);
  // What it had been is nowhere else.
  expect(sh(world, 'cat state/commits/*/taken/*')).toBe('old\n');
});
test.each([0, 5, 16])('after a crash, too, and it keeps what had been there (I13); %i bytes were written', (written) => {
  sh(world, LINKED);
  dieWriting(written);
  save();

  expect(recoverAll(world.ctx)).toMatchObject([{ outcome: 'finished', result: { refused: [{ conflict: 'changed' }] } }]);
  expect(sh(world, 'cat $H/l1 $H/x $U/l1 state/commits/*/taken/*')).toBe(`${EDIT}new\nnew, and longer\nold\n`);
});
test.each([0, 5, 16])('what a crash left half written is finished, or taken back (I3); %i bytes', (written) => {
  sh(world, LINKED);
  dieWriting(written);
  if (written === 5) {
    expect(recoverAll(contextFor(world, full()))).toMatchObject([{ outcome: 'rolled-back' }]);
    expect(sh(world, 'cat $H/l1 $H/l2 $H/x; ls state/commits')).toBe('old\nold\nold\n');
    return;
  }
  expect(recoverAll(world.ctx)).toMatchObject([{ outcome: 'finished', result: { refused: [] } }]);
  expect(sh(world, 'cat $H/l1 $H/l2 $H/x')).toBe('new, and longer\nnew, and longer\nnew\n');
});
