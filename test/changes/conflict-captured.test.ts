/** Conflicts where the host's versions were kept when the agent began on them. */
import { readdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { judgeConflicts } from '../../src/changes/conflict.js';
import { KernelError, type Kernel, type Stat } from '../../src/kernel/kernel.js';
import { native } from '../../src/kernel/native.js';
import { needs } from '../helpers/needs.js';

import { begun, captureIn, conflictsIn, markOpaque, markOrigin } from './judged.js';
import { at, changesIn, commit, makeWorld, sh, type World } from './world.js';

let world: World;
beforeEach(() => {
  world = makeWorld();
});
afterEach(() => world.remove());

const begin = (): void => void (world = begun(world));
const capture = (fileBytes?: number): void => captureIn(world, fileBytes);
const conflicts = (): Record<string, string | null> => conflictsIn(world);
const origin = (path: string): void => markOrigin(world, path);
const opaque = (path: string): void => markOpaque(world, path);

const HOST = 'mkdir -p $H/d; for f in a b c d/x; do echo old >$H/$f; done; ln -s t $H/l';
const AGENT = 'mkdir -p $U/d; echo new >$U/a; wh $U/b; echo new >$U/d/x; ln -s n $U/l; echo new >$U/added';

describe('with a captured base', () => {
  test.each([['removed', 'rm $H/a'], ['replaced by a symlink', 'rm $H/a; ln -s t $H/a']])('a file of the host that is %s while it is compared is one, and ends nothing', (_, how) => {
    sh(world, HOST);
    begin();
    sh(world, AGENT);
    capture();
    sh(world, 'for f in a d/x; do cp $H/$f $H/$f~; mv $H/$f~ $H/$f; done');
    const changes = changesIn(world);
    sh(world, how);

    const judged = judgeConflicts(world.ctx, changes);
    expect(Object.fromEntries(judged.map(({ path, conflict }) => [path.slice(world.host.length + 1), conflict]))).toMatchObject({ a: 'changed', 'd/x': null });
  });
  test('a disk that fails while the host\'s file is compared is an error, and no conflict to settle', () => {
    sh(world, 'echo old >$H/a');
    begin();
    sh(world, 'echo new >$U/a');
    capture();
    sh(world, 'cp $H/a $H/b; mv $H/b $H/a');
    const changes = changesIn(world);
    const sick: Kernel = { ...native, sameBytes: () => { throw new KernelError('EIO', 5, 'read', null, 'EIO: i/o error, read'); } };

    expect(() => judgeConflicts({ ...world.ctx, kernel: sick }, changes)).toThrow('EIO');
  });
  test('where a server tells no time of a change, as by sshfs, the host\'s edit doesn\'t hide behind an old time of the content', () => {
    sh(world, 'for f in edited same kept; do echo old >$H/$f; touch -d @1000000000 $H/$f; done');
    begin();
    sh(world, 'for f in edited same kept; do echo new >$U/$f; done');
    capture();
    sh(world, 'echo edit >$H/edited; touch -d @900000000 $H/edited $H/same');
    const changes = changesIn(world).map((change) => ({ ...change, base: change.base === null ? null : (Object.create(change.base, { ctimeNs: { value: change.base.mtimeNs } }) as Stat) }));

    const judged = judgeConflicts(world.ctx, changes);

    expect(judged.map(({ path, conflict }) => [path.slice(world.host.length + 1), conflict])).toEqual([['edited', 'changed'], ['kept', null], ['same', null]]);
  });
  test('a touch, a save of the same bytes and an agent that made both are told apart', () => {
    sh(world, 'for f in touched saved edited chmodded gone link; do echo old >$H/$f; done; ln -sfn t $H/link');
    begin();
    sh(world, 'for f in touched saved edited chmodded gone; do echo new >$U/$f; done; ln -s n $U/link; echo mine >$U/both');
    capture();
    sh(world, 'touch $H/touched; cp -p $H/saved $H/s; mv $H/s $H/saved; echo edit >$H/edited; chmod 600 $H/chmodded; rm $H/gone; echo theirs >$H/both; ln -sfn t $H/link2; mv $H/link2 $H/link');

    expect(conflicts()).toEqual({ both: 'created', chmodded: 'changed', edited: 'changed', gone: 'deleted', link: null, saved: null, touched: null });
  });
  test('a directory that the host renamed before it came up is a conflict, and what is new in it does not land at the old name (CW14)', () => {
    sh(world, 'mkdir -p $H/moved $H/other; echo x >$H/moved/kept');
    begin();
    sh(world, 'mv $H/moved $H/new; mkdir $U/moved $U/made; echo added >$U/moved/added; echo added >$U/made/added');
    origin('moved');
    capture();

    expect(conflicts()).toEqual({ moved: 'deleted', 'moved/added': 'parent', made: null, 'made/added': null });
    expect(commit(world).refused.map(({ path }) => path.slice(world.host.length + 1)).sort()).toEqual(['moved', 'moved/added']);
    expect(readdirSync(world.host).sort()).toEqual(['made', 'new', 'other']);
  });
  test('a directory that the host removed, and in which the agent only touched, is nobody\'s change', () => {
    sh(world, 'for d in t/in c/in; do mkdir -p $H/$d; echo old >$H/$d/x; echo old >$H/$d/y; done');
    begin();
    sh(world, 'for d in t/in c/in; do mkdir -p $U/$d; echo old >$U/$d/x; done; echo new >$U/c/in/y');
    // As the kernel marks what it copies up.
    for (const path of ['t', 't/in', 't/in/x', 'c', 'c/in', 'c/in/x', 'c/in/y']) origin(path);
    capture();
    sh(world, 'rm -r $H/t $H/c');

    // A directory lands as it is or not at all, so what was only touched comes along with what was changed beside it.
    expect(conflicts()).toEqual({ c: 'deleted', 'c/in': 'parent', 'c/in/x': 'parent', 'c/in/y': 'parent' });
    expect(commit(world)).toMatchObject({ state: 'nothing' });
    expect(commit(world, { take: new Map([[at(world, 'c'), 'sandbox']]) })).toMatchObject({ state: 'landed', refused: [] });
    expect(sh(world, 'cd $H; head c/in/*; ls $U')).toBe('==> c/in/x <==\nold\n\n==> c/in/y <==\nnew\nt\n');
  });
  test('directories of loose objects and references that git emptied are made again, with nothing but what is new', () => {
    sh(world, 'for d in objects/0a refs/heads/x logs/refs/heads/x; do mkdir -p $H/.git/$d; echo old >$H/.git/$d/1; done; mkdir $H/other; echo old >$H/other/1');
    begin();
    sh(world, 'for d in .git/objects/0a .git/refs/heads/x .git/logs/refs/heads/x other; do mkdir -p $U/$d; echo new >$U/$d/2; wh $U/$d/1; done');
    capture();
    sh(world, 'rm -r $H/.git/objects/0a $H/.git/refs/heads $H/.git/logs/refs/heads/x $H/other');

    expect(conflicts()).toMatchObject({ '.git/objects/0a': null, '.git/refs/heads/x': null, '.git/logs/refs/heads/x/2': null, other: 'deleted', 'other/2': 'parent' });
    commit(world);
    expect(sh(world, 'cd $H; find . -mindepth 1 | sort')).toBe('./.git\n./.git/logs\n./.git/logs/refs\n./.git/logs/refs/heads\n./.git/logs/refs/heads/x\n./.git/logs/refs/heads/x/2\n./.git/objects\n./.git/objects/0a\n./.git/objects/0a/2\n./.git/refs\n./.git/refs/heads\n./.git/refs/heads/x\n./.git/refs/heads/x/2\n');
  });
  test('directories that both made are nobody\'s replaced: what is in them lands entry by entry', () => {
    begin();
    sh(world, 'mkdir -p $U/d/sub $U/d/mine; echo agent | tee $U/d/a $U/d/both $U/d/sub/x >$U/d/mine/y');
    opaque('d');
    capture();
    sh(world, 'mkdir -p $H/d/sub $H/d/theirs; echo host | tee $H/d/b $H/d/both $H/d/sub/z >$H/d/theirs/y');

    expect(conflicts()).toEqual({ 'd/a': null, 'd/both': 'created', 'd/mine': null, 'd/mine/y': null, 'd/sub/x': null });
    expect(commit(world)).toMatchObject({ state: 'landed', refused: [{ path: at(world, 'd/both') }] });
    expect(sh(world, 'cd $H; find . -type f | sort; cat d/both')).toBe('./d/a\n./d/b\n./d/both\n./d/mine/y\n./d/sub/x\n./d/sub/z\n./d/theirs/y\nhost\n');
  });
  test('one of them with another mode keeps the host\'s', () => {
    begin();
    sh(world, 'mkdir -m 700 $U/d; echo agent >$U/d/a');
    opaque('d');
    capture();
    sh(world, 'mkdir $H/d; echo host >$H/d/b');

    expect(conflicts()).toEqual({ d: 'created', 'd/a': null });
    expect(commit(world)).toMatchObject({ state: 'landed', refused: [{ path: at(world, 'd') }] });
    expect(sh(world, 'cd $H; find d; stat -c %a d')).toBe('d\nd/b\nd/a\n755\n');
  });
  test('nor is it told as an edit where nobody saw that the host had none', () => {
    begin();
    sh(world, 'mkdir -m 700 $U/d; echo agent >$U/d/a');
    opaque('d');
    sh(world, 'mkdir $H/d; echo host >$H/d/b');

    expect(conflicts()).toEqual({ d: 'created', 'd/a': null, 'd/b': 'created' });
  });
  test('a directory that the agent replaced conflicts with what the host made in it since', () => {
    sh(world, HOST);
    begin();
    sh(world, 'mkdir $U/d; echo new >$U/d/a');
    opaque('d');
    capture();
    sh(world, 'echo late >$H/d/late');

    expect(conflicts()).toEqual({ d: null, 'd/a': null, 'd/late': 'created', 'd/x': null });
  });
  needs('attr').test('what the agent only touched is no change of its when the host changes it', () => {
    sh(world, 'mkdir $H/dir $H/both; for f in same edited chmodded gone tagged; do echo old >$H/$f; done; ln -s t $H/link');
    begin();
    sh(world, 'mkdir $U/dir $U/both; for f in same edited chmodded gone tagged; do echo old >$U/$f; done; ln -s t $U/link');
    origin('gone');
    capture();
    sh(world, 'echo new >$U/edited; chmod 700 $U/both; setfattr -n user.x -v 1 $U/tagged');
    sh(world, 'chmod 700 $H/dir; chmod 711 $H/both; for f in same edited tagged; do echo host >$H/$f; done; chmod 600 $H/chmodded; rm $H/gone; ln -sfn h $H/link');

    expect(conflicts()).toEqual({ both: 'changed', edited: 'changed', tagged: 'changed' });
  });
  needs('root').test('an owner that the agent gave a file is its change, though the host wrote to it', () => {
    sh(world, 'for f in given group same; do echo old >$H/$f; done');
    begin();
    world = { ...world, ctx: { ...world.ctx, record: { ...world.ctx.record, mode: 'root' } } };
    sh(world, 'for f in given group same; do echo old >$U/$f; done; chown 5 $U/given; chgrp 5 $U/group');
    capture();
    sh(world, 'for f in given group same; do echo host >$H/$f; done');

    expect(conflicts()).toEqual({ given: 'changed', group: 'changed' });
  });
  needs('attr').test('attributes that the host alone changed are a conflict, of a directory and of a deletion too (CW13)', () => {
    sh(world, 'mkdir $H/dir; for f in edited gone new quiet; do echo old >$H/$f; setfattr -n user.a -v 1 $H/$f; done');
    begin();
    sh(world, 'mkdir $U/dir; chmod 700 $U/dir; wh $U/gone; for f in edited new quiet; do echo new >$U/$f; setfattr -n user.a -v 1 $U/$f; done');
    capture();
    sh(world, 'setfattr -n user.a -v 2 $H/edited $H/gone; setfattr -n user.b -v 1 $H/new $H/dir; setfattr -n user.a -v 1 $H/quiet');

    expect(conflicts()).toEqual({ dir: 'changed', edited: 'changed', gone: 'changed', new: 'changed', quiet: null });
  });
  needs('attr').test('attributes that the agent only touched are the host\'s to change', () => {
    sh(world, 'echo old >$H/f; setfattr -n user.a -v 1 $H/f');
    begin();
    sh(world, 'echo old >$U/f; setfattr -n user.a -v 1 $U/f');
    capture();
    sh(world, 'setfattr -n user.a -v 2 $H/f');

    expect(conflicts()).toEqual({});
  });
  needs('attr').test('attributes that the agent changed are its change, also of what the host has no more', () => {
    sh(world, 'mkdir $H/d $H/idle; for f in d idle f g; do touch $H/$f; setfattr -n user.a -v 1 $H/$f; done');
    begin();
    sh(world, 'mkdir $U/d $U/idle; touch $U/f $U/g; for f in d f; do setfattr -n user.a -v 2 $U/$f; done; for f in idle g; do setfattr -n user.a -v 1 $U/$f; done');
    for (const path of ['d', 'idle', 'f', 'g']) origin(path);
    capture();
    sh(world, 'rm -r $H/d $H/idle $H/f $H/g');

    expect(conflicts()).toEqual({ d: 'deleted', f: 'deleted' });
    // Nor did the capture look at them where the host had made something in the directory before.
    sh(world, 'mkdir $H/late $H/plain; mkdir $U/late $U/plain; setfattr -n user.a -v 1 $U/late');
    for (const path of ['late', 'plain']) origin(path);
    capture();
    sh(world, 'rmdir $H/late $H/plain');
    expect(conflicts()).toEqual({ d: 'deleted', f: 'deleted', late: 'deleted' });
  });
  needs('attr').test('nor are the attributes of a directory in which the host had made something before', () => {
    sh(world, 'mkdir $H/d $H/mode; setfattr -n user.a -v 1 $H/d');
    begin();
    sh(world, 'touch $H/d/x $H/mode/x; mkdir $U/d $U/mode; setfattr -n user.a -v 1 $U/d; chmod 700 $U/mode');
    capture();
    sh(world, 'setfattr -x user.a $H/d; touch $H/mode/y');

    expect(conflicts()).toEqual({ d: 'uncaptured', mode: null });
  });
  test('what came too late, or was too big, is not guessed', () => {
    sh(world, 'echo old >$H/late; head -c 2000 /dev/zero >$H/big');
    begin();
    sh(world, 'echo new >$U/late; echo new >$U/big; echo edit >$H/late');
    capture(1000);
    sh(world, 'touch $H/big');

    expect(conflicts()).toEqual({ late: 'uncaptured', big: 'uncaptured' });
  });
  test('a directory that the host only chmodded is still the same one above', () => {
    sh(world, HOST);
    begin();
    sh(world, 'mkdir -p $U/d; echo new >$U/d/x');
    capture();
    sh(world, 'chmod 700 $H/d');

    expect(conflicts()).toMatchObject({ 'd/x': null });
  });
});
