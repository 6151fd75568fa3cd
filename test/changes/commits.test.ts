/** What is kept of commits that ended: listed, pruned, and what a damaged one stops. */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { pruneCommits, surveyCommits } from '../../src/changes/vault/commits.js';
import { idNamed } from '../../src/changes/vault/named.js';
import { keepOf } from '../../src/changes/vault/keep.js';
import { fromText } from '../../src/bytes.js';
import { undoCommit } from '../../src/changes/undo.js';
import { KernelError, type Kernel } from '../../src/kernel/kernel.js';
import { native } from '../../src/kernel/native.js';
import type { Leftover } from '../../src/kernel/remove.js';
import { commit, contextFor, makeWorld, sh, type World } from './world.js';

let world: World;
beforeEach(() => {
  world = makeWorld();
});
afterEach(() => world.remove());

describe('the list of commits', () => {
  test('newest first, with counts, note, size and what undid what', () => {
    sh(world, 'echo a >$H/a; echo A >$U/a; head -c 20000 /dev/zero >$H/big; wh $U/big');
    const first = commit(world);
    const undone = undoCommit(world.ctx, null);

    const [newest, oldest] = surveyCommits(world.ctx).commits;

    expect(newest).toMatchObject({ id: undone.id, undoes: first.id, undoneBy: null, state: 'landed', tag: 'box' });
    expect(oldest).toMatchObject({ id: first.id, undoes: null, undoneBy: undone.id, counts: { modify: 1, delete: 1 } });
    expect(newest?.bytes).toBeGreaterThan(0);
  });
  test('an id may be cut short, as long as it names one commit', () => {
    const survey = { commits: [{ id: '01m8aa', tag: 'box' }, { id: '01m8ab', tag: 'cot' }, { id: '01m8', tag: 'old' }], broken: [{ id: fromText('01m9x'), error: new Error('torn') }] };

    expect(idNamed(survey, '01m8aa')).toBe('01m8aa');
    expect(idNamed(survey, '01m8')).toBe('01m8');
    expect(idNamed(survey, '01m9')).toBe('01m9x');
    expect([idNamed(survey, '01m'), idNamed(survey, '01m7'), idNamed(survey, '')]).toEqual([null, null, null]);
    expect(() => idNamed(survey, '01m8a')).toThrow('Several commits begin with 01m8a: 01m8aa of box, 01m8ab of cot');
  });
  test('a damaged record hides no commit and stops no command: the journal says the same', () => {
    sh(world, 'echo a >$H/a; echo A >$U/a');
    const { id } = commit(world);
    const file = join(world.state, 'commits', id as string, 'result.json');
    const whole = readFileSync(file, 'utf8');

    for (const text of ['', whole.slice(0, 40), '[]', '{}', whole.replace('"counts":{', '"counts":null,"x":{'), whole.replace('"refused":[]', '"refused":[1]')]) {
      expect(text).not.toBe(whole);
      writeFileSync(file, text);
      expect(surveyCommits(world.ctx).commits).toMatchObject([{ id, tag: 'box', state: 'landed', counts: { modify: 1 } }]);
    }
    expect(pruneCommits(world.ctx, { olderThanMs: 0, maxBytes: null, dryRun: true })).toMatchObject([{ id }]);
    expect(undoCommit(world.ctx, id)).toMatchObject({ state: 'landed', refused: [] });
    expect(readFileSync(join(world.host, 'a'), 'utf8')).toBe('a\n');
    // It was taken back: once pruned it says so, whatever was in its place.
    expect(pruneCommits(world.ctx, { olderThanMs: -1000, maxBytes: null, dryRun: false })).toHaveLength(2);
    expect(surveyCommits(world.ctx).commits.map(({ state }) => state)).toEqual(['pruned', 'pruned']);
  });
  test('what can’t be removed is told with its directory, and the rest goes', () => {
    sh(world, 'for f in stays goes; do echo old >$H/$f; echo new >$U/$f; done');
    const { id } = commit(world);
    const kernel: Kernel = {
      ...native,
      unlink: (dir, name) => {
        if (name === 'stays') throw new KernelError('EPERM', 1, 'unlinkat', name, 'EPERM: immutable');
        native.unlink(dir, name);
      },
    };
    const told: string[] = [];
    const onLeft = (dir: string, { count, first }: Leftover): void => void told.push(`${dir.slice(world.state.length)} ${count} ${(first as Error).message}`);

    pruneCommits(contextFor(world, kernel), { ...{ maxBytes: 1, olderThanMs: null, dryRun: false }, onLeft });

    expect(told).toEqual([`/commits/${id} 1 EPERM: immutable`]);
    expect(sh(world, 'cd $T/state/commits; find . -name stays -o -name goes').trim()).toMatch(/^\S+\/stays$/);
  });
  test('pruning by age and by size drops what is kept, not the record, and brings nothing back (E115)', () => {
    for (const name of ['a', 'b', 'c']) {
      sh(world, `head -c 100000 /dev/zero >$H/${name}; wh $U/${name}`);
      commit(world);
    }
    const [, , oldest] = surveyCommits(world.ctx).commits;

    expect(pruneCommits(world.ctx, { olderThanMs: 1e12, maxBytes: null, dryRun: false })).toEqual([]);
    const would = pruneCommits(world.ctx, { olderThanMs: null, maxBytes: 250_000, dryRun: true });
    const did = pruneCommits(world.ctx, { olderThanMs: null, maxBytes: 250_000, dryRun: false });

    expect(did.map(({ id }) => id)).toEqual(would.map(({ id }) => id));
    expect(did[0]?.id).toBe(oldest?.id);
    expect(surveyCommits(world.ctx).commits.at(-1)).toMatchObject({ state: 'pruned' });
    expect(readdirSync(join(world.state, 'commits', oldest?.id ?? ''))).toEqual(['result.json']);
    expect(() => undoCommit(world.ctx, oldest?.id ?? '')).toThrow('was pruned');
    expect(readdirSync(world.host)).toEqual([]);
  });
});

test('what is kept counts as it lies on the disk: a file with holes is small, also in a directory that went', () => {
  sh(world, 'truncate -s 2G $H/holes; mkdir $H/d; truncate -s 1G $H/d/holes; head -c 2000000 /dev/urandom >$H/full');
  sh(world, 'echo new >$U/holes; wh $U/d; echo new >$U/full');
  expect(commit(world)).toMatchObject({ state: 'landed', refused: [] });

  const [newest] = surveyCommits(world.ctx).commits;
  expect(newest?.bytes).toBeGreaterThan(2_000_000);
  expect(newest?.bytes).toBeLessThan(2_200_000);
});

test('a setting bounds what is kept, and never lets go of the newest', () => {
  expect(keepOf({ AGENTFW_KEEP_UNDO: '10GB,30d' })).toEqual({ maxBytes: 1e10, olderThanMs: 30 * 86_400_000 });
  expect(keepOf({})).toBeNull();
  expect(() => keepOf({ AGENTFW_KEEP_UNDO: 'much' })).toThrow('AGENTFW_KEEP_UNDO: `much` is not a size, nor a duration.');

  const ids = ['a', 'b'].map((name) => {
    sh(world, `head -c 100000 /dev/zero >$H/${name}; wh $U/${name}`);
    return commit(world).id ?? '';
  });
  const [newest, oldest] = surveyCommits(world.ctx).commits;
  expect(newest?.bytes).toBeGreaterThan(100_000);
  const gone = pruneCommits(world.ctx, { ...{ maxBytes: 1, olderThanMs: null, dryRun: false }, ...{ spare: ids[1] ?? '' } });
  expect(gone.map(({ id }) => id)).toEqual([oldest?.id]);
  expect(undoCommit(world.ctx, null)).toMatchObject({ state: 'landed', counts: { add: 1 } });
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

  expect(surveyCommits(world.ctx).commits).toMatchObject([{ id: 'old1', counts: { add: 1, modify: 1, delete: 1 } }]);
  expect(undoCommit(world.ctx, 'old1')).toMatchObject({ state: 'landed', refused: [] });
  expect(sh(world, 'cat $H/swapped $H/gone; ls $H')).toBe('old\ngone\ngone\nswapped\n');
  expect(existsSync(join(world.host, 'added'))).toBe(false);
});

describe('beside a commit that can\'t be read', () => {
  const names = ['a', 'b'];
  /** Two commits, of `a` and then of `b`; the one at `at` becomes unreadable. */
  function damaged(at: number): string[] {
    const ids = names.map((name) => {
      sh(world, `echo ${name} >$H/${name}; echo new >$U/${name}`);
      return commit(world).id as string;
    });
    sh(world, `cd $T/state/commits/${ids[at]}; for name in plan result.json; do echo junk >$name; done`);
    return ids;
  }
  const host = (): string => sh(world, 'cat $H/a $H/b');

  test('a later one is taken back all the same', () => {
    const [broken, whole] = damaged(0);

    expect(undoCommit(world.ctx, null)).toMatchObject({ state: 'landed', refused: [] });
    expect(host()).toBe('new\nb\n');
    expect(() => undoCommit(world.ctx, whole ?? '')).toThrow('is undone already');
    expect(() => undoCommit(world.ctx, broken ?? '')).toThrow(`The record of commit ${broken} can't be read`);
  });

  test('an earlier one is not: who knows whether that took it back', () => {
    const [whole, broken] = damaged(1);

    for (const id of [null, whole ?? '']) expect(() => undoCommit(world.ctx, id)).toThrow(`Commit ${whole} may be taken back already: ${broken}, which came after it, can't be read.`);
    expect(host()).toBe('new\nnew\n');
  });

  test('what can be read is pruned, the other stays whole', () => {
    const [broken, whole] = damaged(0);
    const told: string[] = [];

    expect(pruneCommits(world.ctx, { olderThanMs: -1000, maxBytes: null, dryRun: false, onBroken: ({ id }) => void told.push(id) })).toMatchObject([{ id: whole }]);
    expect(told).toEqual([broken]);
    expect(sh(world, `ls $T/state/commits/${broken}/old`)).not.toBe('');
  });
});

test.each(['{"version": 9}', '{"version": 0', '{"version": 0, "base": 1}'])('a journal in JSON that nobody knows is told with its place, not as a fault of ours: %s', (plan) => {
  const dir = join(world.state, 'commits/odd');
  sh(world, 'mkdir -p $T/state/commits/odd');
  writeFileSync(join(dir, 'plan'), plan);

  const text = `${dir}/plan can't be read, damaged or of a version`;
  expect(() => undoCommit(world.ctx, null)).toThrow(text);
  expect(surveyCommits(world.ctx)).toMatchObject({ commits: [], broken: [{ id: 'odd', error: { message: expect.stringContaining(text) as string } }] });
});
