import { expect, test } from 'vitest';
import type { Bytes } from '../../src/bytes.js';
import type { Change, FileType } from '../../src/changes/change.js';
import { keepUnits, unitNeeds } from '../../src/changes/database/units.js';
import type { Undone } from '../../src/changes/git/undo.js';

const changed = (path: string, type: FileType = 'file'): Change => ({ path: path as Bytes, kind: 'modify', type }) as Change;
const units = (...paths: string[]): [string, readonly string[]][] => unitNeeds(paths.map((path) => changed(path))).map(([path, needed]) => [path, needed]);

test.each<[string, string[]]>([
  ['PostgreSQL', ['/p/db/base/1/2', '/p/db/global/pg_control', '/p/db/pg_wal/0001']],
  ['MySQL', ['/p/db/ibdata1', '/p/db/shop/orders.ibd']],
  ['MongoDB', ['/p/db/WiredTiger.wt', '/p/db/collection-0.wt', '/p/db/journal/log.1']],
  ['LevelDB', ['/p/db/000005.ldb', '/p/db/CURRENT', '/p/db/MANIFEST-000004']],
  ['Mercurial', ['/p/.hg/store/00changelog.i', '/p/.hg/store/data/f.i', '/p/.hg/dirstate']],
  ['Subversion', ['/p/.svn/wc.db', '/p/.svn/pristine/ab/abc.svn-base']],
])('the files of a store are one: %s', (_, paths) => {
  const [first = '', ...others] = paths;
  const apart = ['/p/src/a.ts', '/p/db.sql', '/p/.hg/hgrc', '/q/CURRENT', '/q/base/1/2', '/q/000001.log'];

  expect(units(...apart, ...paths)).toEqual([[first, others], ...others.map((path) => [path, [first]])]);
});

test('a single file, a directory or a socket of one binds nothing', () => {
  expect(units('/p/db/global/pg_control')).toEqual([]);
  expect(unitNeeds([changed('/p/db/global/pg_control'), changed('/p/db/base', 'dir'), changed('/p/db/.s.PGSQL.5432', 'socket')])).toEqual([]);
});

/** What an undo still takes back, and what it refuses, of drafts where the host used some paths. */
function kept(drafts: readonly (readonly [path: string, type?: FileType])[], used: readonly string[]): { readonly drafts: readonly string[]; readonly refused: Readonly<Record<string, unknown>> } {
  const undone = keepUnits({
    drafts: drafts.map(([path, type = 'file']) => ({ path: path as Bytes, type }) as Undone['drafts'][number]),
    refused: used.map((path) => ({ path: path as Bytes, conflict: 'type' }) as Undone['refused'][number]),
  });
  return { drafts: undone.drafts.map(({ path }) => path), refused: Object.fromEntries(undone.refused.map(({ path, conflict }) => [path, conflict])) };
}

test('I20 of a store that was used an undo takes no file back, of others all', () => {
  const drafts = [['/p/db/base/1/2'], ['/p/db/base', 'dir'], ['/p/src/a'], ['/q/db/ibdata1'], ['/q/db/shop/orders.ibd']] as const;

  expect(kept(drafts, ['/p/db/global/pg_control'])).toEqual({
    drafts: ['/p/db/base', '/p/src/a', '/q/db/ibdata1', '/q/db/shop/orders.ibd'],
    refused: { '/p/db/global/pg_control': 'type', '/p/db/base/1/2': 'changed' },
  });
  expect(kept(drafts, []).drafts).toHaveLength(5);
  expect(kept(drafts, ['/p/src/b'])).toMatchObject({ drafts: drafts.map(([path]) => path), refused: { '/p/src/b': 'type' } });
});

test('I20 tables of LevelDB are the files that it names so, not what else lies beside them', () => {
  const drafts = [['/p/kv/000007.log'], ['/p/kv/000009.ldb'], ['/p/kv/notes.txt']] as const;

  expect(kept(drafts, ['/p/kv/MANIFEST-000004'])).toEqual({ drafts: ['/p/kv/notes.txt'], refused: { '/p/kv/MANIFEST-000004': 'type', '/p/kv/000007.log': 'changed', '/p/kv/000009.ldb': 'changed' } });
});
