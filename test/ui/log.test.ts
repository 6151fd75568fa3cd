import { expect, test } from 'vitest';
import type { AuditRecord } from '../../src/audit/event.js';
import { recordLine } from '../../src/ui/log.js';

const record = (object: AuditRecord['object']): AuditRecord => ({
  v: 1, index: 1, time: '2026-01-02T03:04:05.678Z', tag: 't', policy: null, kind: 'dns', subject: null, object,
  verdict: 'allow', rule: 'r', origin: null, approval: null, detail: {}, redacted: 0, prev: '0'.repeat(64),
});

test.each([[16, 'TXT'], [1, 'A'], [99, 'type 99']])('a lookup is told with what was asked for (%i)', (type, word) => {
  expect(recordLine(record({ name: 'a.example', type }), (_, text) => text)).toBe(`2026-01-02 03:04:05Z allow dns      a.example ${word} [r]`);
});

test('what an answer let pass is told with the answer', () => {
  const asked: AuditRecord = { ...record({ host: 'a.example', port: 443 }), kind: 'conn', rule: 'network.default', approval: '7k867' };

  expect(recordLine(asked, (_, text) => text)).toBe('2026-01-02 03:04:05Z allow conn     a.example:443 [network.default, approved: 7k867]');
});
