/** What a log is where writers meet, a disk fills up, or a machine stops: each ends in a false audit if it goes wrong. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { newKey, publicKeyOf } from '../../src/audit/chain.js';
import { userKey } from '../../src/audit/files.js';
import { readLog } from '../../src/audit/read.js';
import { verifyLog, type Verification } from '../../src/audit/verify.js';
import { openAudit, type Audit, type AuditOptions } from '../../src/audit/write.js';
import { fromText, toText } from '../../src/bytes.js';
import { KernelError, type Kernel } from '../../src/kernel/kernel.js';
import { native as kernel } from '../../src/kernel/native.js';

const key = newKey();
let dir = '';
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), 'agentfw-writers-'))));
afterEach(() => rmSync(dir, { recursive: true }));

const optionsOf = (more: Partial<AuditOptions>): AuditOptions => ({ kernel, dir: fromText(dir), tag: 't', policy: null, now: () => new Date(0), onFull: 'stop', ...more });
const open = (more: Partial<AuditOptions> = {}): Audit => openAudit(optionsOf(more));
const record = (audit: Audit, host = 'h.test'): number | null => audit.record({ kind: 'conn', object: { host } });
const verify = (publicKey: string | null = publicKeyOf(key)): Verification => verifyLog(kernel, fromText(dir), 't', { publicKey, anchor: null });
const log = (): string => join(dir, 'audit.jsonl');

describe('AU05 what is lost is told', () => {
  test('once, in front of what is written next, and only what was lost since', () => {
    const options = { ...optionsOf({ onFull: 'drop' }), maxBytes: 1000 };
    const audit = openAudit(options);
    for (let i = 0; i < 10; i += 1) record(audit);
    const lost = audit.dropped();
    options.maxBytes = 1 << 20;
    const hosts = (...names: string[]): void => audit.recordAll(names.map((host) => ({ kind: 'conn', object: { host } })));
    hosts('a.test', 'b.test');
    hosts('c.test', 'd.test');

    expect(lost).toBeGreaterThan(5);
    const told = [...readLog(kernel, fromText(dir))].slice(10 - lost).map(({ kind, object, detail }) => (kind === 'dropped' ? detail : object['host']));
    expect(told).toEqual([{ count: lost, total: lost }, 'a.test', 'b.test', 'c.test', 'd.test']);
  });

  test.each([
    ['ENOSPC', 'Free some space'], ['EDQUOT', 'Free some space'], ['EPERM', 'lsattr'], ['EACCES', 'ls -l'], ['EIO', 'audit.jsonl'],
  ])('what to do about %s fits it', (code, hint) => {
    const rename = (): never => {
      throw new KernelError(code, 0, 'renameat2', null, code);
    };
    const audit = open({ kernel: { ...kernel, rename }, rotateBytes: 1 });
    record(audit);

    expect(() => record(audit)).toThrow(expect.objectContaining({ code: 'AFW_AUDIT', hint: expect.stringContaining(hint) as string }));
  });

  test('what to do about a log that has reached its bound is not to make room', () => {
    expect(() => record(open({ maxBytes: 10 }))).toThrow(expect.objectContaining({ hint: expect.stringContaining('new sandbox') as string }));
  });

  test('the bound is one for all files of a log', () => {
    const audit = open({ rotateBytes: 900, maxBytes: 4000 });

    expect(() => { for (let i = 0; i < 100; i += 1) record(audit); }).toThrow("Can't write the audit log");
    const files = readdirSync(dir).filter((name) => name.endsWith('.jsonl'));
    expect(files.length).toBeGreaterThan(2);
    expect(files.reduce((sum, name) => sum + statSync(join(dir, name)).size, 0)).toBeLessThanOrEqual(4000);
  });
});

describe('AU02 the chain is one', () => {
  test('behind a rotation that ended with the process, before the new file had a record', () => {
    const audit = open();
    for (let i = 0; i < 3; i += 1) record(audit);
    audit.leave();
    renameSync(log(), join(dir, 'audit.1.jsonl'));
    writeFileSync(log(), '');

    expect(record(open())).toBe(3);
    expect(verify()).toMatchObject({ ok: true, records: 4 });
  });

  test('though somebody took an earlier file away: what comes goes behind the newest', () => {
    const audit = open({ rotateBytes: 900 });
    for (let i = 0; i < 12; i += 1) record(audit);
    const before = readdirSync(dir).filter((name) => /^audit\.\d+\.jsonl$/.test(name)).length;
    rmSync(join(dir, 'audit.1.jsonl'));

    for (let i = 0; i < 12; i += 1) record(audit);

    expect(readdirSync(dir)).toContain(`audit.${before + 1}.jsonl`);
    expect(verify()).toMatchObject({ ok: false, index: 0 });
  });

  test('a last record that was made longer is not gone on from, nor signed', () => {
    const audit = open();
    for (let i = 0; i < 3; i += 1) record(audit, `h${i}.test`);
    writeFileSync(log(), readFileSync(log(), 'utf8').replace('h2.test', 'another.test'));

    expect(() => record(audit)).toThrow(expect.objectContaining({ code: 'AFW_AUDIT' }));
    expect(() => audit.close(key)).toThrow('record 2 is gone');
  });

  describe('to who reads while it is rotated', () => {
    const many = (audit: Audit): void => {
      for (let i = 0; i < 10; i += 1) record(audit);
    };
    const withoutGap = (records: readonly { readonly index: number }[]): void => {
      expect(records.length).toBeGreaterThan(5);
      expect(records.map(({ index }) => index)).toEqual(records.map((_, at) => at));
    };

    test('between two of its files', () => {
      const audit = open({ rotateBytes: 1000 });
      many(audit);
      const reading = readLog(kernel, fromText(dir));
      const first = reading.next();
      many(audit);

      withoutGap([...(first.done === true ? [] : [first.value]), ...reading]);
    });

    test('after it has seen their names', () => {
      const audit = open({ rotateBytes: 1000 });
      many(audit);
      let seen = 0;
      const list: Kernel['list'] = (fd) => {
        const names = kernel.list(fd);
        if ((seen += 1) === 1) many(audit);
        return names;
      };

      withoutGap([...readLog({ ...kernel, list }, fromText(dir))]);
      seen = 0;
      expect(verifyLog({ ...kernel, list }, fromText(dir), 't', { publicKey: null, anchor: null })).toMatchObject({ ok: true });
    });
  });

  test('of several processes that write at once', async () => {
    const script = `
      const { openAudit } = await import(process.argv[1] + '/audit/write.js');
      const { native: kernel } = await import(process.argv[1] + '/kernel/native.js');
      const audit = openAudit({ kernel, dir: process.argv[2], tag: 't', policy: null, now: () => new Date(0), onFull: 'stop', rotateBytes: 20_000 });
      for (let i = 0; i < 300; i += 1) audit.record({ kind: 'conn', object: { host: process.pid + '-' + i } });`;
    const dist = join(import.meta.dirname, '../../dist');
    const writers = [1, 2, 3].map(() => spawn(process.execPath, ['--input-type=module', '-e', script, '--', dist, dir], { stdio: ['ignore', 'inherit', 'inherit'] }));
    const ends = await Promise.all(writers.map((one) => once(one, 'close')));

    expect(ends.map(([status]) => status as number)).toEqual([0, 0, 0]);
    expect(verify()).toMatchObject({ ok: true });
    const hosts = [...readLog(kernel, fromText(dir))].flatMap(({ kind, object }) => (kind === 'conn' ? [object['host']] : []));
    expect(new Set(hosts).size).toBe(900);
    expect(hosts).toHaveLength(900);
  }, 60_000);
});

describe('AU02 a signed end', () => {
  beforeEach(() => {
    const audit = open();
    record(audit);
    audit.close(key);
  });

  test('proves nothing where the user’s key is not there', () => {
    expect(verify(null)).toMatchObject({ ok: false, file: 'audit.head.json', why: 'the end is not signed by your key' });
  });

  test('of another version is none that can be read', () => {
    const head = join(dir, 'audit.head.json');
    writeFileSync(head, readFileSync(head, 'utf8').replace('"version":1', '"version":2'));

    expect(verify()).toMatchObject({ ok: false, file: 'audit.head.json', why: 'the signed end is not readable' });
  });
});

/** What is asked of the kernel, as far as a crash of the machine could tell the order. */
function watched(): { calls: string[]; watching: Kernel } {
  const calls: string[] = [];
  const watching: Kernel = {
    ...kernel,
    fsync: (fd) => {
      calls.push('fsync');
      kernel.fsync(fd);
    },
    rename: (...given) => {
      calls.push(`rename ${toText(given[3]).replace(/.*\//, '')}`);
      kernel.rename(...given);
    },
  };
  return { calls, watching };
}

test('records are on disk before a file is put aside, and before the end is signed', () => {
  const { calls, watching } = watched();
  const audit = open({ kernel: watching, rotateBytes: 600 });
  while (calls.length === 0) record(audit);
  expect(calls).toEqual(['fsync', 'rename audit.1.jsonl']);

  calls.length = 0;
  audit.seal(key);
  // One of the log, one of the new end before it takes its place, one of their directory.
  expect(calls).toEqual(['fsync', 'fsync', 'rename audit.head.json', 'fsync']);
});

test('of two commands that are the first, both sign with the key of one', () => {
  const other = newKey();
  const racing: Kernel = {
    ...kernel,
    rename: (...given) => {
      if (toText(given[3]).endsWith('/audit-key.pem')) writeFileSync(join(dir, 'audit-key.pem'), other, { mode: 0o600 });
      kernel.rename(...given);
    },
  };

  expect(userKey(racing, fromText(dir))).toBe(other);
  expect(readFileSync(join(dir, 'audit-key.pem'), 'utf8')).toBe(other);
  expect(readdirSync(dir)).toEqual(['audit-key.pem']);
});
