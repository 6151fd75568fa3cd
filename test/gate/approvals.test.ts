import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import { forgetAnswer, readAnswers, storeAnswer } from '../../src/gate/approvals.js';
import { makeNotes } from '../../src/gate/notes.js';
import { parseConnectHost } from '../../src/gate/publish.js';
import { native as kernel } from '../../src/kernel/native.js';

let dir = '';
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), 'agentfw-approvals-'))));
afterEach(() => rmSync(dir, { recursive: true }));

const answer = (project: string, rule: string, verdict: 'allow' | 'deny') => ({ project, rule, verdict, at: '2026-01-02T03:04:05.000Z', by: 'me' });

test('project answers are kept in the store, one per project and rule', () => {
  const store = fromText(dir);
  expect(readAnswers(kernel, store)).toEqual([]);
  storeAnswer(kernel, store, answer('/a', 'x.test:443', 'allow'));
  storeAnswer(kernel, store, answer('/b', 'x.test:443', 'deny'));
  storeAnswer(kernel, store, answer('/a', 'x.test:443', 'deny'));

  expect(readAnswers(kernel, store)).toEqual([answer('/b', 'x.test:443', 'deny'), answer('/a', 'x.test:443', 'deny')]);
  expect([forgetAnswer(kernel, store, '/a', 'x.test:443'), forgetAnswer(kernel, store, '/a', 'x.test:443')]).toEqual([true, false]);
  expect(readAnswers(kernel, store)).toEqual([answer('/b', 'x.test:443', 'deny')]);
});

test.each(['nonsense', '{"version":2,"answers":[]}', '{"version":1,"answers":[{"project":"/a"}]}'])('a damaged file %s is an error, never an empty list', (text) => {
  writeFileSync(join(dir, 'approvals.json'), text);

  expect(() => readAnswers(kernel, fromText(dir))).toThrow(`Can't read ${dir}/approvals.json.`);
});

test('TL14 notes are bounded and printable, whatever was refused', () => {
  const notes = makeNotes(join(dir, 'notes'));
  for (let i = 0; i < 200; i += 1) notes.add({ time: new Date(0), what: `h${i}\n\u001b[2J$(x)`, rule: 'r', why: 'w'.repeat(9999), how: '' });
  notes.flush();
  const text = readFileSync(join(dir, 'notes', 'notes'), 'utf8');

  expect(text.split('\n')).toHaveLength(52);
  expect(text).toMatch(/^[\x20-\x7e\n]+$/);
  expect(text.length).toBeLessThan(50 * 600);
});

test.each([['5432', { port: 5432, to: 5432 }], ['5432:15432', { port: 5432, to: 15432 }]])('`--connect-host %s`', (text, expected) => {
  expect(parseConnectHost(text)).toEqual(expected);
});
