import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { AuditAnchor } from '../../src/audit/chain.js';
import type { Audit } from '../../src/audit/write.js';
import { anchored, keepAnchored } from '../../src/sandbox/anchor.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const at = (index: number): AuditAnchor => ({ index, hash: String(index), signed: false });

test('what was recorded since is synced, then remembered, ever more seldom', () => {
  const said: string[] = [];
  let newest = at(1);
  const audit = { newest: () => newest, sync: () => void said.push('sync') } as unknown as Audit;
  const { stop } = keepAnchored(audit, ({ index }) => void said.push(String(index)));

  vi.advanceTimersByTime(1000);
  expect(said).toEqual([]);
  newest = at(4);
  vi.advanceTimersByTime(2000);
  expect(said).toEqual(['sync', '4']);
  for (let i = 5; i < 3605; i += 1) {
    newest = at(i);
    vi.advanceTimersByTime(1000);
  }
  expect(said.filter((word) => word === 'sync').length).toBeLessThan(130);
  const before = said.length;
  stop();
  newest = at(9999);
  vi.advanceTimersByTime(100_000);
  expect(said).toHaveLength(before);
});

test('what can’t be written ends nothing, and is tried again', () => {
  let full = true;
  const kept: number[] = [];
  let index = 0;
  const audit = { newest: () => at(index), sync: () => undefined } as unknown as Audit;
  const { stop } = keepAnchored(audit, (anchor) => {
    if (full) throw new Error('ENOSPC');
    kept.push(anchor.index);
  });
  index = 3;
  vi.advanceTimersByTime(1000);
  full = false;
  vi.advanceTimersByTime(2000);
  stop();

  expect(kept).toEqual([3]);
});

test('a log without a record leaves the sandbox’s record as it was', () => {
  const record: { readonly tag: string; readonly audit?: AuditAnchor } = { tag: 't' };
  expect(anchored(record, { newest: () => null } as unknown as Audit)).toBe(record);
  expect(anchored(record, { newest: () => at(2) } as unknown as Audit)).toEqual({ tag: 't', audit: at(2) });
});
