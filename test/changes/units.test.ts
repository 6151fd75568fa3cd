import { expect, test } from 'vitest';
import type { Bytes } from '../../src/bytes.js';
import type { Change, FileType } from '../../src/changes/change.js';
import { unitNeeds } from '../../src/changes/database/units.js';

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
