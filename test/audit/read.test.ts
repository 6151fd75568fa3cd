/** Who reads a log, and who follows it while others write. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import type { AuditEvent } from '../../src/audit/event.js';
import { followLog, readLog } from '../../src/audit/read.js';
import { openAudit, type AuditOptions } from '../../src/audit/write.js';
import type { Fd } from '../../src/kernel/kernel.js';
import { native as kernel } from '../../src/kernel/native.js';

let dir = '';
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), 'agentfw-audit-'))));
afterEach(() => rmSync(dir, { recursive: true }));

const open = (more: Partial<AuditOptions> = {}): ReturnType<typeof openAudit> =>
  openAudit({ kernel, dir: fromText(dir), tag: 't', policy: null, now: () => new Date(0), onFull: 'stop', ...more });
const conn = (host: string): AuditEvent => ({ kind: 'conn', object: { host, port: 443 }, verdict: 'deny', rule: 'network.default' });

test('`follow` tells what is appended, and ends with its signal', async () => {
  const audit = open({ rotateBytes: 2000 });
  audit.record(conn('0.test'));
  const stop = new AbortController();
  const seen: unknown[] = [];
  const following = (async () => {
    for await (const record of followLog(kernel, fromText(dir), { kinds: ['conn'] }, stop.signal, 5)) {
      seen.push(record.object['host']);
      if (seen.length === 20) stop.abort();
    }
  })();
  for (let i = 1; i < 20; i += 1) {
    audit.record(conn(`${i}.test`));
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await following;

  expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => `${i}.test`));
});

test('who follows a long log reads what is added, not all of it each time', async () => {
  const audit = open();
  audit.recordAll(Array.from({ length: 1000 }, () => ({ kind: 'exec' as const, object: { argv: ['x'.repeat(2000), 'y'.repeat(2000)] } })));
  audit.record(conn('0.test'));
  const bytesRead = (): number => Number(/^rchar: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);
  const before = bytesRead();
  const following = followLog(kernel, fromText(dir), { kinds: ['conn'] }, new AbortController().signal, 1);
  expect((await following.next()).value?.object['host']).toBe('0.test');
  for (let i = 1; i < 20; i += 1) {
    const next = following.next();
    await new Promise((resolve) => setTimeout(resolve, 5));
    audit.record(conn(`${i}.test`));
    expect((await next).value?.object['host']).toBe(`${i}.test`);
  }
  await following.return(undefined);

  expect(bytesRead() - before).toBeLessThan(4 * statSync(join(dir, 'audit.jsonl')).size);
});

test('who follows passes nothing over that is rotated away between two looks, and is done when the log is gone', async () => {
  const place = join(dir, 'log');
  mkdirSync(place);
  const audit = openAudit({ kernel, dir: fromText(place), tag: 't', policy: null, now: () => new Date(0), onFull: 'stop', rotateBytes: 700 });
  let written = 0;
  const writes = (): void => void audit.record(conn(`${(written += 1)}.test`));
  writes();
  // Another process writes whenever the reader has looked what files there are.
  const racing = { ...kernel, list: (fd: Fd) => {
    const names = kernel.list(fd);
    if (written < 40) for (let i = 0; i < 3; i += 1) writes();
    return names;
  } };
  const seen: unknown[] = [];
  for await (const record of followLog(racing, fromText(place), { kinds: ['conn'] }, new AbortController().signal, 1)) {
    seen.push(record.object['host']);
    if (seen.length >= 40 && seen.length === written) rmSync(place, { recursive: true });
  }
  audit.leave();

  expect(seen).toEqual(Array.from({ length: written }, (_, i) => `${i + 1}.test`));
});

test('`denied` shows only refusals', () => {
  const audit = open();
  audit.record({ ...conn('a.test'), verdict: 'allow' });
  audit.record(conn('b.test'));

  expect([...readLog(kernel, fromText(dir), { denied: true })].map(({ object }) => object['host'])).toEqual(['b.test']);
});
