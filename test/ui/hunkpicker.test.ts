import { describe, expect, test } from 'vitest';
import { pickHunks, type Choice, type ChoiceFile } from '../../src/ui/hunkpicker.js';

function choice(id: string, parts: readonly string[] = []): Choice {
  return {
    ...{ id, text: `<${id}>`, question: 'Take this hunk' },
    split: parts.length === 0 ? null : () => parts.map((part) => choice(part)),
  };
}

const files: readonly ChoiceFile[] = [
  { header: 'one', choices: [choice('a'), choice('b', ['b1', 'b2', 'b3']), choice('c')] },
  { header: 'two', choices: [choice('d')] },
];

/** Types the keys one after the other, then ends the input. */
async function type(keys: string): Promise<{ picked: unknown; screen: string[] }> {
  const left = keys === '' ? [] : keys.split(' ');
  const screen: string[] = [];
  const ask = (prompt: string): Promise<string | null> => {
    const key = left.shift() ?? null;
    screen.push(`${prompt}${key ?? '^D'}`);
    return Promise.resolve(key);
  };
  const picked = await pickHunks(files, ask, (text) => void screen.push(text));
  return { picked, screen };
}

describe('pickHunks', () => {
  test.each([
    ['y n y y', [['a', 'c'], ['d']]],
    ['n n n n', [[], []]],
    ['a y', [['a', 'b', 'c'], ['d']]],
    ['y d n', [['a'], []]],
    ['y q', [['a'], []]],
    ['n s y n y y n', [['b1', 'b3', 'c'], []]],
    ['n s y a y', [['b1', 'b2', 'b3', 'c'], ['d']]],
    ['y y y', null],
    ['', null],
    ['Y N Y Y', [['a', 'c'], ['d']]],
  ])('keys `%s` take %j', async (keys, taken) => {
    expect((await type(keys)).picked).toEqual(taken);
  });

  test('shows only keys that count, and explains them at `?`', async () => {
    const { screen } = await type('s s ? n');

    expect(screen).toEqual([
      'one',
      '<a>',
      '(1/3) Take this hunk [y,n,q,a,d,?]? s',
      expect.stringMatching(/^y - take this\n(.*\n)*\? - say what the keys mean$/),
      '(1/3) Take this hunk [y,n,q,a,d,?]? s',
      expect.any(String),
      '(1/3) Take this hunk [y,n,q,a,d,?]? ?',
      expect.not.stringContaining('split'),
      '(1/3) Take this hunk [y,n,q,a,d,?]? n',
      '<b>',
      '(2/3) Take this hunk [y,n,q,a,d,s,?]? ^D',
    ]);
  });
});
