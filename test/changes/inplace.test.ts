import { chmodSync, constants, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { applyPlan } from '../../src/changes/apply.js';
import { nodeDisk, type Disk } from '../../src/changes/apply/disk.js';
import { undoCommit } from '../../src/changes/undo.js';
import { recoverAll } from '../../src/changes/recover.js';
import { KernelError, type Kernel } from '../../src/kernel/kernel.js';
import { native } from '../../src/kernel/native.js';
import { needs } from '../helpers/needs.js';
import { changesIn, commit, contextFor, judgedIn, makeWorld, planOf, refusalsIn, sh, singleCalls, type World } from './world.js';

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

const modeOf = (path: string): string => (statSync(join(world.host, path)).mode & 0o7777).toString(8);

test('a mode that the host changes right before ours is set stays (I5)', () => {
  sh(world, `${LINKED}; echo m >$H/m; cp -p $H/m $U/m; chmod 755 $U/m`);

  const result = commit(world, {}, { onStaged: () => ['m', 'l2'].forEach((name) => chmodSync(join(world.host, name), 0o600)) });

  expect(refusalsIn(world, result)).toEqual({ l1: 'changed', m: 'changed' });
  expect([modeOf('m'), modeOf('l1'), sh(world, 'cat $H/l1 $H/x')]).toEqual(['600', '600', 'old\nnew\n']);
});
test('so does one that it changed when all is rolled back, and others are as they were (I13)', () => {
  sh(world, `${LINKED}; for n in m n; do echo m >$H/$n; cp -p $H/$n $U/$n; chmod 755 $U/$n; done; setfacl -m u:7:rw $H/n; setfacl -m u:8:r $U/n`);
  const acl = sh(world, 'getfacl -cp $H/n');

  const result = applyPlan(contextFor(world, full(() => chmodSync(join(world.host, 'm'), 0o640))), planOf(world));

  expect(result.state).toBe('rolled-back');
  expect([modeOf('m'), sh(world, 'getfacl -cp $H/n; cat $H/l1')]).toEqual(['640', `${acl}old\n`]);
});
needs('attr', 'acl').test('an attribute and an access list get the values that the agent gave them, and an undo gives theirs back', () => {
  const set = (value: string, perms: string): string => `setfattr -n user.note -v ${value} f; setfacl -m u:7:${perms} f`;
  sh(world, `cd $H; echo f >f; ${set('host', 'r')}; cp -a f $U/f; cd $U; ${set('agent', 'rw')}`);
  const told = (): string => sh(world, 'getfattr --only-values -n user.note --absolute-names $H/f; getfacl -cpn $H/f | grep user:7');

  expect(commit(world)).toMatchObject({ state: 'landed', refused: [] });
  expect(told()).toBe('agentuser:7:rw-\n');
  expect(undoCommit(world.ctx, null)).toMatchObject({ state: 'landed', refused: [] });
  expect(told()).toBe('hostuser:7:r--\n');
});
needs('root', 'acl').test('the host\'s owner and access list stay where the agent changed the mode alone', () => {
  sh(world, 'echo f >$H/f; cp -p $H/f $U/f; chmod 755 $U/f; chown 7:7 $H/f; setfacl -m u:7:rwx $H/f');
  const changes = judgedIn(world).map((change) => ({ ...change, meta: ['mode' as const] }));

  expect(applyPlan(world.ctx, planOf(world, {}, changes))).toMatchObject({ state: 'landed', refused: [] });
  expect(sh(world, 'stat -c "%u %g" $H/f; getfacl -cpn $H/f | grep user:7')).toBe('7 7\nuser:7:rwx\n');
});
test('its time is that of what landed, and its own again when all is rolled back (I12, I13)', () => {
  sh(world, `${LINKED}; touch -d '2001-02-03 04:05:06.123456789' $H/l1; touch -d '2002-03-04 05:06:07.987654321' $U/l1`);
  const time = (): string => sh(world, 'stat -c %y $H/l1').slice(0, 29);

  expect(applyPlan(contextFor(world, full()), planOf(world)).state).toBe('rolled-back');
  expect(time()).toBe('2001-02-03 04:05:06.123456789');
  expect(commit(world).state).toBe('landed');
  expect(time()).toBe('2002-03-04 05:06:07.987654321');
});
test('what was opened up to be written, when a crash came, is closed again by a roll-back (I13)', () => {
  sh(world, `${LINKED}; chmod 444 $H/l1 $U/l1`);
  let isDead = false;
  const kill = (): never => {
    isDead = true;
    throw new Error('killed');
  };
  const opening: Partial<Kernel> = {
    open: (at, name, flags, mode, resolve) => {
      if (name === 'l1' && (flags & constants.O_RDWR) !== 0) {
        if (modeOf('l1') !== '444') kill();
        throw new KernelError('EACCES', 13, 'openat2', name, 'EACCES: as for a plain user');
      }
      return native.open(at, name, flags, mode, resolve);
    },
  };
  const dying = Object.fromEntries(Object.entries({ ...singleCalls(native), ...opening }).map(([name, call]) => [name, (...args: unknown[]) => (isDead && name !== 'close' ? kill() : (call as (...all: unknown[]) => unknown)(...args))])) as unknown as Kernel;
  expect(() => applyPlan(contextFor(world, dying), planOf(world))).toThrow();
  expect(modeOf('l1')).toBe('644');

  expect(recoverAll(contextFor(world, full()))).toMatchObject([{ outcome: 'rolled-back' }]);
  expect([modeOf('l1'), sh(world, 'cat $H/l1')]).toEqual(['444', 'old\n']);
});
