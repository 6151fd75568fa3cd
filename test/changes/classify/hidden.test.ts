import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isWithin, type Bytes } from '../../../src/bytes.js';
import { blindnessOf } from '../../../src/changes/classify/hidden.js';

const path = fc.array(fc.constantFrom('a', 'b', 'ab', 'a b'), { maxLength: 5 }).map((names) => `/${names.join('/')}` as Bytes);
const view = (paths: readonly Bytes[]): Parameters<typeof blindnessOf>[0] => ({ mounts: paths.map((one) => ({ path: one, decision: 'hide', why: 'test' })) });

test('what is hidden does not depend on what was asked before', () => {
  fc.assert(fc.property(fc.array(path, { maxLength: 4 }), fc.array(path, { minLength: 1, maxLength: 30 }), (hidden, asked) => {
    const { isHidden } = blindnessOf(view(hidden));
    expect(asked.map((one) => isHidden(one))).toEqual(asked.map((one) => hidden.some((top) => isWithin(one, top))));
  }), { numRuns: 2000 });
});

test('a tree of 4,000 levels below something hidden is asked for level by level (CW20)', () => {
  const { isHidden } = blindnessOf(view(['/hidden' as Bytes, '/other/x' as Bytes]));
  for (const [top, expected] of [['/hidden', true], ['/seen', false]] as const) {
    let deep = top as string;
    for (let level = 0; level < 4000; level += 1) {
      deep += '/ddddddddd';
      expect(isHidden(deep as Bytes)).toBe(expected);
    }
  }
});
