/** attacks.md AU02: what is done to a log while somebody writes it. */
import { appendFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import { newKey, publicKeyOf, type AuditAnchor } from '../../src/audit/chain.js';
import { verifyLog } from '../../src/audit/verify.js';
import { openAudit, type Audit, type AuditOptions } from '../../src/audit/write.js';
import { native as kernel } from '../../src/kernel/native.js';

const key = newKey();
let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'afw-cut-'))));
afterEach(() => rmSync(dir, { recursive: true }));

const log = (): string => join(dir, 'audit.jsonl');
const open = (more: Partial<AuditOptions> = {}): Audit => openAudit({ kernel, dir: fromText(dir), tag: 't', policy: null, now: () => new Date(0), onFull: 'stop', ...more });
const record = (audit: Audit): number | null => audit.record({ kind: 'conn', object: { host: 'h.test' } });
const verify = (audit: Audit): unknown => verifyLog(kernel, fromText(dir), 't', { publicKey: publicKeyOf(key), anchor: audit.newest() });

describe('AU02 a writer does not go on behind', () => {
  test.each([
    ['a log that was emptied', () => truncateSync(log())],
    ['a log that is gone', () => rmSync(log())],
    ['a log that lost its last record', () => writeFileSync(log(), readFileSync(log(), 'utf8').replace(/[^\n]*\n$/, ''))],
    ['an older log in its place', () => writeFileSync(log(), readFileSync(log(), 'utf8').split('\n').slice(0, 2).join('\n'))],
    ['records that were changed and added', () => writeFileSync(log(), `${readFileSync(log(), 'utf8').replaceAll('h.test', 'g.test')}${readFileSync(log(), 'utf8').split('\n')[2] ?? ''}\n`)],
  ])('%s, nor sign it', (_, meddle) => {
    const audit = open();
    for (let i = 0; i < 4; i += 1) record(audit);
    meddle();

    expect(() => record(audit)).toThrow(expect.objectContaining({ code: 'AFW_AUDIT', hint: 'See agentfw log verify t', cause: expect.objectContaining({ message: 'it was cut or changed: record 3 is gone' }) }));
    expect(() => audit.close(key)).toThrow('record 3 is gone');
    expect(verify(audit)).toMatchObject({ ok: false });
  });

  test('a cut log, and counts what it could not write where the policy says so', () => {
    const audit = open({ onFull: 'drop' });
    record(audit);
    truncateSync(log());

    expect(record(audit)).toBeNull();
    expect(audit.dropped()).toBe(1);
  });

  test('only that: another writer, its rotation and a line that a crash cut short are none of it', () => {
    const one = open();
    const other = open({ rotateBytes: 600 });
    for (let i = 0; i < 5; i += 1) {
      record(one);
      record(other);
    }
    appendFileSync(log(), '{"v":1,"ind');

    expect(record(one)).toBeGreaterThan(10);
  });
});

describe('AU02 who goes on with a log that lost records does not have it look whole', () => {
  const keep = (count: number): void => writeFileSync(log(), readFileSync(log(), 'utf8').split('\n').slice(0, count).map((line) => `${line}\n`).join(''));
  const written = (): AuditAnchor | null => {
    const audit = open();
    for (let i = 0; i < 4; i += 1) record(audit);
    audit.close(key);
    return audit.newest();
  };
  const goOn = (anchor: AuditAnchor | null): AuditAnchor | null => {
    const audit = open({ anchor });
    record(audit);
    audit.close(key);
    return audit.newest();
  };
  const check = (anchor: AuditAnchor | null): unknown => verifyLog(kernel, fromText(dir), 't', { publicKey: publicKeyOf(key), anchor });
  const head = (): void => rmSync(join(dir, 'audit.head.json'));

  test.each([
    ['by the signed end, of its last two records', 3, () => keep(3), false],
    ['by what sandbox.json remembers, of its signed end too', 3, () => (keep(3), head()), true],
    ['by the signed end, of all', 0, () => rmSync(log()), false],
    ['by what sandbox.json remembers, of all', 0, () => (rmSync(log()), head()), true],
    ['in a last record that was changed', 5, () => writeFileSync(log(), readFileSync(log(), 'utf8').replace(/"dropped":0/, '"dropped":9')), false],
  ])('known %s', (_, index, meddle, remembered) => {
    const anchor = written();
    meddle();
    const newest = goOn(remembered ? anchor : null);

    expect(newest).toMatchObject({ index: 6 });
    expect(check(newest)).toMatchObject({ ok: false, index });
    expect(check(goOn(newest))).toMatchObject({ ok: false, index });
  });

  test('and one that is whole goes on as it was', () => {
    expect(check(goOn(written()))).toMatchObject({ ok: true, records: 7, end: 'signed' });
  });
});

test('a line without end is told at once, and costs no more than its length', () => {
  const audit = open();
  record(audit);
  audit.close(key);
  appendFileSync(log(), Buffer.alloc(24 << 20, 0));
  const before = process.cpuUsage();

  expect(verify(audit)).toMatchObject({ ok: false, index: 2, why: 'it is cut short' });
  const { user, system } = process.cpuUsage(before);
  expect(user + system).toBeLessThan(10e6);
});
