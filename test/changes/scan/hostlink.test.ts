import { chmodSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { undoCommit } from '../../../src/changes/undo.js';
import { at, changesIn, commit, contextFor, judgedIn, makeWorld, picture, refusalsIn, sh, singleCalls, type World } from '../world.js';
import { native } from '../../../src/kernel/native.js';
import { needs } from '../../helpers/needs.js';

let world: World;
beforeEach(() => {
  world = makeWorld();
});
afterEach(() => world.remove());

/** `ln base new`, as an overlay does it: the file comes up, and the new name is one of the copy. */
const LINK = 'echo text >$H/base; cp -a $H/base $U/base; ln $U/base $U/new';

function names(...paths: readonly string[]): readonly (readonly [inode: string, links: number])[] {
  const seen = new Map<number, string>();
  return paths.map((path) => {
    const { ino, nlink } = statSync(join(world.host, path));
    if (!seen.has(ino)) seen.set(ino, path);
    return [seen.get(ino) ?? '', nlink];
  });
}

test('a new name of a file of the base says so, and lands as a link to it (E57, E119)', () => {
  sh(world, LINK);
  expect(changesIn(world)).toMatchObject([{ path: at(world, 'new'), kind: 'add', link: { path: at(world, 'base'), same: true } }]);

  expect(commit(world)).toMatchObject({ state: 'landed', refused: [], counts: { add: 1 } });

  expect(names('base', 'new')).toEqual([['base', 2], ['base', 2]]);
  expect(changesIn(world)).toEqual([]);
  expect(sh(world, 'ls $U')).toBe('base\n');
});
test('so do several, in a new directory, beside a file of its own, and over another file', () => {
  sh(world, `${LINK}; echo other >$H/over; ln $U/base $U/over; mkdir $U/d; ln $U/base $U/d/in; echo own >$U/d/own`);

  expect(commit(world)).toMatchObject({ state: 'landed', refused: [], counts: { add: 4, modify: 1 } });

  expect(names('base', 'new', 'over', 'd/in')).toEqual([['base', 4], ['base', 4], ['base', 4], ['base', 4]]);
  expect(sh(world, 'cat $H/d/own; ls $U')).toBe('own\nbase\n');
  expect(changesIn(world)).toEqual([]);
});
test('over a file that is alike: only the link is the change, and an undo makes two files of them again', () => {
  const pair = (name: string): string => `echo text >$H/${name}a; echo text >$H/${name}b; cp -a $H/${name}a $U/${name}a; ln $U/${name}a $U/${name}b`;
  sh(world, `${pair('x')}; ${pair('linked')}; ln -f $H/linkeda $H/linkedb; ${pair('more')}; ln $H/moreb $H/morec; touch -d 2001-01-01 $H/xb`);
  expect(changesIn(world)).toMatchObject([{ path: at(world, 'xb'), kind: 'modify', content: false, link: { path: at(world, 'xa'), same: true } }]);

  expect(commit(world)).toMatchObject({ state: 'landed', refused: [], counts: { modify: 1 } });
  expect(names('xa', 'xb')).toEqual([['xa', 2], ['xa', 2]]);
  expect(changesIn(world)).toEqual([]);

  expect(undoCommit(world.ctx, null)).toMatchObject({ state: 'landed', refused: [] });
  expect(names('xa', 'xb')).toEqual([['xa', 1], ['xb', 1]]);
  expect(sh(world, 'cat $H/xb; stat -c %Y $H/xb')).toBe('text\n978307200\n');
});
test.each([
  ['its content', 'echo more >>$U/new'],
  ['its mode', 'chmod 600 $U/new'],
  ['the content of a file with more names on the host', 'ln $H/base $H/second; echo more >>$U/new'],
])('one whose file changed too lands with that change: %s', (_what, change) => {
  sh(world, `${LINK}; ${change}`);

  expect(commit(world)).toMatchObject({ state: 'landed', refused: [] });

  const [base, fresh] = names('base', 'new');
  expect(fresh).toEqual(base);
  expect(sh(world, 'cmp $U/../upper/new $H/new 2>/dev/null || cat $H/new')).toContain('text');
  expect(changesIn(world)).toEqual([]);
});
test.each(['new', 'd/in'])('of a file that is written through another of its names, one lands as the file that the agent sees: %s', (name) => {
  sh(world, `mkdir $U/d; echo text >$H/base; ln $H/base $H/second; cp -a $H/base $U/base; ln $U/base $U/${name}; echo other >$U/second`);

  expect(commit(world)).toMatchObject({ state: 'landed', refused: [] });

  expect(sh(world, `cat $H/second $H/${name}`)).toBe('other\ntext\n');
  expect(undoCommit(world.ctx, null)).toMatchObject({ state: 'landed', refused: [] });
  expect(sh(world, 'ls $H; cat $H/second')).toBe('base\nsecond\ntext\n');
});
test('of a file that the host changed meanwhile is a conflict; the agent\'s version can land as a file of its own', () => {
  sh(world, 'echo text >$H/base; sleep 0.02');
  const t0 = BigInt(Date.now()) * 1_000_000n;
  const own = { ...world, ctx: contextFor(world, native, t0) };
  sh(world, 'cp -a $H/base $U/base; ln $U/base $U/new; echo host >$H/base');

  expect(judgedIn(own).map(({ path, conflict }) => [path, conflict])).toEqual([[at(world, 'base'), 'uncaptured'], [at(world, 'new'), 'uncaptured']]);
  expect(commit(own)).toMatchObject({ state: 'nothing', refused: [{ why: 'conflict' }, { why: 'conflict' }] });
  expect(commit(own, { only: ['new'], take: new Map([[at(world, 'new'), 'sandbox']]) })).toMatchObject({ state: 'landed', refused: [] });
  expect(sh(world, 'cat $H/base $H/new')).toBe('host\ntext\n');
  expect(names('base', 'new')).toEqual([['base', 1], ['new', 1]]);
});
test('of a file that changes between plan and landing is refused, and stays in the layer', () => {
  sh(world, LINK);

  const result = commit(world, {}, { onStaged: () => void sh(world, 'echo late >$H/base') });

  expect(result).toMatchObject({ state: 'nothing', refused: [{ path: at(world, 'new'), conflict: 'changed' }] });
  expect(sh(world, 'cat $H/base $U/new; ls $H; stat -c %h $H/base')).toBe('late\ntext\nbase\n1\n');
});
test('alone, while its changed file stays, is a copy', () => {
  sh(world, `${LINK}; echo more >>$U/new`);

  expect(commit(world, { only: ['new'] })).toMatchObject({ state: 'landed', refused: [] });

  expect(names('base', 'new')).toEqual([['base', 1], ['new', 1]]);
  expect(sh(world, 'cat $H/new $H/base')).toBe('text\nmore\ntext\n');
  expect(changesIn(world).map(({ path }) => path)).toEqual([at(world, 'base')]);
});
test('from a sandbox that runs is a link too (I18)', () => {
  sh(world, LINK);

  expect(commit(world, { live: true })).toMatchObject({ state: 'landed', refused: [] });

  expect(names('base', 'new')).toEqual([['base', 2], ['base', 2]]);
  expect(changesIn(world)).toEqual([]);
});
test('an undo takes the name away and leaves no other, and an undo of that makes it again', () => {
  sh(world, `${LINK}; ln $H/base $H/second; echo more >>$U/new; mkdir $U/d; ln $U/base $U/d/in`);
  commit(world);
  expect(names('base', 'second', 'new')).toEqual([['base', 4], ['base', 4], ['base', 4]]);

  const undone = undoCommit(world.ctx, null);
  expect(undone).toMatchObject({ state: 'landed', refused: [] });
  expect(sh(world, 'ls $H; cat $H/second')).toBe('base\nsecond\ntext\n');

  expect(undoCommit(world.ctx, undone.id)).toMatchObject({ state: 'landed', refused: [] });
  expect(sh(world, 'cat $H/second $H/new')).toBe('text\nmore\ntext\nmore\n');
  expect(names('base', 'new')[1]?.[0]).toBe('base');
});
test.each([
  ['a file', 'echo f >$H/d; rmdir $U/d; mkdir $U/d'],
  ['a symlink', 'ln -s / $H/d'],
  ['a file above', 'echo f >$H/top; mkdir $U/top; mv $U/d $U/top/d; D=top/d'],
])('in a directory that replaced %s: an undo of an undo makes it again', (_what, made) => {
  sh(world, `echo text >$H/base; cp -a $H/base $U/base; mkdir $U/d; D=d; ${made}; ln $U/base $U/$D/in; echo own >$U/$D/own`);
  const first = commit(world);
  expect(first).toMatchObject({ state: 'landed', refused: [] });
  const landed = picture(world.host);

  const undone = undoCommit(world.ctx, first.id);
  expect(undone).toMatchObject({ state: 'landed', refused: [] });
  expect(statSync(join(world.host, 'base')).nlink).toBe(1);

  expect(undoCommit(world.ctx, undone.id)).toMatchObject({ state: 'landed', refused: [] });
  expect(picture(world.host)).toBe(landed);
});
test.each(['mkdir $U/one; echo in >$U/one/in', 'ln -s other $U/one'])('a name of a file that was written through another one comes back as a name of it: %s', (made) => {
  sh(world, `echo text >$H/one; ln $H/one $H/other; echo longer text >$U/other; ${made}`);
  const before = picture(world.host, { times: true });
  const first = commit(world);
  const landed = picture(world.host);

  const undone = undoCommit(world.ctx, first.id);
  expect(undone).toMatchObject({ state: 'landed', refused: [] });
  expect(picture(world.host, { times: true }).replaceAll(/ x\d+ /g, ' ')).toBe(before.replaceAll(/ x\d+ /g, ' '));
  expect(statSync(join(world.host, 'one')).ino).toBe(statSync(join(world.host, 'other')).ino);

  expect(undoCommit(world.ctx, undone.id)).toMatchObject({ state: 'landed', refused: [] });
  expect(picture(world.host).replaceAll(/ x\d+ /g, ' ')).toBe(landed.replaceAll(/ x\d+ /g, ' '));
});
test('an undo whose file lost its other name keeps the content', () => {
  sh(world, LINK);
  commit(world);
  sh(world, 'rm $H/base');

  const undone = undoCommit(world.ctx, null);
  expect(undone).toMatchObject({ state: 'landed', refused: [] });
  expect(sh(world, 'ls $H')).toBe('');
  undoCommit(world.ctx, undone.id);
  expect(sh(world, 'cat $H/new')).toBe('text\n');
});
test.each([['by the addon', native], ['one by one', singleCalls(native)]])('nor does one that loses it while the undo is under way (%s)', (_, kernel) => {
  sh(world, LINK);
  commit(world);

  const result = undoCommit(contextFor(world, kernel), null, { onStaged: () => sh(world, 'rm $H/base') });

  expect(refusalsIn(world, result)).toEqual({ new: 'changed' });
  expect(sh(world, 'ls $H; cat $H/new')).toBe('new\ntext\n');
});
test('of a file that is written in place, because the host has further names of it: also a name that sorts before it (I12)', () => {
  sh(world, 'mkdir $H/d; echo old >$H/d/z; ln $H/d/z $H/other; mkdir $U/d; echo new >$U/d/z; ln $U/d/z $U/d/a');
  const old = picture(world.host);

  expect(commit(world)).toMatchObject({ state: 'landed', refused: [], counts: { add: 1, modify: 1 } });
  expect(names('d/z', 'other', 'd/a')).toEqual([['d/z', 3], ['d/z', 3], ['d/z', 3]]);
  expect(sh(world, 'cat $H/other')).toBe('new\n');

  const undone = undoCommit(world.ctx, null);
  expect(undone).toMatchObject({ state: 'landed', refused: [] });
  expect(picture(world.host)).toEqual(old);
  expect(undoCommit(world.ctx, undone.id)).toMatchObject({ state: 'landed', refused: [] });
  expect(names('d/z', 'other', 'd/a')).toEqual([['d/z', 3], ['d/z', 3], ['d/z', 3]]);
});
test.each([['setuid', 0o4755], ['setgid', 0o2755]])('of a %s file nobody gets another name: it would outlive its mend', (_, mode) => {
  sh(world, LINK);
  for (const path of [join(world.host, 'base'), join(world.upper, 'base')]) chmodSync(path, mode);

  expect(commit(world)).toMatchObject({ state: 'landed', refused: [], counts: { add: 1 } });

  expect(names('base', 'new')).toEqual([['base', 1], ['new', 1]]);
  expect([statSync(join(world.host, 'base')).mode & 0o7777, statSync(join(world.host, 'new')).mode & 0o7777]).toEqual([mode, 0o755]);
});
needs('root').test('of a file of somebody else nobody gets another name', () => {
  sh(world, `${LINK}; chown 12345 $H/base`);

  expect(changesIn(world).find(({ path }) => path === at(world, 'new'))).toMatchObject({ kind: 'add', link: undefined });
  commit(world);
  expect(names('base', 'new').map(([, links]) => links)).toEqual([1, 1]);
});

test('a name of a file that replaced the directory of another name: an undo of an undo makes it again, unless the host changed something in the directory', () => {
  sh(world, `mkdir $H/d; echo text >$H/d/a; echo other >$H/d/b; ln $H/d/a $H/o; cp -a $H/o $U/o; ln $U/o $U/d`);
  const before = picture(world.host);
  const first = commit(world);
  expect(first).toMatchObject({ state: 'landed', refused: [] });
  const landed = picture(world.host);

  const undone = undoCommit(world.ctx, first.id);
  expect(undone).toMatchObject({ state: 'landed', refused: [] });
  const again = undoCommit(world.ctx, undone.id);
  expect(again).toMatchObject({ state: 'landed', refused: [] });
  expect(picture(world.host)).toBe(landed);

  const back = undoCommit(world.ctx, again.id);
  expect(back).toMatchObject({ state: 'landed', refused: [] });
  expect(picture(world.host)).toBe(before);
  sh(world, 'sleep 0.02; echo mine >$H/d/b');
  expect(undoCommit(world.ctx, back.id).refused).toMatchObject([{ path: at(world, 'd'), conflict: 'changed' }]);
  expect(sh(world, 'cat $H/d/b')).toBe('mine\n');
});

test.each([
  ['something of the host has the name', 'echo mine >$H/over; echo mine >$H/new', { new: 'created', over: 'changed' }],
  ['the host replaced the file', 'cp $H/base $H/x; mv $H/x $H/base', { new: 'changed', over: 'changed' }],
  ['the host wrote the file', 'echo mine >>$H/base', { new: 'changed', over: 'changed' }],
])('an undo of an undo makes no name of a file again where %s', (_where, host, expected) => {
  sh(world, 'echo text >$H/base; echo old >$H/over; cp -a $H/base $U/base; ln $U/base $U/new; ln $U/base $U/over');
  expect(commit(world)).toMatchObject({ state: 'landed', refused: [] });
  const undone = undoCommit(world.ctx, null);
  expect(undone).toMatchObject({ state: 'landed', refused: [] });
  sh(world, `sleep 0.02; ${host}`);
  const before = picture(world.host);

  const { refused } = undoCommit(world.ctx, undone.id);
  expect(Object.fromEntries(refused.map(({ path, conflict }) => [path.slice(world.host.length + 1), conflict]))).toEqual(expected);
  expect(picture(world.host)).toBe(before);
});
