import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { listCommits, pruneCommits } from '../../src/changes/commits.js';
import { undoCommit } from '../../src/changes/undo.js';
import { look } from '../crash/look.js';
import { build, planFor, SCENES } from '../crash/scene.js';
import { applyPlan } from '../../src/changes/apply.js';
import { at, commit, makeWorld, sh, type World } from './world.js';

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
  test('takes the newest commit that is not undone, and refuses what can\'t be', () => {
    sh(world, 'echo 1 >$U/one');
    const one = commit(world);
    sh(world, 'echo 2 >$U/two');
    const two = commit(world);

    expect(undoCommit(world.ctx, null).landed.map(({ path }) => path.slice(-3))).toEqual(['two']);
    expect(undoCommit(world.ctx, null).landed.map(({ path }) => path.slice(-3))).toEqual(['one']);
    expect(() => undoCommit(world.ctx, null)).toThrow('There is no commit to undo.');
    expect(() => undoCommit(world.ctx, two.id)).toThrow('is undone already');
    expect(() => undoCommit(world.ctx, 'nosuch')).toThrow('There is no commit nosuch');
    expect(one.id).not.toBeNull();
  });
  test('works when the sandbox is gone', () => {
    sh(world, 'echo a >$H/a; echo A >$U/a');
    commit(world);
    sh(world, 'rm -rf $T/state/sandboxes/box');

    expect(undoCommit(world.ctx, null).state).toBe('landed');
    expect(readFileSync(join(world.host, 'a'), 'utf8')).toBe('a\n');
  });
  test('the host\'s version that was chosen stays, and the agent\'s is kept in the commit', () => {
    sh(world, 'echo host >$H/a; echo agent >$U/a');
    const take = new Map([[at(world, 'a'), 'host' as const]]);

    expect(commit(world, { take })).toMatchObject({ state: 'landed' });

    expect(readFileSync(join(world.host, 'a'), 'utf8')).toBe('host\n');
    expect(readdirSync(world.upper)).toEqual([]);
  });
});

describe('the list of commits', () => {
  test('newest first, with counts, note, size and what undid what', () => {
    sh(world, 'echo a >$H/a; echo A >$U/a; head -c 20000 /dev/zero >$H/big; wh $U/big');
    const first = commit(world);
    const undone = undoCommit(world.ctx, null);

    const [newest, oldest] = listCommits(world.ctx);

    expect(newest).toMatchObject({ id: undone.id, undoes: first.id, undoneBy: null, state: 'landed', tag: 'box' });
    expect(oldest).toMatchObject({ id: first.id, undoes: null, undoneBy: undone.id, counts: { modify: 1, delete: 1 } });
    expect(newest?.bytes).toBeGreaterThan(0);
  });
  test('pruning by age and by size drops what is kept, not the record', () => {
    for (const name of ['a', 'b', 'c']) {
      sh(world, `head -c 100000 /dev/zero >$H/${name}; wh $U/${name}`);
      commit(world);
    }
    const [, , oldest] = listCommits(world.ctx);

    expect(pruneCommits(world.ctx, { olderThanMs: 1e12, maxBytes: null, dryRun: false })).toEqual([]);
    const would = pruneCommits(world.ctx, { olderThanMs: null, maxBytes: 250_000, dryRun: true });
    const did = pruneCommits(world.ctx, { olderThanMs: null, maxBytes: 250_000, dryRun: false });

    expect(did.map(({ id }) => id)).toEqual(would.map(({ id }) => id));
    expect(did[0]?.id).toBe(oldest?.id);
    expect(listCommits(world.ctx).at(-1)).toMatchObject({ state: 'pruned' });
    expect(readdirSync(join(world.state, 'commits', oldest?.id ?? ''))).toEqual(['result.json']);
    expect(() => undoCommit(world.ctx, oldest?.id ?? '')).toThrow('was pruned');
  });
});

test('a commit of format 0 is listed and undone', () => {
  sh(world, 'echo new >$H/swapped; echo added >$H/added; mkdir -p $T/state/commits/old1/old; echo old >$T/state/commits/old1/old/0; echo gone >$T/state/commits/old1/old/1');
  const ident = (path: string): object => {
    const { ino, size, mtimeNs } = statSync(path, { bigint: true });
    return { ino: `${ino}`, size: Number(size), mtime: `${mtimeNs}` };
  };
  const dir = join(world.state, 'commits/old1');
  const steps = [
    { act: 'swap', type: 'file', path: 'swapped', keep: 'old/0', fresh: ident(join(world.host, 'swapped')), old: ident(join(dir, 'old/0')) },
    { act: 'place', type: 'file', path: 'added', fresh: ident(join(world.host, 'added')) },
    { act: 'take', type: 'file', path: 'gone', keep: 'old/1', old: ident(join(dir, 'old/1')) },
  ];
  const created = '2025-01-01T00:00:00.000Z';
  writeFileSync(join(dir, 'plan'), JSON.stringify({ version: 0, id: 'old1', tag: 'box', created, base: world.host, vault: dir, steps }));

  expect(listCommits(world.ctx)).toMatchObject([{ id: 'old1', counts: { add: 1, modify: 1, delete: 1 } }]);
  expect(undoCommit(world.ctx, 'old1')).toMatchObject({ state: 'landed', refused: [] });
  expect(sh(world, 'cat $H/swapped $H/gone; ls $H')).toBe('old\ngone\ngone\nswapped\n');
  expect(existsSync(join(world.host, 'added'))).toBe(false);
});
