import { constants } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Bytes } from '../../src/bytes.js';
import type { FileType, JudgedChange } from '../../src/changes/change.js';
import type { Plan } from '../../src/changes/plan/draft.js';
import { planCommit, type CommitInput } from '../../src/changes/plan.js';
import { heapWanted } from '../../src/changes/apply/memory.js';
import { selectChanges } from '../../src/changes/selection.js';
import type { Stat } from '../../src/kernel/kernel.js';

const FMT = { file: constants.S_IFREG, dir: constants.S_IFDIR, symlink: constants.S_IFLNK, fifo: constants.S_IFIFO, socket: constants.S_IFSOCK, char: constants.S_IFCHR, block: constants.S_IFBLK };
let inode = 100n;
function stat(type: FileType, rest: Partial<Stat> = {}): Stat {
  inode += 1n;
  return {
    ...{ dev: 1n, ino: inode, mode: FMT[type] | 0o644, nlink: type === 'dir' ? 2 : 1, uid: 0, gid: 0, rdev: 0n, size: 10, blocks: 8 },
    ...{ atimeNs: 1n, mtimeNs: 2n, ctimeNs: 3n, btimeNs: 1n, ...rest },
  };
}
function change(kind: JudgedChange['kind'], path: string, type: FileType = 'file', rest: Partial<JudgedChange> = {}): JudgedChange {
  return {
    ...{ path: `/h/${path}` as Bytes, kind, from: null, type, oldType: null, at: { layer: 0, path: path as Bytes } },
    upper: kind === 'delete' ? null : stat(type),
    base: kind === 'add' ? null : stat(rest.oldType ?? type),
    ...{ opaque: false, implied: false, target: null, meta: [], content: true, class: 'normal', reason: null, conflict: null, verdict: null, rule: null },
    ...rest,
  };
}
const FACTS = [{ layer: 0, base: '/h' as Bytes, upper: '/u' as Bytes, family: 'user', movable: true, vault: '/v' as Bytes, baseDev: 1n, gone: false }] as const;
type Some = Omit<Partial<CommitInput>, 'options'> & { readonly only?: readonly string[]; readonly live?: boolean };
function plan(changes: readonly JudgedChange[], { only, live = false, ...rest }: Some = {}): Plan {
  const selected = new Set((only ?? changes.map(({ path }) => path.slice(3))).map((path) => `/h/${path}` as Bytes));
  return planCommit({ changes, selected, facts: FACTS, options: { live, keepSpecial: false, fifos: false, note: null }, ...rest });
}
const steps = (made: Plan): string[] => made.steps.map((step) => `${step.act} ${step.path.slice(3)} ${step.method}${step.entries === null ? '' : ` +${step.entries.length}`}${step.covers.length > 0 ? ` -${step.covers.length}` : ''} ${step.layerEntry}`);
const refusals = (made: Plan): Record<string, string> => Object.fromEntries(made.refused.map(({ path, why }) => [path.slice(3), why]));

describe('each kind of change', () => {
  test.each([
    ['an addition is placed', change('add', 'a'), 'place a move moved'],
    ['a modification is swapped', change('modify', 'a'), 'swap a move moved'],
    ['a file with several names is written in place (I12)', change('modify', 'a', 'file', { base: stat('file', { nlink: 2 }) }), 'write a copy spent'],
    ['a deletion is taken', change('delete', 'a'), 'take a move whiteout'],
    ['metadata change in place', change('metadata', 'a', 'file', { meta: ['mode'] }), 'meta a copy spent'],
    ['a directory\'s metadata leave it in the layer', change('metadata', 'a', 'dir', { meta: ['mode'] }), 'meta a copy stays'],
    ['another type is swapped', change('type', 'a', 'symlink', { oldType: 'file' }), 'swap a move moved'],
  ])('%s', (_title, one, expected) => {
    expect(steps(plan([one]))).toEqual([expected]);
  });
  test.each(['socket', 'char', 'block', 'fifo'] as const)('a %s does not land (I8)', (type) => {
    const made = plan([change('add', 'a', type)]);

    expect([steps(made), refusals(made)]).toEqual([[], { a: 'special' }]);
  });
  test('a live sandbox is only copied from (I18)', () => {
    expect(steps(plan([change('add', 'a'), change('delete', 'b'), change('modify', 'c')], { live: true }))).toEqual([
      'place a copy stays', 'take b copy stays', 'swap c copy stays',
    ]);
  });
});

test('a plan that does not fit into memory is refused before anything lands, with the size that would do', () => {
  const heap = { limit: 2 ** 31, used: 2 ** 30 };
  expect(heapWanted(2_000_000, heap)).toBeNull();
  expect(heapWanted(4_000_000, heap)).toBe(3188);
});

describe('what is dropped from the layer (`--take host`, `discard PATH`)', () => {
  const host = (...paths: string[]): Map<Bytes, 'host'> => new Map(paths.map((path) => [`/h/${path}` as Bytes, 'host' as const]));
  const tree = [change('add', 'd', 'dir'), change('add', 'd/x'), change('add', 'd/y')];

  test('is one of a new directory that lands: the rest is copied', () => {
    expect(steps(plan(tree, { take: host('d/x') }))).toEqual(['place d copy +1 stays', 'drop d/x copy spent']);
  });
  test('is one of a new directory that stays', () => {
    expect(steps(plan(tree, { only: ['d/x'], take: host('d/x') }))).toEqual(['drop d/x copy spent']);
  });
  test('leaves what is below in a new directory without a place', () => {
    const deep = [change('type', 'd', 'dir', { oldType: 'file', conflict: 'type' }), change('add', 'd/s', 'dir'), change('add', 'd/s/x'), change('add', 'd/y')];
    const made = plan(deep, { take: new Map([['/h/d' as Bytes, 'sandbox'], ...host('d/s'), ['/h/d/s/x' as Bytes, 'sandbox']]) });

    expect(refusals(made)).toEqual({ 'd/s': 'with', 'd/s/x': 'with' });
    expect(steps(made)).toEqual(['swap d copy +1 stays']);
  });
  test('is not a directory of which something that was not named is in it', () => {
    const changed = [change('metadata', 'd', 'dir', { meta: ['mode'] }), change('modify', 'd/x')];
    expect(refusals(plan(changed, { only: ['d'], take: host('d') }))).toEqual({ d: 'with' });
    expect(refusals(plan(tree, { only: ['d', 'd/x'], take: new Map([...host('d'), ...host('d/x')]) }))).toEqual({ d: 'with' });
    expect(steps(plan(tree, { take: host('d') }))).toEqual(['drop d copy spent']);
  });
  test('is a directory of the layer with all that is in it, whichever of these would come first', () => {
    const changed = [change('metadata', 'd', 'dir', { meta: ['mode'] }), change('delete', 'd/e', 'dir'), change('add', 'd/n', 'dir'), change('modify', 'd/x'), change('modify', 'y')];
    expect(steps(plan(changed, { only: ['d', 'd/e', 'd/n', 'd/x'], take: host('d') }))).toEqual(['drop d copy spent']);
    expect(steps(plan(changed, { only: ['d/e', 'd/x'], take: host('d/e', 'd/x') }))).toEqual(['drop d/e copy whiteout', 'drop d/x copy spent']);
  });
  test('is both halves of a rename, and not one deletion in a deleted directory', () => {
    const renames = new Map([['/h/a' as Bytes, '/h/b' as Bytes]]);
    expect(steps(plan([change('delete', 'a'), change('add', 'b')], { renames, take: host('b') }))).toEqual(['drop a copy whiteout', 'drop b copy spent']);

    const moved = [change('delete', 'd', 'dir'), change('delete', 'd/a', 'file', { implied: true }), change('add', 'b')];
    const made = plan(moved, { renames: new Map([['/h/d/a' as Bytes, '/h/b' as Bytes]]), take: host('b') });
    expect([steps(made), refusals(made)]).toEqual([[], { d: 'with', 'd/a': 'with', b: 'with' }]);
  });
  test('takes along what was deleted with a directory: that alone doesn\'t land, and is told', () => {
    const sides = new Map([...host('d'), ['/h/d/a' as Bytes, 'sandbox' as const]]);
    for (const kind of ['delete', 'modify'] as const) {
      const gone = [change(kind, 'd', 'dir', { opaque: kind === 'modify' }), change('delete', 'd/a', 'file', { implied: true })];
      const made = plan(gone, { take: sides });
      expect([steps(made), refusals(made)]).toEqual([[`drop d copy ${kind === 'delete' ? 'whiteout' : 'spent'}`], { 'd/a': 'with' }]);
    }
  });
});

describe('directories', () => {
  const tree = [change('add', 'd', 'dir'), change('add', 'd/e', 'dir'), change('add', 'd/e/f'), change('add', 'd/g')];

  test('a new one is one step with all that is in it', () => {
    expect(steps(plan(tree))).toEqual(['place d move +3 moved']);
    expect(plan(tree).emptied).toEqual([0]);
  });
  test('a part of a new one is copied, and the rest stays', () => {
    const made = plan(tree, { only: ['d', 'd/e', 'd/e/f'] });

    expect(steps(made)).toEqual(['place d copy +2 stays']);
    expect(made.emptied).toEqual([]);
  });
  test('what is in a new one that was not selected can\'t land', () => {
    expect(refusals(plan(tree, { only: ['d/g'] }))).toEqual({ 'd/g': 'with' });
  });
  test('a deleted one is one step, unless something in it conflicts', () => {
    const gone = [change('delete', 'd', 'dir'), change('delete', 'd/x', 'file', { implied: true }), change('delete', 'd/y', 'file', { implied: true })];
    expect(steps(plan(gone))).toEqual(['take d move -2 whiteout']);

    const conflicting = gone.map((one) => (one.path === '/h/d/y' ? { ...one, conflict: 'created' as const } : one));
    const made = plan(conflicting);
    expect([steps(made), refusals(made)]).toEqual([[], { d: 'conflict', 'd/x': 'conflict', 'd/y': 'conflict' }]);
    expect(steps(plan(conflicting, { take: new Map([['/h/d' as Bytes, 'sandbox']]) }))).toEqual(['take d move -2 whiteout']);
  });
  test('one that replaces the host\'s lands entry by entry, as a group (I11)', () => {
    const opaque = [change('modify', 'd', 'dir', { opaque: true }), change('add', 'd/n'), change('delete', 'd/x', 'file', { implied: true })];
    const whole = plan(opaque);

    expect(steps(whole)).toEqual(['place d/n move moved', 'take d/x move stays']);
    expect(new Set(whole.steps.map(({ group }) => group))).toEqual(new Set([1]));
    expect(whole.unmark).toEqual([{ root: 1, path: 'd', group: 1 }]);
    expect(steps(plan(opaque, { only: ['d/n'] }))).toEqual(['place d/n copy stays']);
    expect(plan(opaque, { only: ['d/n'] }).unmark).toEqual([]);
    // Nobody is shown the directory itself, which is as it was: all that it hides is all of it.
    const all = plan(opaque, { only: ['d/n', 'd/x'] });
    expect([steps(all), all.unmark]).toEqual([steps(whole), whole.unmark]);
    const changed = opaque.map((one) => (one.opaque ? { ...one, meta: ['mode' as const] } : one));
    expect(plan(changed, { only: ['d/n', 'd/x'] }).unmark).toEqual([]);
  });
  test('permissions that are given come first, those that are taken last', () => {
    const mode = (path: string, bits: number): JudgedChange => change('metadata', path, 'dir', { meta: ['mode'], upper: stat('dir', { mode: FMT.dir | bits }) });

    expect(plan([mode('closed', 0o555), change('add', 'x'), mode('opened', 0o755)]).steps.map(({ path }) => path.slice(3))).toEqual(['opened', 'x', 'closed']);
  });
});

describe('links', () => {
  const twin = stat('file', { nlink: 2 });

  test('names of one inode move together, as a group (I18, E119)', () => {
    const made = plan([change('add', 'a', 'file', { upper: twin }), change('add', 'b', 'file', { upper: twin })]);

    expect(steps(made)).toEqual(['place a move moved', 'place b move moved']);
    expect(made.steps[0]?.group).toBe(made.steps[1]?.group);
    expect(made.steps[0]?.group).not.toBe(0);
  });
  test('a name that stays makes the others copies (I18)', () => {
    expect(steps(plan([change('add', 'a', 'file', { upper: twin }), change('add', 'b', 'file', { upper: twin })], { only: ['a'] }))).toEqual(['place a copy spent']);
  });
  test('in a directory too', () => {
    const made = plan([change('add', 'd', 'dir'), change('add', 'd/a', 'file', { upper: twin }), change('modify', 'b', 'file', { upper: twin })], { only: ['d', 'd/a'] });

    expect(steps(made)).toEqual(['place d copy +1 spent']);
  });
});

test('a conflict blocks its own path only; a choice overrides it', () => {
  const changes = [change('modify', 'a', 'file', { conflict: 'changed' }), change('add', 'b')];

  expect([steps(plan(changes)), refusals(plan(changes))]).toEqual([['place b move moved'], { a: 'conflict' }]);
  expect(steps(plan(changes, { take: new Map([['/h/a' as Bytes, 'sandbox']]) }))).toEqual(['swap a move moved', 'place b move moved']);
  expect(steps(plan(changes, { take: new Map([['/h/a' as Bytes, 'host']]), only: ['a'] }))).toEqual(['drop a copy spent']);
});

describe('selection', () => {
  const changes = [
    change('add', 'a', 'dir'), change('add', 'a/b', 'dir'), change('add', 'a/b/c'), change('add', 'a/d'),
    change('delete', 'old'), change('add', 'new'), change('modify', 'x.ts'),
  ];
  const select = (paths: readonly string[], globs: readonly string[] = []): string[] =>
    selectChanges(changes, { paths: paths.map((path) => `/h/${path}` as Bytes), globs: globs.map((glob) => `/h/${glob}` as Bytes) }, new Map([['/h/old' as Bytes, '/h/new' as Bytes]]))
      .changes.map(({ path }) => path.slice(3));

  test('nothing named is everything', () => {
    expect(select([])).toHaveLength(7);
  });
  test('a path takes what is below it, and new parents come along (E97)', () => {
    expect(select(['a/b/c'])).toEqual(['a', 'a/b', 'a/b/c']);
    expect(select(['a'])).toEqual(['a', 'a/b', 'a/b/c', 'a/d']);
  });
  test('globs', () => {
    expect(select([], ['**/*.ts'])).toEqual(['x.ts']);
  });
  test('a rename is not taken by half', () => {
    expect(select(['new'])).toEqual(['old', 'new']);
    expect(select(['old'])).toEqual(['old', 'new']);
  });
  test('what matches nothing is told (CW22)', () => {
    expect(selectChanges(changes, { paths: ['/etc' as Bytes, '/h/a' as Bytes], globs: [] }).unmatched).toEqual(['/etc']);
  });
});

test('100,000 changes are planned in linear time', () => {
  const many = Array.from({ length: 100_000 }, (_none, n) => change('add', `d${n % 100}/f${n}`));

  expect(plan(many).steps).toHaveLength(100_000);
});
