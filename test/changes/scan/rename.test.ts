import { createHash } from 'node:crypto';
import { chmodSync, linkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Change } from '../../../src/changes/change.js';
import { openContents } from '../../../src/changes/content.js';
import { detectRenames, type RenameLimits, type Renames, type Seen } from '../../../src/changes/scan/rename.js';
import { native } from '../../../src/kernel/native.js';
import { changesOf, isRoot, layerOf, mountedLayer, type Planted, told } from '../layers.js';

function renames(planted: Planted, limits?: RenameLimits): Renames<Change> & { digests: number } {
  const contents = openContents(native, [planted.layer]);
  let digests = 0;
  try {
    const found = detectRenames(changesOf(planted), {
      digestOf: (change, side) => {
        digests += 1;
        return contents.digest(change, side);
      },
      ...(limits === undefined ? {} : { limits }),
    });
    return { ...found, digests };
  } finally {
    contents.close();
  }
}

const lines = (planted: Planted, limits?: RenameLimits): string[] => told(planted, renames(planted, limits).changes).sort();

describe('files', () => {
  test('a deletion and an addition of equal content are a rename', () => {
    const planted = layerOf({ old: null, new: 'same text' }, { old: 'same text' });
    const found = renames(planted);

    expect(told(planted, found.changes)).toEqual(['rename new from old']);
    const [rename] = found.changes;
    expect(rename).toMatchObject({ basePath: `${planted.base}/old`, base: { size: 9 }, upper: { size: 9 }, content: false });
    expect(told(planted, found.parts.get(rename as Change) ?? []).sort()).toEqual(['add new', 'delete old']);
  });

  test('a changed mode is told with it', () => {
    const planted = layerOf({ old: null, new: 'text' }, { old: 'text' });
    chmodSync(join(planted.upper, 'new'), 0o755);
    chmodSync(join(planted.base, 'old'), 0o644);

    expect(lines(planted)).toEqual(['rename new from old (mode)']);
  });

  test('other content of the same size is not', () => {
    expect(lines(layerOf({ old: null, new: 'text' }, { old: 'TEXT' }))).toEqual(['add new', 'delete old']);
  });

  test('a further name of a file of the host is not', () => {
    const planted = layerOf({ old: null, host: 'text' }, { old: 'text', host: 'text' });
    linkSync(join(planted.upper, 'host'), join(planted.upper, 'name'));

    expect(lines(planted)).toEqual(['add name', 'delete old']);
  });

  test('with two candidates none is', () => {
    expect(lines(layerOf({ old: null, n1: 'text', n2: 'text' }, { old: 'text' }))).toEqual(['add n1', 'add n2', 'delete old']);
    expect(lines(layerOf({ o1: null, o2: null, n: 'text' }, { o1: 'text', o2: 'text' }))).toEqual(['add n', 'delete o1', 'delete o2']);
  });

  test('empty files are not', () => {
    expect(lines(layerOf({ old: null, new: '' }, { old: '' }))).toEqual(['add new', 'delete old']);
  });

  test('only candidates of equal size are read', () => {
    const found = renames(layerOf({ o1: null, o2: null, n1: 'abc', n2: 'other' }, { o1: 'abc', o2: 'longest' }));

    expect(found.digests).toBe(2);
  });

  test('beyond the limits pairs stay pairs', () => {
    const planted = layerOf({ o1: null, n1: 'abc' }, { o1: 'abc' });

    expect(lines(planted, { files: 1, bytes: 1000 })).toEqual(['add n1', 'delete o1']);
    expect(lines(planted, { files: 10, bytes: 5 })).toEqual(['add n1', 'delete o1']);
  });
});

describe('directories', () => {
  const old = { 'old/a': '1', 'old/sub/b': '22', 'old/s': '-> a', 'old/empty/': '' };
  const moved = { 'new/a': '1', 'new/sub/b': '22', 'new/s': '-> a', 'new/empty/': '' };

  test('are renamed when all that is in them matches (E66)', () => {
    const planted = layerOf({ old: null, ...moved }, old);
    const found = renames(planted);

    expect(told(planted, found.changes)).toEqual(['rename new from old']);
    expect([...found.parts.values()][0]).toHaveLength(12);
  });

  test('are not when one file differs: its siblings still are', () => {
    const planted = layerOf({ old: null, ...moved, 'new/a': '2' }, old);

    expect(lines(planted)).toEqual(expect.arrayContaining(['add new', 'delete old', 'add new/a', 'rename new/sub/b from old/sub/b']));
  });

  test('are not when one more or less is there', () => {
    expect(lines(layerOf({ old: null, ...moved, 'new/more': 'm' }, old))).toContain('delete old');
    expect(lines(layerOf({ old: null, 'new/a': '1' }, old))).toContain('delete old');
  });

  test('empty ones are not', () => {
    expect(lines(layerOf({ old: null, 'new/': '' }, { 'old/': '' }))).toEqual(['add new', 'delete old']);
  });

  test.runIf(isRoot)('mv in user mode, where the kernel refuses to rename (E87; needs root)', () => {
    expect(lines(mountedLayer({ 'old/f': '1', 'old/g/h': '2' }, 'mv old new'))).toEqual(['rename new from old']);
  });
});

test('the rest keeps its order', () => {
  const planted = layerOf({ a: 'A', old: null, z: 'zz', new: 'same text' }, { old: 'same text' });

  expect(told(planted, renames(planted).changes)).toEqual(['add a', 'rename new from old', 'add z']);
});

describe('of what the host edited since', () => {
  const seen = (planted: Planted, was: Readonly<Record<string, string | null>>): string[] => {
    const contents = openContents(native, [planted.layer]);
    try {
      const seenOf = ({ path }: Change): Seen | 'unknown' | null => {
        const text = was[path.slice(planted.base.length + 1)];
        if (text === undefined) return null;
        return text === null ? 'unknown' : { size: text.length, digest: () => createHash('sha256').update(text).digest('hex') };
      };
      return told(planted, detectRenames(changesOf(planted), { digestOf: contents.digest, seenOf }).changes).sort();
    } finally {
      contents.close();
    }
  };
  const dir = { 'old/a': 'edited', 'old/sub/b': '22' };
  const moved = { 'new/a': '1', 'new/sub/b': '22' };

  test('a file is paired by what the agent saw, not by what the host has', () => {
    expect(seen(layerOf({ old: null, new: 'was' }, { old: 'edited' }), { old: 'was' })).toEqual(['rename new from old']);
    expect(seen(layerOf({ old: null, new: 'edited' }, { old: 'edited' }), { old: 'was' })).toEqual(['add new', 'delete old']);
  });

  test('a directory too; where nothing was kept of a file, by all else that is in it', () => {
    expect(seen(layerOf({ old: null, ...moved }, dir), { 'old/a': '1' })).toEqual(['rename new from old']);
    expect(seen(layerOf({ old: null, ...moved }, dir), { 'old/a': null })).toEqual(['rename new from old']);
  });

  test('nothing is read of what was longer than all that is read', () => {
    const planted = layerOf({ old: null, 'new/a': '1' }, { 'old/a': '2' });
    const huge = { size: 2 ** 40, digest: () => expect.unreachable('it was read') };
    const grown = changesOf(planted).map((change) => (change.path.endsWith('/new/a') && change.upper !== null ? { ...change, upper: { ...change.upper, size: 2 ** 40 } } : change));

    const found = detectRenames(grown, { digestOf: () => 'same', seenOf: ({ path }) => (path.endsWith('/old/a') ? huge : null) });

    expect(found.changes).toBe(grown);
  });

  test('a directory is not where nothing else tells, something else differs, or two fit', () => {
    expect(seen(layerOf({ old: null, 'new/a': '1' }, { 'old/a': 'edited' }), { 'old/a': null })).toContain('delete old');
    expect(seen(layerOf({ old: null, ...moved, 'new/sub/b': '23' }, dir), { 'old/a': null })).toContain('delete old');
    expect(seen(layerOf({ old: null, ...moved, 'new/more': '' }, dir), { 'old/a': null })).toContain('delete old');
    expect(seen(layerOf({ old: null, 'new/A': '1', 'new/sub/b': '22' }, dir), { 'old/a': null })).toContain('delete old');
    expect(seen(layerOf({ old: null, ...moved, 'two/a': '1', 'two/sub/b': '22' }, dir), { 'old/a': null })).toContain('delete old');
    expect(seen(layerOf({ old: null, other: null, ...moved }, { ...dir, 'other/a': 'edited', 'other/sub/b': '22' }), { 'old/a': null, 'other/a': null })).toContain('delete old');
  });
});
