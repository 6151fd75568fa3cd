import { expect, test } from 'vitest';
import type { Bytes } from '../../../src/bytes.js';
import type { Change, ChangeKind } from '../../../src/changes/change.js';
import { checkoutNeeds, type Seeing } from '../../../src/changes/git/checkout.js';

const changed = (path: string, kind: ChangeKind): Change => ({ path: path as Bytes, kind, type: 'file', upper: kind === 'delete' ? null : {} }) as Change;

test('of references in tables the list needs the new ones, and the old ones that go need the list', () => {
  const changes = [changed('/p/.git/reftable/0x1-0x2-aa.ref', 'delete'), changed('/p/.git/reftable/0x1-0x3-bb.ref', 'add'), changed('/p/.git/reftable/tables.list', 'modify')];

  expect([...checkoutNeeds(changes, {} as Seeing)]).toEqual([
    ['/p/.git/reftable/tables.list', ['/p/.git/reftable/0x1-0x3-bb.ref']],
    ['/p/.git/reftable/0x1-0x2-aa.ref', ['/p/.git/reftable/tables.list']],
  ]);
});
