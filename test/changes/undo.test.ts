import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { surveyCommits } from '../../src/changes/vault/commits.js';
import { undoCommit } from '../../src/changes/undo.js';
import { needs } from '../helpers/needs.js';
import { look } from '../crash/look.js';
import { build, planFor, SCENES } from '../crash/scene.js';
import { applyPlan } from '../../src/changes/apply.js';
import { fromText, type Bytes } from '../../src/bytes.js';
import { at, changesIn, commit, makeWorld, picture, sh, type World } from './world.js';

let world: World;
beforeEach(() => {
  world = makeWorld();
});
afterEach(() => world.remove());

describe('an undo', () => {
  test.each(SCENES)('puts the host back as it was, and an undo of it lands the commit again (I14): %s', (scene) => {
    build(world);
    const old = look(world, 'host');
    const first = applyPlan(world.ctx, planFor(world, scene));
    const fresh = look(world, 'host');

    const undone = undoCommit(world.ctx, null);
    expect(undone).toMatchObject({ state: 'landed', refused: [] });
    expect(look(world, 'host')).toBe(old);

    const again = undoCommit(world.ctx, undone.id);
    expect(again).toMatchObject({ state: 'landed', refused: [] });
    expect(look(world, 'host')).toBe(fresh);

    expect(undoCommit(world.ctx, again.id)).toMatchObject({ state: 'landed', refused: [] });
    expect(look(world, 'host')).toBe(old);
    expect(fresh).not.toBe(old);
    expect(first.id).not.toBe(undone.id);
  });
  test.each(SCENES)('of a commit that was taken back and landed again takes all of it back, as often as one likes: %s', (scene) => {
    build(world);
    const old = look(world, 'host');
    const { id } = applyPlan(world.ctx, planFor(world, scene));
    const fresh = look(world, 'host');

    for (let times = 0; times < 2; times += 1) {
      const undone = undoCommit(world.ctx, null);
      expect(undone).toMatchObject({ state: 'landed', refused: [] });
      expect(look(world, 'host')).toBe(old);
      expect(() => undoCommit(world.ctx, id)).toThrow('is undone already');

      expect(undoCommit(world.ctx, undone.id)).toMatchObject({ state: 'landed', refused: [] });
      expect(look(world, 'host')).toBe(fresh);
    }
  });
  test('is checked: what changed since the commit is left alone, the rest goes back', () => {
    sh(world, 'echo a >$H/a; echo b >$H/b; echo c >$H/c; echo A >$U/a; echo B >$U/b; wh $U/c; mkdir $U/n; echo n >$U/n/n; mkdir $U/m; echo m >$U/m/m');
    commit(world);
    sh(world, 'sleep 0.02; echo edited >>$H/a; echo back >$H/c; echo more >$H/n/more');

    const result = undoCommit(world.ctx, null);

    expect(Object.fromEntries(result.refused.map(({ path, conflict }) => [path.slice(world.host.length), conflict]))).toEqual({
      '/a': 'changed', '/c': 'created', '/n': 'changed',
    });
    expect(sh(world, 'cat $H/a $H/b $H/c $H/n/n $H/n/more; ls $H')).toBe('A\nedited\nb\nback\nn\nmore\na\nb\nc\nn\n');
  });
  needs('attr').test('leaves a mode and attributes that the host gave a landed file since', () => {
    sh(world, 'for f in a b c d e; do echo old >$H/$f; done; ln $H/b $H/b2; for f in a b c d; do cp -p $H/$f $U/$f; echo new >$U/$f; done; cp -p $H/e $U/e; chmod 755 $U/e');
    commit(world);
    sh(world, 'sleep 0.02; chmod 600 $H/a $H/b; setfattr -n user.x -v 1 $H/c; setfattr -n user.x -v 1 $H/e; chmod 600 $H/d; chmod 644 $H/d');

    const { refused } = undoCommit(world.ctx, null);

    expect(refused.map(({ path, conflict }) => [path.slice(world.host.length), conflict]).sort()).toEqual([['/a', 'changed'], ['/b', 'changed'], ['/c', 'changed'], ['/e', 'changed']]);
    expect(sh(world, 'cd $H; cat a b c d e; stat -c %a a b c d e; getfattr --only-values -n user.x c e')).toBe('new\nnew\nnew\nold\nold\n600\n600\n644\n644\n755\n11');
  });
  needs('attr').test('leaves a new file that the host gave another mode or attribute since, unless it has another name', () => {
    sh(world, 'for f in plain closed tagged linked; do echo new >$U/$f; done; ln -s t $U/link');
    const { id } = commit(world);
    sh(world, 'sleep 0.02; chmod 600 $H/closed; setfattr -n user.x -v 1 $H/tagged; ln $H/linked $H/backup; chmod 600 $H/backup');

    const { refused } = undoCommit(world.ctx, null);

    expect(refused.map(({ path, conflict }) => [path.slice(world.host.length), conflict]).sort()).toEqual([['/closed', 'changed'], ['/tagged', 'changed']]);
    expect(sh(world, 'cd $H; ls; stat -c %a backup')).toBe('backup\nclosed\ntagged\n600\n');
    expect(undoCommit(world.ctx, id)).toMatchObject({ state: 'nothing' });
  });
  test('has nothing to take back where the host set a mode back itself', () => {
    sh(world, 'echo e >$H/e; cp -p $H/e $U/e; chmod 755 $U/e; echo n >$U/n');
    commit(world);
    sh(world, 'chmod 644 $H/e');

    expect(undoCommit(world.ctx, null)).toMatchObject({ state: 'landed', refused: [] });
    expect(sh(world, 'ls $H; stat -c %a $H/e')).toBe('e\n644\n');
  });
  test('takes the newest commit that is not undone, and refuses what can\'t be', () => {
    sh(world, 'echo 1 >$U/one');
    const one = commit(world);
    sh(world, 'echo 2 >$U/two');
    const two = commit(world);

    expect(Array.from(undoCommit(world.ctx, null).landed, ({ path }) => path.slice(-3))).toEqual(['two']);
    expect(Array.from(undoCommit(world.ctx, null).landed, ({ path }) => path.slice(-3))).toEqual(['one']);
    expect(() => undoCommit(world.ctx, null)).toThrow('There is no commit to undo.');
    expect(() => undoCommit(world.ctx, two.id)).toThrow('is undone already');
    expect(() => undoCommit(world.ctx, 'nosuch')).toThrow('There is no commit nosuch');
    expect(one.id).not.toBeNull();
  });
  test('of several commits, newest first, with what a later one changed in a directory of an earlier one (WR07)', () => {
    const states = [look(world, 'host')];
    const ids = ['mkdir -p $U/n/m; echo 1 >$U/n/f; echo 1 >$U/n/m/g', 'mkdir -p $U/n/m; echo 2 >$U/n/f; echo 2 >$U/n/m/h; wh $U/n/m/g', 'mkdir -p $U/n/k; echo 3 >$U/n/k/k; chmod 700 $U/n'].map((script) => {
      sh(world, `${script}; sleep 0.01`);
      const { id } = commit(world);
      states.push(look(world, 'host'));
      return id;
    });
    for (const id of ids.reverse()) {
      states.pop();
      expect(undoCommit(world.ctx, id)).toMatchObject({ state: 'landed', refused: [] });
      expect(look(world, 'host')).toBe(states.at(-1));
    }
  });
  test('out of turn, or after an edit of the host between two, takes nothing away', () => {
    sh(world, 'mkdir $U/n; echo 1 >$U/n/f; mkdir $U/o; echo 1 >$U/o/f; echo 1 >$U/o/g');
    const first = commit(world);
    sh(world, 'sleep 0.01; mkdir -p $U/n $U/o; echo 2 >$U/n/f; echo 2 >$U/o/h');
    const second = commit(world);
    expect(undoCommit(world.ctx, first.id)).toMatchObject({ state: 'nothing', refused: [{ conflict: 'changed' }, { conflict: 'changed' }] });

    sh(world, 'rm $H/o/g');
    expect(undoCommit(world.ctx, second.id)).toMatchObject({ state: 'landed', refused: [] });
    sh(world, 'sleep 0.01; echo mine >$H/n/f');
    expect(undoCommit(world.ctx, first.id)).toMatchObject({ state: 'nothing', refused: [{ conflict: 'changed' }, { conflict: 'changed' }] });
    expect(sh(world, 'cat $H/n/f $H/o/f')).toBe('mine\n1\n');
  });
  test('of what a later commit is over takes the rest back once that one is taken back', () => {
    sh(world, 'for f in a b c; do echo 0 >$H/$f; done; for f in a b c; do echo 1 >$U/$f; done; mkdir $U/d; echo 1 >$U/d/x');
    const first = commit(world);
    sh(world, 'echo 2 >$U/a; mkdir $U/d; echo 2 >$U/d/y; echo 2 >$U/c');
    const second = commit(world);
    const paths = (found: readonly { readonly path: string }[]): string[] => found.map(({ path }) => path.slice(-1)).sort();
    const left = (): string[] => paths(surveyCommits(world.ctx).commits.find(({ id }) => id === first.id)?.left.map((path) => ({ path })) ?? []);

    expect(paths(undoCommit(world.ctx, first.id).refused)).toEqual(['a', 'c', 'd']);
    expect(left()).toEqual(['a', 'c', 'd']);
    sh(world, 'sleep 0.01; echo mine >$H/c');
    expect(paths(undoCommit(world.ctx, second.id).refused)).toEqual(['c']);
    expect(paths(undoCommit(world.ctx, first.id).refused)).toEqual(['c']);
    expect(left()).toEqual(['c']);
    expect(sh(world, 'cd $H; ls; cat a b c')).toBe('a\nb\nc\n0\n0\nmine\n');
  });
  test('works when the sandbox is gone', () => {
    sh(world, 'echo a >$H/a; echo A >$U/a');
    commit(world);
    sh(world, 'rm -rf $T/state/sandboxes/box');

    expect(undoCommit(world.ctx, null).state).toBe('landed');
    expect(readFileSync(join(world.host, 'a'), 'utf8')).toBe('a\n');
  });
});

describe('what was dropped from a layer', () => {
  const take = (...paths: string[]): Map<Bytes, 'host'> => new Map(paths.map((path) => [at(world, path), 'host' as const]));
  const layer = (): string => picture(world.upper, { times: true });

  test('stays on the host as it was, and is kept in the commit', () => {
    sh(world, 'echo host >$H/a; echo agent >$U/a');

    const result = commit(world, { take: take('a') });
    expect(result).toMatchObject({ state: 'landed', counts: { modify: 0 } });
    expect([...result.landed]).toMatchObject([{ side: 'layer' }]);

    expect(readFileSync(join(world.host, 'a'), 'utf8')).toBe('host\n');
    expect(readdirSync(world.upper)).toEqual([]);
  });
  test('comes back by an undo, whatever it is; an undo of that drops it again, and one more has it back', () => {
    sh(world, 'echo a >$H/a; echo d >$H/d; mkdir -p $H/p/q; echo x >$H/p/q/x; echo other >$H/p/q/other');
    sh(world, 'echo A >$U/a; wh $U/d; mkdir -p $U/p/q $U/n/m; echo X >$U/p/q/x; echo n >$U/n/m/n; ln -s nowhere $U/l; chmod 750 $U/n/m');
    const before = layer();
    const host = look(world, 'host');
    const dropped = commit(world, { take: take('a', 'd', 'p/q/x', 'n', 'l') });
    expect(changesIn(world)).toEqual([]);

    const back = undoCommit(world.ctx, dropped.id);
    expect(back).toMatchObject({ state: 'landed', refused: [], counts: { add: 0, modify: 0, delete: 0 } });
    expect(layer()).toBe(before);
    const again = undoCommit(world.ctx, back.id);
    expect(again).toMatchObject({ state: 'landed', refused: [] });
    expect(changesIn(world)).toEqual([]);
    expect(undoCommit(world.ctx, again.id)).toMatchObject({ state: 'landed', refused: [] });
    expect(layer()).toBe(before);
    expect(look(world, 'host')).toBe(host);
  });
  test('is not the permissions of the layer\'s own top; what is below goes', () => {
    sh(world, 'echo x >$H/x; chmod 710 $U; echo X >$U/x');

    const dropped = commit(world, { take: new Map([[fromText(world.host), 'host' as const]]) });
    expect(dropped.refused.map(({ path, text }) => [path, text])).toEqual([[world.host, expect.stringContaining('the top of a layer')]]);
    expect(changesIn(world).map(({ path }) => path)).toEqual([world.host]);
  });
  test('comes back with the directory whose permissions were dropped with it', () => {
    sh(world, 'mkdir -p $H/d/gone $H/d/e; echo x >$H/d/e/x; echo x >$H/other');
    sh(world, 'mkdir -p $U/d/e $U/d/new; chmod 710 $U/d; wh $U/d/gone; echo X >$U/d/e/x; echo n >$U/d/new/n; echo X >$U/other');
    const before = layer();

    const dropped = commit(world, { only: ['d', 'd/gone', 'd/e/x', 'd/new', 'd/new/n'], take: take('d') });
    expect(dropped).toMatchObject({ state: 'landed', refused: [] });
    expect(changesIn(world).map(({ path }) => path)).toEqual([at(world, 'other')]);

    expect(undoCommit(world.ctx, dropped.id)).toMatchObject({ state: 'landed', refused: [] });
    expect(layer()).toBe(before);
  });
  test('comes back although its directory has left the layer since, and lands then', () => {
    sh(world, 'mkdir -p $H/p/q; chmod 710 $H/p/q; echo x >$H/p/q/x; mkdir -p $U/p/q; chmod 710 $U/p/q; echo X >$U/p/q/x; echo y >$U/p/q/y');
    const dropped = commit(world, { only: ['p/q/x'], take: take('p/q/x') });
    commit(world);
    expect(readdirSync(world.upper)).toEqual([]);

    expect(undoCommit(world.ctx, dropped.id)).toMatchObject({ state: 'landed', refused: [] });

    expect(changesIn(world).map(({ path, kind }) => `${kind} ${path.slice(world.host.length)}`)).toEqual(['modify /p/q/x']);
    expect(commit(world)).toMatchObject({ state: 'landed', counts: { modify: 1 } });
    expect(readFileSync(join(world.host, 'p/q/x'), 'utf8')).toBe('X\n');
  });
  test('does not come back over what the agent wrote there since, nor where its directory is no directory any more', () => {
    sh(world, 'echo a >$H/a; echo A >$U/a; mkdir $H/p $U/p; echo x >$H/p/x; echo X >$U/p/x');
    const dropped = commit(world, { take: take('a', 'p/x') });
    sh(world, 'echo newer >$U/a; rm -rf $U/p; echo file >$U/p');

    const result = undoCommit(world.ctx, dropped.id);

    expect(Object.fromEntries(result.refused.map(({ path, conflict }) => [path.slice(world.host.length), conflict]))).toEqual({ '/a': 'created', '/p/x': 'parent' });
    expect(sh(world, 'cat $U/a $U/p')).toBe('newer\nfile\n');
  });
  needs('attr').test('leaves what the agent deleted in a directory that it replaced', () => {
    sh(world, 'mkdir $H/d; echo x | tee $H/d/x $H/d/y >$H/d/z; mkdir $U/d; setfattr -n user.overlay.opaque -v y $U/d; echo n >$U/d/n; echo Z >$U/d/z');
    const told = (): string[] => changesIn(world).map(({ path, kind }) => `${kind} ${path.slice(world.host.length + 1)}`).sort();
    const before = told();

    const dropped = commit(world, { only: ['d/n', 'd/z'], take: take('d/n', 'd/z') });

    expect(dropped.refused).toMatchObject([{ path: at(world, 'd/z'), why: 'with' }]);
    expect(told()).toEqual(['delete d/x', 'delete d/y', 'modify d', 'modify d/z']);
    expect(undoCommit(world.ctx, dropped.id)).toMatchObject({ state: 'landed', refused: [] });
    expect(told()).toEqual(before);
  });
  needs('attr').test('does not come back where the agent replaced the directory since: a deletion would be a name without a file there', () => {
    sh(world, 'mkdir -p $H/d $H/e/f $H/g; echo x | tee $H/d/x $H/e/f/x >$H/g/x; mkdir -p $U/d $U/e/f $U/g; wh $U/d/x; wh $U/e/f/x; echo X >$U/g/x');
    const dropped = commit(world, { take: take('d/x', 'e/f/x', 'g/x') });
    sh(world, 'for d in d e g; do rm -rf $U/$d; mkdir $U/$d; setfattr -n user.overlay.opaque -v y $U/$d; done');

    const { refused } = undoCommit(world.ctx, dropped.id);

    expect(refused.map(({ path, text }) => [path.slice(world.host.length), text]).sort()).toEqual(['/d/x', '/e/f/x'].map((path) => [path, 'the agent has replaced a directory above it since']));
    expect(sh(world, 'cd $U; find . -type f -o -type c; ls e')).toBe('./g/x\n');
  });
  test('comes back only into the sandbox that it is from, while that is stopped; the host\'s part does not depend on it', () => {
    sh(world, 'echo a >$H/a; echo A >$U/a; echo b >$H/b; echo B >$U/b');
    const mixed = commit(world, { take: take('a') });

    expect(() => undoCommit(world.ctx, mixed.id, {}, { box: 'running' })).toThrow('Sandbox box is running');
    expect(readFileSync(join(world.host, 'b'), 'utf8')).toBe('B\n');

    const result = undoCommit(world.ctx, mixed.id, {}, { box: 'gone' });
    expect(result).toMatchObject({ state: 'landed', counts: { modify: 1 } });
    expect(result.refused.map(({ text }) => text)).toEqual(['the sandbox that it was dropped from is gone']);
    expect(readFileSync(join(world.host, 'b'), 'utf8')).toBe('b\n');
  });
});

describe('an undo of directories without permissions', () => {
  test('takes them away, brings them back and covers what is in them', () => {
    sh(world, 'mkdir -p $U/n/shut; echo in >$U/n/shut/in; chmod 000 $U/n/shut; mkdir $U/closed; echo c >$U/closed/c; chmod 000 $U/closed');
    const old = look(world, 'host');
    commit(world);
    const undone = undoCommit(world.ctx, null);
    expect(undone).toMatchObject({ state: 'landed', refused: [] });
    expect(look(world, 'host')).toBe(old);

    expect(undoCommit(world.ctx, undone.id)).toMatchObject({ state: 'landed', refused: [] });
    expect(statSync(join(world.host, 'closed')).mode & 0o777).toBe(0);
    expect(sh(world, 'stat -c %a $H/n/shut; chmod -R u+rwx $H/n $H/closed; cat $H/n/shut/in $H/closed/c')).toBe('0\nin\nc\n');
  });
});
