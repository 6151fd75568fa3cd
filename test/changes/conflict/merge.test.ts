import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mergeText } from '../../../src/changes/conflict/merge.js';
import { secondsOf } from '../../helpers/effort.js';

const merge = (base: string, host: string, sandbox: string): ReturnType<typeof mergeText> =>
  mergeText({ base: Buffer.from(base, 'latin1'), host: Buffer.from(host, 'latin1'), sandbox: Buffer.from(sandbox, 'latin1'), name: 'box' });
const text = (merged: ReturnType<typeof mergeText>): string => (merged.kind === 'refused' ? merged.why : merged.content.toString('latin1'));

test('changes of both sides that are apart come together', () => {
  const merged = merge('a\nb\nc\nd\ne\n', 'A\nb\nc\nd\ne\n', 'a\nb\nc\nd\nE\n');

  expect(merged.kind).toBe('clean');
  expect(text(merged)).toBe('A\nb\nc\nd\nE\n');
});
test('the same change on both sides is no conflict', () => {
  expect(merge('a\n', 'b\n', 'b\n')).toMatchObject({ kind: 'clean' });
});
test('changes of the same lines get markers that name both sides', () => {
  const merged = merge('a\nb\nc\n', 'a\nhost\nc\n', 'a\nagent\nc\n');

  expect(merged).toMatchObject({ kind: 'conflicts', count: 1 });
  expect(text(merged)).toBe('a\n<<<<<<< host\nhost\n=======\nagent\n>>>>>>> sandbox box\nc\n');
});
test('a missing final newline is kept, and put before a marker', () => {
  expect(text(merge('a\nb\nc\nd', 'A\nb\nc\nd', 'a\nb\nc\nD'))).toBe('A\nb\nc\nD');
  expect(text(merge('a', 'host', 'agent'))).toBe('<<<<<<< host\nhost\n=======\nagent\n>>>>>>> sandbox box\n');
});
test('CRLF files merge as such, markers too', () => {
  expect(text(merge('a\r\nb\r\n', 'h\r\nb\r\n', 'g\r\nb\r\n'))).toBe('<<<<<<< host\r\nh\r\n=======\r\ng\r\n>>>>>>> sandbox box\r\nb\r\n');
});

describe('refuses by name what it would mangle', () => {
  test.each([
    ['line-endings', 'a\nb\n', 'a\r\nb\r\n', 'a\nb\nc\n'],
    ['line-endings', 'a\r\nb\r\n', 'a\r\nb\r\nc\r\n', 'a\r\nb\n'],
    ['binary', 'a\0', 'b', 'c'],
    ['encoding', 'a\n', 'caf\xe9\n', 'b\n'],
    ['large', 'a\n'.repeat(1_100_000), 'b', 'c'],
    ['long-lines', 'x'.repeat(70_000), 'b', 'c'],
    ['repetitive', `a\n${'\n'.repeat(20_000)}b\n`, `h\n${'\n'.repeat(20_000)}b\n`, `a\n${'\n'.repeat(20_000)}s\n`],
  ])('%s', (why, base, host, sandbox) => {
    expect(merge(base, host, sandbox)).toEqual({ kind: 'refused', why });
  });
});

test('one side unchanged: the other one is the result', () => {
  const lines = fc.array(fc.constantFrom('a', 'b', 'c', ''), { maxLength: 12 }).map((all) => all.map((line) => `${line}\n`).join(''));
  fc.assert(fc.property(lines, lines, (base, changed) => {
    expect(text(merge(base, changed, base))).toBe(changed);
    expect(text(merge(base, base, changed))).toBe(changed);
  }));
});

test('edits in different parts come together, wherever lines are repeated or moved', () => {
  const part = fc.array(fc.constantFrom('a', 'b', '', 'x1', 'x2', 'x3', 'x4'), { maxLength: 12 });
  const joined = (...parts: readonly (readonly string[])[]): string => parts.flat().map((line) => `${line}\n`).join('');
  fc.assert(fc.property(part, part, part, part, (before, after, host, sandbox) => {
    const middle = ['one', 'two', 'three'];
    const merged = merge(joined(before, middle, after), joined(host, middle, after), joined(before, middle, sandbox));
    expect([merged.kind, text(merged)]).toEqual(['clean', joined(host, middle, sandbox)]);
  }));
});

test('a long file that repeats lines is merged in seconds', () => {
  const entries = (change: (n: number) => string): string => Array.from({ length: 20_000 }, (_, n) => `"${n}": {\n${change(n)}"license": "MIT"\n},\n`).join('');
  const seconds = secondsOf(() => {
    const merged = merge(entries(() => ''), entries((n) => (n === 3 ? 'host\n' : '')), entries((n) => (n === 19_000 ? 'agent\n' : '')));
    expect([merged.kind, text(merged)]).toEqual(['clean', entries((n) => (n === 3 ? 'host\n' : n === 19_000 ? 'agent\n' : ''))]);
  });
  expect(seconds).toBeLessThan(15);
});
