import { spawn } from 'node:child_process';
import { chmodSync, constants, existsSync, readFileSync, readdirSync, renameSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { applyPlan } from '../../src/changes/apply.js';
import { recoverAll } from '../../src/changes/recover.js';
import { commitStatus, type CommitResult } from '../../src/changes/result.js';
import { undoCommit } from '../../src/changes/undo.js';
import { fromText, type Bytes } from '../../src/bytes.js';
import { AT_FDCWD, KernelError, type Kernel } from '../../src/kernel/kernel.js';
import { native } from '../../src/kernel/native.js';
import { look } from '../crash/look.js';
import { at, changesIn, commit, contextFor, makeWorld, picture, planOf, sh, singleCalls, type World } from './world.js';

let world: World;
beforeEach(() => {
  world = makeWorld();
});
afterEach(() => world.remove());

const isRoot = process.getuid?.() === 0;
const refusals = (result: CommitResult): Record<string, string> =>
  Object.fromEntries(result.refused.map(({ path, why, conflict }) => [path.slice(world.host.length + 1), conflict ?? why]));
/** A kernel on which something else happens right before a call. */
const before = (name: keyof Kernel, when: (...args: unknown[]) => boolean, act: () => void): Kernel => {
  let done = false;
  const kernel = singleCalls(native);
  const call = kernel[name] as (...args: unknown[]) => unknown;
  return {
    ...kernel,
    [name]: (...args: unknown[]): unknown => {
      if (!done && when(...args)) {
        done = true;
        act();
      }
      return call(...args);
    },
  };
};

describe('races with the host (I5, I6)', () => {
  const isExchange = (...args: unknown[]): boolean => args[4] === 2;

  test('a file replaced right before the exchange goes back to its place', () => {
    sh(world, 'echo old >$H/a; echo new >$U/a; echo b >$U/b');
    const plan = planOf(world);
    const kernel = before('rename', isExchange, () => sh(world, 'echo saved >$H/a.tmp; mv $H/a.tmp $H/a'));

    const result = applyPlan(contextFor(world, kernel), plan);

    expect(refusals(result)).toEqual({ a: 'changed' });
    expect(commitStatus(result)).toBe(3);
    expect(readFileSync(join(world.host, 'a'), 'utf8')).toBe('saved\n');
    expect(readFileSync(join(world.upper, 'a'), 'utf8')).toBe('new\n');
    expect(readFileSync(join(world.host, 'b'), 'utf8')).toBe('b\n');
  });
  test('a file replaced right before it is taken goes back to its place, and is deleted in the layer as before', () => {
    sh(world, 'echo old >$H/a; wh $U/a; echo old >$H/b; wh $U/b');
    const plan = planOf(world);
    const kernel = before('rename', (...args) => args[1] === 'a', () => sh(world, 'echo saved >$H/a.tmp; mv $H/a.tmp $H/a'));

    const result = applyPlan(contextFor(world, kernel), plan);

    expect(refusals(result)).toEqual({ a: 'changed' });
    expect(sh(world, 'ls $H; cat $H/a; stat -c "%F %t %T" $U/a')).toBe('a\nsaved\ncharacter special file 0 0\n');
  });
  test.each([['before it is opened', 'open'], ['before it is read', 'copy']] as const)('what changes in the layer %s does not land (I16)', (_, call) => {
    sh(world, 'echo old >$H/a; echo reviewed >$U/a; echo b >$U/b');
    const plan = planOf(world, { live: true });
    const kernel = before(call, (...args) => call === 'copy' || args[1] === 'a', () => sh(world, call === 'copy' ? 'echo sneaked in >$U/a' : 'echo other >$U/a.tmp; mv $U/a.tmp $U/a'));

    const result = applyPlan(contextFor(world, kernel), plan);

    expect(refusals(result)).toEqual({ a: 'failed' });
    expect(sh(world, 'ls $H; cat $H/a $H/b')).toBe('a\nb\nold\nb\n');
  });
  test('a file that the host puts in the place of one whose mode is just set is told, not taken for it', () => {
    sh(world, 'echo m >$H/m; cp -p $H/m $U/m; chmod 755 $U/m');
    const plan = planOf(world);
    const kernel = before('chmod', (...args) => args[1] === 'm', () => sh(world, 'echo saved >$H/m.tmp; mv $H/m.tmp $H/m'));

    const result = applyPlan(contextFor(world, kernel), plan);

    expect(refusals(result)).toEqual({ m: 'changed' });
    expect(readFileSync(join(world.host, 'm'), 'utf8')).toBe('saved\n');
  });
  test('the same in a batch: what changed since the scan is left alone', () => {
    sh(world, 'echo old >$H/a; echo new >$U/a; echo old >$H/b; wh $U/b; echo c >$U/c; echo d >$U/d');
    const plan = planOf(world);
    sh(world, 'echo edited >>$H/a; echo more >>$H/b; echo mine >$H/c');

    const result = applyPlan(world.ctx, plan);

    expect(refusals(result)).toEqual({ a: 'changed', b: 'changed', c: 'created' });
    expect(sh(world, 'cat $H/a $H/b $H/c $H/d')).toBe('old\nedited\nold\nmore\nmine\nd\n');
    expect(changesIn(world).map(({ path }) => path.at(-1))).toEqual(['a', 'b', 'c']);
  });
  test('a file that comes up in a directory while it is deleted keeps the directory (E109)', () => {
    sh(world, 'mkdir -p $H/d/e; echo x >$H/d/e/x; wh $U/d');
    const plan = planOf(world);
    sh(world, 'echo late >$H/d/e/late');

    const result = applyPlan(world.ctx, plan);

    expect(refusals(result)).toEqual({ d: 'changed' });
    expect(sh(world, 'cat $H/d/e/x $H/d/e/late')).toBe('x\nlate\n');
  });
  test.each([['deleted', 'wh $U/d'], ['replaced by a file', 'echo file >$U/d']])('a file that is saved in a directory while it is %s keeps the directory (E109)', (_, how) => {
    for (const late of ['echo saved >>$H/d/e/x', 'echo saved >$H/d/e/y; mv $H/d/e/y $H/d/e/x', 'echo late >$H/d/late']) {
      sh(world, `rm -rf $H/d $U/d; mkdir -p $H/d/e; echo old >$H/d/e/x; ${how}`);
      const plan = planOf(world);
      sh(world, late);
      const held = sh(world, 'cd $H/d; grep -r .');

      const result = applyPlan(world.ctx, plan);

      expect(refusals(result), late).toEqual({ d: 'changed' });
      expect(sh(world, 'cd $H/d; grep -r .'), late).toBe(held);
    }
  });
  test('a directory replaced by a symlink is not followed (CW01, CW02, E105)', () => {
    sh(world, 'mkdir $H/d $T/victim; echo new >$T/victim/.keep; mkdir $U/d; echo evil >$U/d/x; echo e >$U/e');
    const plan = planOf(world);
    const kernel = before('syncfs', () => true, () => {
      renameSync(join(world.host, 'd'), join(world.top, 'moved'));
      symlinkSync(join(world.top, 'victim'), join(world.host, 'd'));
    });

    const result = applyPlan(contextFor(world, kernel), plan);

    expect(readdirSync(join(world.top, 'victim'))).toEqual(['.keep']);
    expect(readFileSync(join(world.host, 'e'), 'utf8')).toBe('e\n');
    expect(result.state).toBe('landed');
  });
  test('a directory replaced by a symlink before the commit is a conflict (E105)', () => {
    sh(world, 'mkdir $H/d $T/victim; mkdir $U/d; echo evil >$U/d/x');
    const plan = planOf(world);
    sh(world, 'rmdir $H/d; ln -s $T/victim $H/d');

    expect(refusals(applyPlan(world.ctx, plan))).toEqual({ 'd/x': 'parent' });
    expect(readdirSync(join(world.top, 'victim'))).toEqual([]);
  });
  test('what the agent changed since the review does not land (I16)', () => {
    sh(world, 'echo old >$H/a; echo reviewed >$U/a; mkdir $U/n; echo n >$U/n/n; echo o >$U/o');
    const plan = planOf(world);
    sh(world, 'echo other >$U/a; echo sneaked >$U/n/in');

    const result = applyPlan(world.ctx, plan);

    expect(refusals(result)).toEqual({ a: 'failed', n: 'failed' });
    expect(picture(world.host)).toBe('/ 755\n/a 644 x1 b2xkCg==\n/o 644 x1 bwo=');
  });
  test('the digest changes with any of it, and only with that', () => {
    sh(world, 'echo old >$H/a; echo 1 >$U/a; echo 2 >$U/b');
    const digest = planOf(world).digest;

    expect(planOf(world).digest).toBe(digest);
    expect(planOf(world, { only: ['a'] }).digest).not.toBe(digest);
    writeFileSync(join(world.upper, 'b'), '3\n');
    expect(planOf(world).digest).not.toBe(digest);
    expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/);
  });
});

describe('errors', () => {
  const failing = (code: string, when: (...args: unknown[]) => boolean): Kernel => {
    return { ...singleCalls(native), rename: (...args) => {
      if (when(...args)) throw new KernelError(code, 5, 'renameat2', null, `${code}: injected`);
      native.rename(...args);
    } };
  };

  test('of the machine take everything back and say so (I10; CW16, E102)', () => {
    sh(world, 'echo a >$H/a; echo A >$U/a; echo b >$U/b; echo c >$H/c; wh $U/c');
    const old = look(world);

    const result = applyPlan(contextFor(world, failing('ENOSPC', (_at, name) => name === 'c')), planOf(world));

    expect(result).toMatchObject({ state: 'rolled-back', landed: [], error: { code: 'ENOSPC', path: at(world, 'c') } });
    expect(commitStatus(result)).toBe(1);
    expect(look(world)).toBe(old);
    expect(readdirSync(join(world.state, 'commits'))).toEqual(['.lock']);
  });
  test('of the machine that hold on: it is said that the host is half new, and the next command takes it back', () => {
    sh(world, 'for f in a b c; do echo old >$H/$f; echo new >$U/$f; done');
    const old = look(world);
    let isBroken = false;
    const kernel = failing('EROFS', (_at, name) => (isBroken ||= name === 'c'));

    expect(() => applyPlan(contextFor(world, kernel), planOf(world))).toThrow(
      expect.objectContaining({ code: 'AFW_UNFINISHED', message: expect.stringMatching(/Commit \w+ stopped half way: some of it is on the host/), hint: expect.stringContaining('agentfw recover') }),
    );
    expect(look(world)).not.toBe(old);

    expect(recoverAll(world.ctx)).toMatchObject([{ outcome: 'rolled-back' }]);
    expect(look(world)).toBe(old);
  });
  test('of one path refuse that path (I10)', () => {
    sh(world, 'echo a >$H/a; echo A >$U/a; echo b >$U/b; echo c >$H/c; wh $U/c');

    const result = applyPlan(contextFor(world, failing('EBUSY', (_at, name) => name === 'c')), planOf(world));

    expect(refusals(result)).toEqual({ c: 'failed' });
    expect(commitStatus(result)).toBe(1);
    expect(picture(world.host)).toBe('/ 755\n/a 644 x1 QQo=\n/b 644 x1 Ygo=\n/c 644 x1 Ywo=');
    expect(changesIn(world).map(({ path }) => path)).toEqual([at(world, 'c')]);
  });
  test('attributes that the filesystem has no room for are of their path, although the code is that of a full disk', () => {
    sh(world, 'echo b >$U/b; echo c >$H/c; cp -p $H/c $U/c; chmod 600 $U/c');
    const crowded = (syscall: string): Kernel => {
      let calls = 0;
      return { ...singleCalls(native), chmod: (...args) => {
        if (args[1] === fromText('c') && (calls += 1) === 1) throw new KernelError('ENOSPC', 28, syscall, null, 'ENOSPC: injected');
        native.chmod(...args);
      } };
    };

    expect(applyPlan(contextFor(world, crowded('fchmodat')), planOf(world))).toMatchObject({ state: 'rolled-back' });
    const result = applyPlan(contextFor(world, crowded('lsetxattr')), planOf(world));

    expect(result.refused.map(({ path, text }) => [path, text])).toEqual([[at(world, 'c'), expect.stringContaining('attributes are too large')]]);
    expect(picture(world.host)).toBe('/ 755\n/b 644 x1 Ygo=\n/c 644 x1 Ywo=');
    expect(changesIn(world).map(({ path }) => path)).toEqual([at(world, 'c')]);
  });
  test('both halves of a rename land or none does (I11)', () => {
    sh(world, 'echo same >$H/from; wh $U/from; echo same >$U/to; echo x >$U/x');
    const renames = new Map([[at(world, 'from'), at(world, 'to')]]);

    const result = applyPlan(contextFor(world, failing('EPERM', (_at, name) => name === 'from')), planOf(world, { renames }));

    expect(refusals(result)).toEqual({ from: 'permission', to: 'with' });
    expect(picture(world.host)).toBe('/ 755\n/from 644 x1 c2FtZQo=\n/x 644 x1 eAo=');
    expect(changesIn(world)).toHaveLength(2);
  });
  test.runIf(!isRoot)('a directory that the user may not write: its paths are refused, the rest lands', () => {
    sh(world, 'mkdir $H/ro $U/ro; echo x >$U/ro/x; echo y >$U/y; chmod 555 $H/ro $U/ro');

    const result = commit(world);

    expect(refusals(result)).toEqual({ 'ro/x': 'permission' });
    expect(existsSync(join(world.host, 'y'))).toBe(true);
    chmodSync(join(world.host, 'ro'), 0o755);
  });
  test.runIf(isRoot)('what the host made immutable or append-only: it is refused by name, the rest lands, an undo takes that back', () => {
    sh(world, 'for f in i a d/x e n; do mkdir -p $H/d; echo old >$H/$f; done');
    try {
      sh(world, 'chattr +i $H/i $H/d/x; chattr +a $H/a');
    } catch {
      // No filesystem with such attributes (tmpfs before 6.6).
      return;
    }
    try {
      sh(world, 'for f in i a n; do echo new >$U/$f; done; mkdir $U/d; wh $U/d/x; wh $U/e');
      const before = look(world, 'host');
      const result = commit(world);

      expect(refusals(result)).toEqual({ i: 'permission', a: 'permission', 'd/x': 'permission' });
      expect(result.refused.map(({ text }) => text)).toEqual(Array<string>(3).fill(result.refused[0]?.text ?? ''));
      expect(result.refused[0]?.text).toContain('immutable or append-only');
      expect(sh(world, 'cd $H; cat i a d/x n; ls')).toBe('old\nold\nold\nnew\na\nd\ni\nn\n');
      expect(undoCommit(world.ctx, null)).toMatchObject({ state: 'landed', refused: [] });
      expect(look(world, 'host')).toBe(before);
    } finally {
      sh(world, 'chattr -i -a $H/i $H/a $H/d/x');
    }
  });
  test('a file with several names that runs is refused with the reason; one with one name is exchanged', () => {
    sh(world, 'cp /bin/sleep $H/one; cp /bin/sleep $H/many; ln $H/many $H/more; for f in one many; do echo new >$U/$f; done');
    const running = ['one', 'many'].map((name) => spawn(join(world.host, name), ['1000'], { stdio: 'ignore' }));
    try {
      const result = commit(world);

      expect(result.refused.map(({ path, text }) => [path.slice(-4), text])).toEqual([['many', 'a program runs it at the moment, and it has several names']]);
      expect(readFileSync(join(world.host, 'one'), 'utf8')).toBe('new\n');
      expect(statSync(join(world.host, 'more')).nlink).toBe(2);
      expect(running.map(({ exitCode }) => exitCode)).toEqual([null, null]);
    } finally {
      for (const child of running) child.kill('SIGKILL');
    }
  });
  test('directories without write permission move, and keep their modes (E39, E47)', () => {
    sh(world, 'mkdir -p $H/old/in $H/d; echo x >$H/old/in/x; chmod 555 $H/old/in $H/old; wh $U/old; mkdir -p $U/new/in $U/d; echo n >$U/new/in/n; chmod 555 $U/new/in $U/new; echo f >$U/d/f; chmod 555 $U/d');

    const result = commit(world);

    expect(result).toMatchObject({ state: 'landed', refused: [] });
    expect(picture(world.host)).toBe('/ 755\n/d/ 555\n/d/f 644 x1 Zgo=\n/new/ 555\n/new/in/ 555\n/new/in/n 644 x1 bgo=');
    expect(statSync(join(world.state, 'commits', result.id ?? '', 'taken/1'), { throwIfNoEntry: false })?.mode ?? 0o40555).toBe(0o40555);
  });
});

test('what lies in a directory that was closed to us since it was judged is refused, and nothing is left half way (I10)', () => {
  sh(world, 'mkdir $H/shut $U/shut; echo old >$H/shut/old; echo new >$U/shut/new; echo x >$U/shut/old; echo b >$U/b; echo l >$H/shut/linked; ln $H/shut/linked $H/name; echo y >$U/shut/linked');
  const { ino } = native.stat(AT_FDCWD, fromText(join(world.host, 'shut')));
  const isShut = (at: number): boolean => at !== AT_FDCWD && native.stat(at, '' as Bytes).ino === ino;
  const kernel: Kernel = {
    ...singleCalls(native),
    statOrNull: (at, name, ...rest) => {
      if (isShut(at)) throw new KernelError('EACCES', 13, 'statx', name, 'EACCES: injected');
      return native.statOrNull(at, name, ...rest);
    },
  };

  const result = applyPlan(contextFor(world, kernel), planOf(world));

  expect(result.state).toBe('landed');
  expect(refusals(result)).toEqual({ 'shut/linked': 'permission', 'shut/new': 'permission', 'shut/old': 'permission' });
  expect(recoverAll(world.ctx)).toEqual([]);
  expect(sh(world, 'cat $H/shut/old $H/name $H/b; cat $U/shut/new $U/shut/old $U/shut/linked')).toBe('old\nl\nb\nnew\nx\ny\n');
});

test('what a running agent took away since it was looked at is refused as its own doing', () => {
  sh(world, 'mkdir $U/d; echo new >$U/a; echo x >$U/d/x; echo b >$U/b; mkdir $H/d');
  const plan = planOf(world, { live: true });
  sh(world, 'rm -r $U/a $U/d; echo file >$U/d');

  const { state, refused } = applyPlan(world.ctx, plan);

  expect(state).toBe('landed');
  expect(Object.fromEntries(refused.map(({ path, why, text }) => [path.slice(world.host.length + 1), `${why}: ${text}`]))).toEqual({
    a: 'failed: it changed after it was looked at', 'd/x': 'failed: it changed after it was looked at',
  });
  expect(picture(world.host)).toBe('/ 755\n/b 644 x1 Ygo=\n/d/ 755');
});

describe('what fails once all has landed', () => {
  test.each(['result.json', 'epochs'])('%s: it is said that it landed, and recover writes the rest', (file) => {
    sh(world, 'echo old >$H/a; echo new >$U/a');
    let full = true;
    const kernel: Kernel = {
      ...native,
      open: (dir, name, flags, ...rest) => {
        if (full && name.includes(file) && (flags & constants.O_CREAT) !== 0) throw new KernelError('ENOSPC', 28, 'openat2', name, 'ENOSPC: injected');
        return native.open(dir, name, flags, ...rest);
      },
    };
    const ctx = contextFor(world, kernel);

    expect(() => applyPlan(ctx, planOf(world))).toThrow(/^It is done, as commit \w+, but/);
    expect(readFileSync(join(world.host, 'a'), 'utf8')).toBe('new\n');

    full = false;
    expect(recoverAll(ctx).map(({ outcome }) => outcome)).toEqual(['finished']);
    expect(undoCommit(ctx, null).state).toBe('landed');
    expect(readFileSync(join(world.host, 'a'), 'utf8')).toBe('old\n');
  });
});
