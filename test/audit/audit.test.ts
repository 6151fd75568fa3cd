import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { z } from 'zod';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import { hashLine, lineOf, newKey, publicKeyOf, type AuditAnchor } from '../../src/audit/chain.js';
import { auditRecordSchema, type AuditEvent } from '../../src/audit/event.js';
import { userKey } from '../../src/audit/files.js';
import { parseLine, readLog } from '../../src/audit/read.js';
import { redactArgv } from '../../src/audit/redact.js';
import { verifyLog } from '../../src/audit/verify.js';
import { openAudit, type AuditOptions } from '../../src/audit/write.js';
import { native as kernel } from '../../src/kernel/native.js';

const key = newKey();
const publicKey = publicKeyOf(key);
let dir = '';
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), 'agentfw-audit-'))));
afterEach(() => rmSync(dir, { recursive: true }));

const open = (more: Partial<AuditOptions> = {}): ReturnType<typeof openAudit> =>
  openAudit({ kernel, dir: fromText(dir), tag: 't', policy: null, now: () => new Date(0), onFull: 'stop', ...more });
const verify = (anchor: AuditAnchor | null = null): ReturnType<typeof verifyLog> => verifyLog(kernel, fromText(dir), 't', { publicKey, anchor });
const conn = (host: string): AuditEvent => ({ kind: 'conn', object: { host, port: 443 }, verdict: 'deny', rule: 'network.default' });
const lines = (file = 'audit.jsonl'): string[] => readFileSync(join(dir, file), 'utf8').split('\n').slice(0, -1);

function written(count: number, more: Partial<AuditOptions> = {}): void {
  const audit = open(more);
  for (let i = 0; i < count; i += 1) audit.record(conn(`h${i}.test`));
  audit.close(key);
}

describe('the chain', () => {
  test('a closed log verifies, and goes on after it is opened again', () => {
    written(5);
    expect(verify()).toEqual({ ok: true, records: 6, end: 'signed', covered: 5 });

    open().record(conn('more.test'));
    expect(verify()).toEqual({ ok: true, records: 7, end: 'open', covered: 5 });
    written(1);
    expect(verify()).toMatchObject({ ok: true, records: 9, end: 'signed' });
  });

  test.each(['\u0001', '\u{1f600}', 'a', '"'])('AU05 whatever a program calls itself, its record is written (%j)', (text) => {
    const argv = Array.from({ length: 70 }, () => text.repeat(3000));
    const audit = open();
    audit.record({ kind: 'conn', subject: { pid: 1, exe: text.repeat(3000), argv, cwd: text.repeat(3000) }, object: { host: text.repeat(3000) }, detail: { list: argv } });
    audit.close(key);

    expect(verify()).toMatchObject({ ok: true, records: 2, end: 'signed' });
    expect(lines()[0]?.includes('\\u2026(+')).toBe(true);
  });

  test('a list is recorded as far as it is short', () => {
    expect(redactArgv(Array.from({ length: 65 }, () => 'a')).value.slice(-2)).toEqual(['a', '…(+1)']);
    expect(redactArgv(Array.from({ length: 64 }, () => 'a')).value).toHaveLength(64);
    expect(redactArgv(['a'.repeat(12_287), 'b', 'c'].flatMap((one) => one.match(/.{1,2000}/g) ?? [])).value).toHaveLength(9);
    expect(redactArgv(Array.from({ length: 20 }, () => 'a'.repeat(2000))).value.slice(-1)).toEqual(['…(+13)']);
  });

  test('AU02 a log that is gone with its end is not whole, and a FIFO in its place holds nobody up', () => {
    written(3);
    rmSync(join(dir, 'audit.jsonl'));
    rmSync(join(dir, 'audit.head.json'));
    expect(verify()).toMatchObject({ ok: false, index: 0, why: 'there is no record, and every run begins with one' });

    execFileSync('mkfifo', [join(dir, 'audit.jsonl')]);
    expect(verify()).toMatchObject({ ok: false, index: 0 });
  });

  test.each([
    ['edited', (all: string[]) => all.with(2, all[2]!.replace('h2', 'hX')), 3],
    ['deleted', (all: string[]) => all.toSpliced(2, 1), 2],
    ['swapped', (all: string[]) => all.with(1, all[2]!).with(2, all[1]!), 1],
    ['doubled', (all: string[]) => all.toSpliced(2, 0, all[2]!), 3],
    ['cut off at the end', (all: string[]) => all.slice(0, 4), 4],
    ['cut off whole', () => [], 0],
    ['replaced by nonsense', (all: string[]) => all.with(3, '{}'), 3],
    ['replaced with an extra field', (all: string[]) => all.with(3, all[3]!.replace('{', '{"x":1,')), 3],
  ])('AU02 a record %s is named', (_, change, index) => {
    written(5);
    writeFileSync(join(dir, 'audit.jsonl'), change(lines()).map((line) => `${line}\n`).join(''));

    expect(verify()).toMatchObject({ ok: false, index });
  });

  test.each([1, 10])('truncation by bytes is found, were it the last line end alone (%i)', (bytes) => {
    written(3);
    truncateSync(join(dir, 'audit.jsonl'), statSync(join(dir, 'audit.jsonl')).size - bytes);

    expect(verify()).toMatchObject({ ok: false, index: 3, why: 'it is cut short' });
  });

  test('a rewritten log with a rewritten end needs the key', () => {
    written(3);
    const other = newKey();
    for (const name of readdirSync(dir)) rmSync(join(dir, name));
    const audit = open();
    audit.record(conn('forged.test'));
    audit.close(other);

    expect(verify()).toMatchObject({ ok: false, why: 'the end is not signed by your key' });
  });

  describe('AU02 what the sandbox’s record remembers finds', () => {
    const remembered = (): AuditAnchor => {
      const all = lines();
      return { index: all.length - 1, hash: hashLine(all.at(-1)!), signed: true };
    };
    const keep = (count: number): void => writeFileSync(join(dir, 'audit.jsonl'), lines().slice(0, count).map((line) => `${line}\n`).join(''));

    test('a log that was cut together with its signed end', () => {
      written(5);
      const anchor = remembered();
      rmSync(join(dir, 'audit.head.json'));
      expect(verify(anchor)).toMatchObject({ ok: false, index: 5, why: 'the signed end is gone' });
      keep(3);

      expect(verify({ ...anchor, signed: false })).toMatchObject({ ok: false, index: 3, line: 4, why: 'the log is cut: records 3 to 5 (3) are missing at the end' });
      keep(0);
      expect(verify({ ...anchor, signed: false })).toMatchObject({ ok: false, index: 0, why: 'the log is cut: records 0 to 5 (6) are missing at the end' });
    });

    test('a log that was cut back to an earlier signed end, with that end', () => {
      written(2);
      const [early, count] = [readFileSync(join(dir, 'audit.head.json')), lines().length];
      written(1);
      const anchor = remembered();
      keep(count);
      writeFileSync(join(dir, 'audit.head.json'), early);

      expect(verify()).toMatchObject({ ok: true, end: 'signed' });
      expect(verify(anchor)).toMatchObject({ ok: false, index: 3, why: 'the log is cut: records 3 to 4 (2) are missing at the end' });
    });

    test('another log of the same tag, signed by the same key, in its place', () => {
      written(5);
      const anchor = remembered();
      for (const name of readdirSync(dir)) rmSync(join(dir, name));
      written(3, { now: () => new Date(1) });
      expect(verify()).toMatchObject({ ok: true });
      expect(verify(anchor)).toMatchObject({ ok: false, index: 4, why: 'the log is cut: records 4 to 5 (2) are missing at the end' });

      written(3, { now: () => new Date(1) });
      expect(verify(anchor)).toMatchObject({ ok: false, index: 5, why: 'it is not the record that sandbox.json remembers' });
    });

    test('each file of a rotated log that is gone, with its end', () => {
      written(60, { rotateBytes: 4096 });
      const anchor: AuditAnchor = { index: 60 + readdirSync(dir).filter((name) => /^audit\.\d+\.jsonl$/.test(name)).length, hash: hashLine(lines().at(-1)!), signed: false };
      expect(verify(anchor)).toMatchObject({ ok: true });
      rmSync(join(dir, 'audit.head.json'));
      for (const name of readdirSync(dir).filter((one) => /^audit\.(\d+\.)?jsonl$/.test(one))) {
        const whole = readFileSync(join(dir, name));
        rmSync(join(dir, name));
        expect(verify(anchor), name).toMatchObject({ ok: false });
        writeFileSync(join(dir, name), whole);
      }
      expect(verify(anchor)).toMatchObject({ ok: true, end: 'open' });
    });

    test('nothing in a log that only went on', () => {
      written(2);
      const anchor = remembered();
      open().record(conn('later.test'));

      expect(verify(anchor)).toMatchObject({ ok: true, records: 4, end: 'open' });
    });
  });

  test('AU02 a rewritten last record needs the key, whatever the signed end is made to say', () => {
    written(3);
    const forged = lines().with(-1, lines().at(-1)!.replace(/"time":"./, '"time":"3'));
    expect(forged).not.toEqual(lines());
    writeFileSync(join(dir, 'audit.jsonl'), forged.map((line) => `${line}\n`).join(''));
    const head = join(dir, 'audit.head.json');
    const said = JSON.parse(readFileSync(head, 'utf8')) as Record<string, unknown>;
    writeFileSync(head, JSON.stringify({ ...said, hash: hashLine(forged.at(-1)!) }));

    expect(verify()).toMatchObject({ ok: false, file: 'audit.head.json', why: 'the end is not signed by your key' });
  });

  test('AU02 the log of another sandbox, put here without its end, is not this one\'s', () => {
    written(3, { tag: 'u' });
    rmSync(join(dir, 'audit.head.json'));

    expect(verify()).toMatchObject({ ok: false, index: 0, why: 'it belongs to u' });
  });

  test('AU02 the signed end of another sandbox is none', () => {
    written(3, { tag: 'u' });
    const other = readFileSync(join(dir, 'audit.head.json'));
    for (const name of readdirSync(dir)) rmSync(join(dir, name));
    written(3);
    writeFileSync(join(dir, 'audit.head.json'), other);

    expect(verify()).toMatchObject({ ok: false, file: 'audit.head.json', why: 'the signed end belongs to u' });
  });

  test('a writer knows what is newest, and whether another has written since', () => {
    const [a, b] = [open(), open()];
    expect(a.newest()).toBeNull();
    a.record(conn('a.test'));
    expect([a.newest(), a.isEnd()]).toEqual([{ index: 0, hash: hashLine(lines()[0]!), signed: false }, true]);
    b.record(conn('b.test'));
    expect(a.isEnd()).toBe(false);
    b.close(key);
    a.record(conn('c.test'));
    expect(a.newest()).toMatchObject({ index: 3, signed: true });
    a.leave();
  });

  test('rotation by size carries the chain on, and reading crosses the files', () => {
    written(100, { rotateBytes: 4096 });

    expect(readdirSync(dir).filter((name) => /^audit\.\d+\.jsonl$/.test(name)).length).toBeGreaterThan(3);
    expect(verify()).toMatchObject({ ok: true, end: 'signed' });
    const hosts = [...readLog(kernel, fromText(dir), { kinds: ['conn'] })].map(({ object }) => object['host']);
    expect(hosts).toEqual(Array.from({ length: 100 }, (_, i) => `h${i}.test`));
    rmSync(join(dir, 'audit.2.jsonl'));
    expect(verify()).toMatchObject({ ok: false });
  });

  test('many at once are one chain, across files and beside another writer', () => {
    const [a, b] = [open({ rotateBytes: 4096 }), open()];
    for (let batch = 0; batch < 5; batch += 1) {
      a.recordAll(Array.from({ length: 20 }, (_, i) => conn(`h${batch * 21 + i}.test`)));
      b.record(conn(`h${batch * 21 + 20}.test`));
    }
    a.close(key);
    b.leave();

    expect(readdirSync(dir).filter((name) => /^audit\.\d+\.jsonl$/.test(name)).length).toBeGreaterThan(3);
    expect(verify()).toMatchObject({ ok: true, end: 'signed' });
    const hosts = [...readLog(kernel, fromText(dir), { kinds: ['conn'] })].map(({ object }) => object['host']);
    expect(hosts).toEqual(Array.from({ length: 105 }, (_, i) => `h${i}.test`));
  });

  test('several writers make one chain', () => {
    const [a, b] = [open(), open({ rotateBytes: 4096 })];
    for (let i = 0; i < 50; i += 1) (i % 3 === 0 ? a : b).record(conn(`h${i}.test`));
    a.close(key);
    b.close(key);

    expect(verify()).toMatchObject({ ok: true, end: 'signed' });
  });

  test('a line that a crash cut short stays one bad record; later ones are kept', () => {
    written(2);
    appendFileSync(join(dir, 'audit.jsonl'), '{"v":1,"index":3,"time":"19');
    open().record(conn('later.test'));

    expect(verify()).toMatchObject({ ok: false, index: 3, why: 'it is not a record' });
    expect([...readLog(kernel, fromText(dir))].at(-1)?.object['host']).toBe('later.test');
  });

  test('the log is private to the user, and a symlink in its place is refused', () => {
    written(1);
    expect(statSync(join(dir, 'audit.jsonl')).mode & 0o777).toBe(0o600);
    rmSync(join(dir, 'audit.jsonl'));
    spawnSync('ln', ['-s', '/dev/null', join(dir, 'audit.jsonl')]);

    expect(() => open()).toThrow();
  });
});

describe('AU05 what can\'t be written', () => {
  test('`stop` throws', () => {
    const audit = open({ maxBytes: 1000 });
    expect(() => { for (let i = 0; i < 100; i += 1) audit.record(conn('x.test')); }).toThrow("Can't write the audit log");
  });

  test('of many at once, what fits is written and the rest is counted or thrown', () => {
    const events = Array.from({ length: 10 }, (_, i) => conn(`h${i}.test`));
    const dropping = open({ onFull: 'drop', maxBytes: 1000 });
    dropping.recordAll(events);
    const kept = [...readLog(kernel, fromText(dir))].map(({ object }) => object['host']);

    expect(kept.length).toBeGreaterThan(0);
    expect(kept).toEqual(events.slice(0, kept.length).map(({ object }) => object!['host']));
    expect(dropping.dropped()).toBe(10 - kept.length);
    expect(() => open({ maxBytes: 1000 }).recordAll(events)).toThrow("Can't write the audit log");
  });

  test('of a write that the disk cut short, what fits stays, nothing is doubled, and the chain is whole', () => {
    const audit = open();
    audit.record(conn('h0.test'));
    const size = lines()[0]!.length + 1;
    // The limit makes the third line of the one write end in the middle.
    const script = `
      const { openAudit } = await import(process.argv[1] + '/audit/write.js');
      const { native: kernel } = await import(process.argv[1] + '/kernel/native.js');
      process.on('SIGXFSZ', () => undefined);
      const audit = openAudit({ kernel, dir: process.argv[2], tag: 't', policy: null, now: () => new Date(0), onFull: 'drop' });
      audit.recordAll([1, 2, 3, 4].map((i) => ({ kind: 'conn', object: { host: 'h' + i + '.test', port: 443 }, verdict: 'deny', rule: 'network.default' })));
      console.log(audit.dropped());`;
    const limit = ['prlimit', `--fsize=${Math.floor(size * 3.5)}`];
    const ran = spawnSync(limit[0]!, [...limit.slice(1), process.execPath, '--input-type=module', '-e', script, '--', join(import.meta.dirname, '../../dist'), dir], { encoding: 'utf8' });

    expect({ status: ran.status, dropped: ran.stdout, error: ran.stderr }).toEqual({ status: 0, dropped: '2\n', error: '' });
    audit.record(conn('later.test'));
    expect([...readLog(kernel, fromText(dir))].map(({ object }) => object['host'])).toEqual(['h0.test', 'h1.test', 'h2.test', 'later.test']);
    expect(verify()).toMatchObject({ ok: true, end: 'open' });
  });

  test('`drop` counts, and says so as soon as it can', () => {
    const more = { onFull: 'drop' as const, maxBytes: 1000 };
    const audit = open(more);
    for (let i = 0; i < 10; i += 1) audit.record(conn('x.test'));
    expect(audit.dropped()).toBeGreaterThan(5);
    Object.assign(more, { maxBytes: 1 << 20 });
    const dropped = audit.dropped();
    const wider = open({ onFull: 'drop' });
    wider.record(conn('y.test'));
    expect([...readLog(kernel, fromText(dir))].at(-1)?.object['host']).toBe('y.test');
    expect(dropped).toBe(audit.dropped());
  });
});

describe('AU04 forged content', () => {
  test('whatever a host or path holds, it is one record on one ASCII line', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), fc.array(fc.string({ unit: 'binary' })), (host, argv) => {
      const line = lineOf({ kind: 'conn', object: { host }, subject: { pid: 1, exe: host, argv, cwd: null } }, { index: 0, time: new Date(0), tag: 't', policy: null, prev: '0'.repeat(64) });

      expect(line).toMatch(/^[\x20-\x7e]+$/);
      expect(parseLine(line)).not.toBeNull();
    }), { numRuns: 300 });
  });

  test('a newline with a record behind it stays inside', () => {
    const audit = open();
    audit.record(conn('x\n{"v":1,"index":1}\u001b[2J\u202e'));

    expect(lines()).toHaveLength(1);
    expect(lines()[0]).not.toMatch(/[\u001b\u202e]/);
  });
});

test('CR11 a record says how much was cut out of it', () => {
  const audit = open();
  audit.record({ kind: 'exec', subject: { pid: 1, exe: '/bin/x', argv: ['x', '--password', 'q'], cwd: '/' }, object: { url: `https://a:${'b'}@h/` } });

  expect([...readLog(kernel, fromText(dir))][0]).toMatchObject({ redacted: 2 });
});

test('the user key is made once, private', () => {
  const first = userKey(kernel, fromText(dir));

  expect(userKey(kernel, fromText(dir))).toBe(first);
  expect(statSync(join(dir, 'audit-key.pem')).mode & 0o777).toBe(0o600);
});

test('a damaged user key is named, with what to do', () => {
  const file = join(dir, 'audit-key.pem');
  writeFileSync(file, userKey(kernel, fromText(dir)).slice(0, 60));

  expect(() => userKey(kernel, fromText(dir))).toThrow(`The key that signs the audit logs is damaged: ${file}`);
});

test('docs/audit.schema.json is what the code means', async () => {
  const schema = `${JSON.stringify(z.toJSONSchema(auditRecordSchema), null, 2)}\n`;

  await expect(schema).toMatchFileSnapshot('../../docs/audit.schema.json');
});
