import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { join } from 'node:path';
import { fromText, type Bytes } from '../../src/bytes.js';
import { databaseOf, withDatabasePairs } from '../../src/changes/database/database.js';
import { undoCommit } from '../../src/changes/undo.js';
import { AT_FDCWD, type Kernel } from '../../src/kernel/kernel.js';
import { native } from '../../src/kernel/native.js';
import { at, changesIn, commit, contextFor, judgedIn, makeWorld, refusalsIn, sh, singleCalls, type World } from './world.js';

let world: World;
beforeEach(() => {
  world = makeWorld();
  sh(world, 'head -c 1024 /dev/zero | tee $H/a.db >$H/other.db; echo text >$H/text; : >$H/empty');
});
afterEach(() => world.remove());

/** The sandbox starts now, see conflict.test.ts. */
function begin(): void {
  sh(world, 'sleep 0.02; touch $T/t0; sleep 0.02');
  const t0 = native.stat(AT_FDCWD, fromText(join(world.top, 't0'))).ctimeNs;
  world = { ...world, ctx: contextFor(world, native, t0) };
}

const conflicts = (): Record<string, string | null> => Object.fromEntries(judgedIn(world).map(({ path, conflict }) => [path.slice(world.host.length + 1), conflict]));
const WRITE = 'head -c 1024 /dev/urandom >$U/a.db';

describe('a database and what is beside it (I20)', () => {
  test.each(['-wal', '-journal'])('conflicts where the host wrote %s meanwhile, changed or deleted', (suffix) => {
    begin();
    sh(world, `${WRITE}; wh $U/other.db; echo log | tee $H/a.db${suffix} >$H/other.db${suffix}`);

    expect(conflicts()).toEqual({ 'a.db': 'changed', 'other.db': 'changed' });
  });
  test('conflicts with its log, which both wrote', () => {
    sh(world, 'echo log >$H/a.db-wal');
    begin();
    sh(world, `${WRITE}; echo agent >$U/a.db-wal; echo host >$H/a.db-wal`);

    expect(conflicts()).toEqual({ 'a.db': 'changed', 'a.db-wal': 'uncaptured' });
  });
  test.each([
    ['a log of before the start', 'echo log >$H/a.db-wal', ''],
    ['an empty log', ':', ': >$H/a.db-wal'],
    ['a directory of that name', ':', 'mkdir $H/a.db-wal; echo >$H/a.db-wal/x'],
  ])('%s says nothing', (_, before, after) => {
    sh(world, before);
    begin();
    sh(world, `${WRITE}; ${after}`);

    expect(conflicts()).toEqual({ 'a.db': null });
  });
  test('what is no database has no log', () => {
    begin();
    sh(world, 'echo agent >$U/text; echo log | tee $H/text-wal $H/empty-wal $H/new-wal >$H/d-wal; chmod 600 $H/d-wal; wh $U/empty; head -c 1024 /dev/zero >$U/new');

    expect(conflicts()).toEqual({ text: null, empty: null, new: null });
  });
  test('a symlink of such a name is no log', () => {
    begin();
    sh(world, 'ln -s x $U/a.db-wal; head -c 1024 /dev/urandom >$H/a.db');

    expect(conflicts()).toEqual({ 'a.db-wal': null });
    expect(withDatabasePairs(new Map(), changesIn(world)).size).toBe(0);
  });
  test('has a name', () => {
    expect(['/d/a-wal', '/d/-wal', '/d/a-shm'].map((path) => databaseOf(path as Bytes))).toEqual(['/d/a', null, null]);
  });
  test('is not paired with its log where either is a half of a renaming', () => {
    begin();
    sh(world, `${WRITE}; echo log >$U/a.db-wal; ${WRITE.replace('a.db', 'other.db')}; echo log >$U/other.db-wal`);
    const renames = new Map([[at(world, 'a.db'), at(world, 'b.db')], [at(world, 'c'), at(world, 'other.db-wal')]]);

    expect(withDatabasePairs(renames, changesIn(world))).toEqual(renames);
    expect(withDatabasePairs(new Map(), changesIn(world)).size).toBe(2);
  });
});

describe('an undo', () => {
  test('leaves a database with its log where the host wrote the log since', () => {
    sh(world, `${WRITE}; echo agent >$U/a.db-wal; echo agent >$U/text`);
    commit(world);
    sh(world, 'echo host >>$H/a.db-wal');

    expect(refusalsIn(world, undoCommit(world.ctx, null))).toEqual({ 'a.db': 'changed', 'a.db-wal': 'changed' });
  });
  test('leaves a database with its log where the host has emptied the log', () => {
    sh(world, `${WRITE}; echo agent >$U/a.db-wal`);
    commit(world);
    sh(world, ': >$H/a.db-wal');

    expect(refusalsIn(world, undoCommit(world.ctx, null))).toEqual({ 'a.db': 'changed', 'a.db-wal': 'changed' });
  });
  test('takes one back beside a log that was there before, and is as it was', () => {
    sh(world, 'echo log >$H/a.db-wal');
    begin();
    sh(world, WRITE);
    commit(world);

    expect(refusalsIn(world, undoCommit(world.ctx, null))).toEqual({});
  });
  test('takes each one back or leaves it, whatever becomes of another', () => {
    sh(world, `${WRITE}; echo agent >$U/a.db-wal; head -c 1024 /dev/urandom >$U/other.db; echo agent >$U/other.db-wal`);
    commit(world);
    let done = false;
    const late: Kernel = {
      ...singleCalls(native),
      rename: (...args) => {
        if (!done && args.includes(fromText('a.db'))) sh(world, 'echo host >$H/new; mv $H/new $H/a.db');
        done ||= args.includes(fromText('a.db'));
        native.rename(...args);
      },
    };

    expect(refusalsIn(world, undoCommit(contextFor(world, late), null))).toMatchObject({ 'a.db': 'changed', 'a.db-wal': 'with' });
    expect(sh(world, 'ls $H; cat $H/a.db')).toBe('a.db\na.db-wal\nempty\nother.db\ntext\nhost\n');
  });
  test.each([
    ['leaves a database of which the host wrote a log since', 'echo host', { 'a.db': 'changed' }],
    ['takes one back beside an empty log', ':', {}],
  ])('%s', (_, write, refused) => {
    sh(world, WRITE);
    commit(world);
    sh(world, `sleep 0.02; ${write} >$H/a.db-wal`);

    expect(refusalsIn(world, undoCommit(world.ctx, null))).toEqual(refused);
  });
});
