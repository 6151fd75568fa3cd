/** Conflicts by times alone, and what agentfw landed itself. */
import { utimesSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import { undoCommit } from '../../src/changes/undo.js';
import { AT_FDCWD } from '../../src/kernel/kernel.js';
import { native } from '../../src/kernel/native.js';

import { begun, captureIn, conflictsIn, markOpaque, markOrigin } from './judged.js';
import { commit, makeWorld, sh, type World } from './world.js';

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

describe('without a captured base', () => {
  test('an untouched host has no conflicts', () => {
    sh(world, HOST);
    begin();
    sh(world, AGENT);

    expect(new Set(Object.values(conflicts()))).toEqual(new Set([null]));
  });
  test('what was changed after the start is one, whoever wrote last (CW13)', () => {
    sh(world, HOST);
    begin();
    sh(world, `${AGENT}; echo host >$H/a; echo host >$H/b; echo host >$H/d/x; ln -sfn h $H/l`);

    expect(conflicts()).toEqual({ a: 'uncaptured', b: 'uncaptured', 'd/x': 'uncaptured', l: 'created', added: null });
  });
  test('a changed ctime can\'t be hidden behind an old mtime', () => {
    sh(world, HOST);
    begin();
    sh(world, `${AGENT}; echo host >$H/a`);
    utimesSync(join(world.host, 'a'), 1000, 1000);

    expect(conflicts()).toMatchObject({ a: 'uncaptured' });
  });
  test('equal content is no change at all', () => {
    sh(world, HOST);
    begin();
    sh(world, 'echo same >$U/a; echo same >$H/a');

    expect(conflicts()).toEqual({});
  });
  test('a file that the host deleted, and one that both made (CW14)', () => {
    sh(world, HOST);
    begin();
    sh(world, 'echo new >$U/a; rm $H/a; echo mine >$U/both; echo theirs >$H/both');
    origin('a');

    expect(conflicts()).toEqual({ a: 'deleted', both: 'created' });
  });
  test('a deletion by the host in the very tick of the start is one', () => {
    sh(world, 'echo old >$H/a');
    begin();
    sh(world, 'echo new >$U/a; rm $H/a');
    origin('a');
    const { t0 } = world.ctx.record;
    native.utimes(AT_FDCWD, fromText(world.host), t0, t0);

    expect(conflicts()).toEqual({ a: 'deleted' });
  });
  test('a renamed file that was copied up is an addition, not a deletion by the host', () => {
    sh(world, HOST);
    begin();
    sh(world, 'wh $U/a; echo old >$U/a2');
    origin('a2');

    expect(conflicts()).toEqual({ a: null, a2: null });
  });
  test('a type that changed on the host', () => {
    sh(world, HOST);
    begin();
    sh(world, 'echo new >$U/a; rm $H/a; mkdir $H/a');

    expect(conflicts()).toMatchObject({ a: 'type' });
  });
  test('a directory above that was renamed, replaced or removed', () => {
    sh(world, 'for d in p q r s; do mkdir -p $H/$d/in; echo old >$H/$d/in/x; done; mkdir -p $H/other/in; echo old >$H/other/in/x');
    begin();
    sh(world, 'for d in p q r s; do mkdir -p $U/$d/in; echo new >$U/$d/in/x; done; mv $H/p $H/p2; mv $H/q $H/q2; mv $H/other $H/q; ln -s p2 $H/p; rm -r $H/r');
    for (const dir of ['r', 'r/in']) origin(dir);

    const found = conflicts();
    expect([found['p'], found['p/in/x'], found['q/in/x'], found['r/in/x'], found['s/in/x']]).toEqual(['type', 'parent', 'parent', 'parent', null]);
  });
  test('everything in a layer whose mount is gone: what was beneath it is another directory', () => {
    sh(world, HOST);
    begin();
    sh(world, AGENT);
    const [layer] = world.ctx.record.layers;
    const { ino, btimeNs } = native.stat(AT_FDCWD, fromText(world.host));
    const over = (number: bigint, born: bigint): void => {
      const layers = [{ ...layer!, top: { mode: 0o755, uid: null, gid: null, over: `${number} ${born}` } }];
      world = { ...world, ctx: { ...world.ctx, record: { ...world.ctx.record, layers } } };
    };

    over(ino, btimeNs);
    expect(new Set(Object.values(conflicts()))).toEqual(new Set([null]));
    // Of two filesystems the roots may have one number.
    for (const other of [[ino + 1n, btimeNs], [ino, btimeNs + 1n]] as const) {
      over(...other);
      expect(new Set(Object.values(conflicts()))).toEqual(new Set(['parent']));
    }
    expect(commit(world)).toMatchObject({ state: 'nothing' });
  });
  test('a deleted directory in which the host made something (E109)', () => {
    sh(world, HOST);
    begin();
    sh(world, 'wh $U/d; echo late >$H/d/late');

    expect(conflicts()).toEqual({ d: null, 'd/late': 'created', 'd/x': null });
    expect(commit(world).refused.map(({ conflict }) => conflict)).toEqual(['created', 'created', 'created']);
  });
  test('a directory that both made may be one that the agent replaced', () => {
    begin();
    sh(world, 'mkdir $U/d; echo agent >$U/d/a; mkdir $H/d; echo host >$H/d/b');
    opaque('d');

    expect(conflicts()).toEqual({ d: 'created', 'd/a': null, 'd/b': 'created' });
  });
  test('the host’s own mode of a directory that the agent replaced is no guess of the agent’s', () => {
    sh(world, 'mkdir -m 755 $H/as $H/other; echo x | tee $H/as/x >$H/other/x');
    begin();
    sh(world, 'mkdir -m 755 $U/as; mkdir -m 700 $U/other');
    for (const dir of ['as', 'other']) opaque(dir);
    sh(world, 'chmod 750 $H/other; echo y | tee $H/as/y >$H/other/y');

    expect(conflicts()).toMatchObject({ as: null, other: 'uncaptured' });
  });
  test('a clock that runs behind T0 proves nothing', () => {
    sh(world, HOST);
    begin();
    sh(world, AGENT);
    world = { ...world, ctx: { ...world.ctx, now: () => new Date(0) } };

    expect(conflicts()).toMatchObject({ a: 'uncaptured', b: 'uncaptured', added: null });
  });
});

test('what was landed or undone is not host-changed, until the host changes it (I17)', () => {
  sh(world, 'echo a >$H/a; echo b >$H/b; mkdir $H/gone; echo g >$H/gone/g');
  begin();
  sh(world, 'echo A >$U/a; wh $U/b; mkdir -p $U/n/m; echo n >$U/n/m/n; wh $U/gone');
  expect(commit(world)).toMatchObject({ state: 'landed', refused: [] });

  sh(world, 'echo A2 >$U/a; echo again >$U/b; mkdir -p $U/n/m; echo n2 >$U/n/m/n');
  expect(conflicts()).toEqual({ a: null, b: null, 'n/m/n': null });

  expect(undoCommit(world.ctx, null)).toMatchObject({ state: 'landed', refused: [] });
  const { 'a': undone } = conflicts();
  expect(undone).toBeNull();

  sh(world, 'sleep 0.02; echo host >$H/a');
  expect(conflicts()).toMatchObject({ a: 'changed' });
});

test('a directory that agentfw landed stays its own through later commits and the host\'s files in it; its new mode does not', () => {
  const made = ['gone', 'file', 'mode', 'host', 'replaced'];
  begin();
  for (const dir of made) sh(world, `mkdir $U/${dir}; echo 1 >$U/${dir}/a`);
  capture();
  expect(commit(world)).toMatchObject({ state: 'landed', refused: [] });
  // The layer of a resumed run: the directories have come up from the base.
  for (const dir of made) {
    sh(world, `sleep 0.01; mkdir $U/${dir}; echo 2 >$U/${dir}/b`);
    origin(dir);
  }
  expect(commit(world)).toMatchObject({ state: 'landed', refused: [] });

  sh(world, 'rm -rf $U/*; wh $U/gone; echo f >$U/file; mkdir -m 700 $U/mode $U/host; wh $U/replaced');
  for (const dir of ['mode', 'host']) origin(dir);
  sh(world, 'sleep 0.01; echo theirs >$H/gone/c; chmod 711 $H/host; rm -r $H/replaced; mkdir $H/replaced');

  const found = conflicts();
  expect([found['gone'], found['gone/b'], found['gone/c']]).toEqual([null, null, 'created']);
  expect([found['file'], found['mode'], found['host'], found['replaced']]).toEqual([null, null, 'changed', 'created']);
});
