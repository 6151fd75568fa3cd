import { constants } from 'node:fs';
import { expect, test } from 'vitest';
import type { CapturedBase } from '../../../src/changes/base.js';
import type { Change } from '../../../src/changes/change.js';
import { conflictOf, isParentMoved, type Evidence } from '../../../src/changes/conflict/rule.js';
import type { Stat } from '../../../src/kernel/kernel.js';
import { b } from '../../kernel/temp.js';

const T0 = 1_000n;
const OLD = 10n;
const NEW = 2_000n;

/** A directory as the sandbox's start found it: filesystems give the number of a removed one to the next. */
const dir: Stat = {
  mode: constants.S_IFDIR | 0o755, uid: 1000, gid: 1000, size: 4096, nlink: 2, ino: 7n, dev: 1n, rdev: 0n, blocks: 8,
  atimeNs: OLD, mtimeNs: NEW, ctimeNs: NEW, btimeNs: OLD,
};
const captured: CapturedBase = {
  state: 'dir', ino: dir.ino, size: 0, mtimeNs: OLD, btimeNs: OLD, mode: dir.mode, uid: dir.uid, gid: dir.gid, attributes: '', detail: b(''),
};

function judged(base: Stat, evidence: Partial<Evidence> = {}): ReturnType<typeof conflictOf> {
  const change = { path: b('/w/d'), kind: 'metadata', type: 'dir', base, upper: base, implied: false } as unknown as Change;
  const no = (): boolean => false;
  return conflictOf(change, {
    ...{ touched: true, t0: T0, captured, landedBefore: false, landedDir: null, tookAway: false },
    ...{ sameContent: () => true, sameAttributes: () => true, copiedUp: no, parentChanged: no, packed: no },
    ...evidence,
  });
}

test('a directory is the same one while the host only makes files in it', () => {
  expect(judged(dir)).toBeNull();
  expect(isParentMoved(dir, { touched: true, t0: T0, captured })).toBe(false);
});

test('a new directory of the same name is another one, even with the number of the old one', () => {
  const next: Stat = { ...dir, btimeNs: NEW };

  expect(judged(next)).toBe('changed');
  expect(isParentMoved(next, { touched: true, t0: T0, captured })).toBe(true);
});

test('an owner, group or mode that the host gave it since is a conflict', () => {
  expect([{ uid: 0 }, { gid: 0 }, { mode: constants.S_IFDIR | 0o700 }].map((given) => judged({ ...dir, ...given }))).toEqual(['changed', 'changed', 'changed']);
});
