/** I16: the digest takes each change once, in the order of the paths, whether or not others stand for it. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Bytes } from '../../../src/bytes.js';
import type { Change } from '../../../src/changes/change.js';
import { byPath } from '../../../src/changes/plan/bypath.js';
import type { Crowd } from '../../../src/changes/scan/crowd.js';

/** New files of one directory: the first stands for the others that are packed. */
function crowdIn(dir: string, names: readonly string[]): Change {
  const [first = '', ...others] = names;
  const piece = { name: (at: number) => others[at], upper: (at: number) => ({ ino: at }) };
  const crowd = { dir, piece, at: others.map((_, at) => at) } as unknown as Crowd;
  return { ...single(`${dir}/${first}`), crowd: { crowd } } as unknown as Change;
}

function single(path: string): Change {
  return { path: path as Bytes, kind: 'add', type: 'file' } as Change;
}

const name = fc.constantFrom('a', 'a.js', 'a-b', 'b', 'd', 'd!', 'd.x', 'd0', 'e', 'z', '~');
const names = fc.uniqueArray(name, { minLength: 1, maxLength: 8 }).map((some) => some.sort());

test('packed ones have their places among the others', () => {
  fc.assert(fc.property(names, names, names, fc.uniqueArray(name), (top, inner, deep, alone) => {
    const crowds: (readonly [string, readonly string[]])[] = [['/p', top], ['/p/d', inner.map((one) => `${one}1`).sort()], ['/p/d/d', deep.map((one) => `${one}2`).sort()]];
    const singles = [...alone.map((one) => `/p/${one}3`), '/q'];
    const all = [...crowds.flatMap(([dir, some]) => some.map((one) => `${dir}/${one}`)), ...singles];

    const told = [...byPath([...singles.map(single), ...crowds.map(([dir, some]) => crowdIn(dir, some))])].map(({ path }) => path);

    expect(told).toEqual([...all].sort((a, b) => (a < b ? -1 : 1)));
  }));
});

test('the last ones are packed, and told', () => {
  expect([...byPath([crowdIn('/p', ['a', 'b', 'c'])])].map(({ path }) => path)).toEqual(['/p/a', '/p/b', '/p/c']);
});
