/** What nobody may lose: what the host did to a landed thing since, and what a commit replaced. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { applyPlan } from '../../src/changes/apply.js';
import type { CommitResult } from '../../src/changes/result.js';
import { undoCommit } from '../../src/changes/undo.js';
import { keptContent } from '../../src/changes/vault/kept.js';
import { KernelError, type Kernel } from '../../src/kernel/kernel.js';
import { native } from '../../src/kernel/native.js';
import { at, commit, contextFor, makeWorld, planOf, sh, singleCalls, type World } from './world.js';

let world: World;
beforeEach(() => {
  world = makeWorld();
});
afterEach(() => world.remove());

function refusals({ refused }: CommitResult): Record<string, string> {
  return Object.fromEntries(refused.map(({ path, conflict, why }) => [path.slice(world.host.length + 1), conflict ?? why]));
}

test('an undo leaves what was edited since: a new file, one with several names, one that only got another mode', () => {
  sh(world, 'echo old >$H/names; ln $H/names $H/other; echo old >$H/mode; echo new >$U/new; echo link >$H/target');
  sh(world, 'echo agent >$U/names; cp -p $H/mode $U/mode; chmod 755 $U/mode; cp -p $H/target $U/target; ln $U/target $U/name');
  expect(commit(world)).toMatchObject({ state: 'landed', refused: [] });
  sh(world, 'sleep 0.02; echo mine >>$H/new; echo mine >>$H/other; echo mine >>$H/mode; rm $H/name; echo mine >$H/name');

  const undone = undoCommit(world.ctx, null);

  expect(refusals(undone)).toEqual({ new: 'changed', names: 'changed', mode: 'changed', name: 'changed' });
  expect(sh(world, 'cd $H; cat new names other mode name target; stat -c %a mode')).toBe('new\nmine\nagent\nmine\nagent\nmine\nold\nmine\nmine\nlink\n755\n');
});

test('an undo says nothing of what did not land', () => {
  sh(world, 'echo old >$H/a; echo new >$U/a; echo b >$U/b');
  let done = false;
  const kernel: Kernel = {
    ...singleCalls(native),
    rename: (...args) => {
      if (!done) sh(world, 'echo saved >$H/a.tmp; mv $H/a.tmp $H/a');
      done = true;
      native.rename(...args);
    },
  };
  expect(refusals(applyPlan(contextFor(world, kernel), planOf(world)))).toEqual({ a: 'changed' });

  expect(undoCommit(world.ctx, null)).toMatchObject({ state: 'landed', refused: [] });
  expect([readFileSync(join(world.host, 'a'), 'utf8'), existsSync(join(world.host, 'b'))]).toEqual(['saved\n', false]);
});

test('an undo that meets a failing disk takes nothing back, and does not call it the doing of the host', () => {
  sh(world, 'echo old >$H/a; echo new >$U/a; echo b >$U/b');
  commit(world);
  const kernel: Kernel = {
    ...native,
    statOrNull: (fd, name) => {
      if (name === 'a') throw new KernelError('EIO', 5, 'statx', name, 'EIO: I/O error, statx');
      return native.statOrNull(fd, name);
    },
  };

  expect(() => undoCommit(contextFor(world, kernel), null)).toThrow('EIO');
  expect(sh(world, 'cat $H/a $H/b')).toBe('new\nb\n');
});

test('what was replaced stays kept after a roll-back that somebody else put a file in the way of (I7)', () => {
  // The pipe does not land: a layer that all leaves goes, and comes back, as a whole.
  sh(world, 'echo precious >$H/a; echo new >$U/a; echo old >$H/b; echo new >$U/b; mkfifo $U/pipe');
  let syncs = 0;
  const kernel: Kernel = {
    ...native,
    // The first is of what is staged, the second of what has landed.
    syncfs: (fd) => {
      syncs += 1;
      if (syncs !== 2) return native.syncfs(fd);
      sh(world, 'echo mine >$H/a.tmp; mv $H/a.tmp $H/a');
      throw new KernelError('EIO', 5, 'syncfs', null, 'EIO: I/O error, syncfs');
    },
  };

  expect(applyPlan(contextFor(world, kernel), planOf(world))).toMatchObject({ state: 'rolled-back' });

  expect(sh(world, 'cat $H/a $H/b')).toBe('mine\nold\n');
  const ids = readdirSync(join(world.state, 'commits')).filter((name) => !name.startsWith('.'));
  expect(ids).toHaveLength(1);
  expect(Buffer.concat([...keptContent(world.ctx, ids, at(world, 'a'))]).toString()).toBe('precious\n');
});

test('a roll-back is on the disk before what tells of it is removed: the host may lie on another one', () => {
  sh(world, 'for f in a b; do echo old >$H/$f; echo new >$U/$f; done');
  const calls: string[] = [];
  let isBroken = true;
  const recorded = Object.fromEntries(Object.entries(singleCalls(native)).map(([name, call]) => [
    name, (...args: unknown[]): unknown => {
      calls.push(name);
      if (name === 'rename' && args[3] === 'b' && isBroken) {
        isBroken = false;
        throw new KernelError('EIO', 5, 'renameat2', null, 'EIO: I/O error, renameat2');
      }
      return (call as (...args: unknown[]) => unknown)(...args);
    },
  ])) as unknown as Kernel;

  expect(applyPlan(contextFor(world, recorded), planOf(world))).toMatchObject({ state: 'rolled-back' });

  expect(readdirSync(join(world.state, 'commits'))).toEqual(['.lock']);
  const sync = calls.lastIndexOf('syncfs');
  expect(calls.lastIndexOf('rename')).toBeLessThan(sync);
  expect(calls.findIndex((call, index) => index > sync && /^(?:unlink|rmdir|removeTree)$/.test(call))).toBeGreaterThan(sync);
});

test('an `index.lock` that the agent left behind holds up neither the undo of its index, nor a commit that takes one away', () => {
  sh(world, 'for T in $H $U; do mkdir $T/.git; echo ref >$T/.git/HEAD; done; echo old >$H/.git/index; echo new >$U/.git/index; touch $U/.git/index.lock');
  expect(commit(world)).toMatchObject({ state: 'landed', refused: [] });
  expect(undoCommit(world.ctx, null)).toMatchObject({ state: 'landed', refused: [] });
  expect(sh(world, 'ls $H/.git; cat $H/.git/index')).toBe('HEAD\nindex\nold\n');

  sh(world, 'touch $H/.git/index.lock; mkdir -p $U/.git; echo new >$U/.git/index; mknod $U/.git/index.lock c 0 0');
  expect(commit(world)).toMatchObject({ state: 'landed', refused: [] });
  expect(sh(world, 'ls $H/.git; cat $H/.git/index')).toBe('HEAD\nindex\nnew\n');
});
