/** What an agent wrote into a file, on a terminal and elsewhere. */
import { expect, test } from 'vitest';
import { contentPrinter } from '../../src/ui/content.js';

function printed(screen: boolean, pieces: readonly (string | Buffer)[]): string {
  const out: Buffer[] = [];
  const content = contentPrinter({ screen, product: (piece) => void out.push(Buffer.from(piece)) });
  for (const piece of pieces) content.write(Buffer.from(piece));
  content.end();
  return Buffer.concat(out).toString('latin1');
}

test('a terminal gets no control, bidi or zero-width character', () => {
  const text = 'a\tb\n\u001b]52;c;cm0gLXJm\u0007\u009b31m\r\nx\u202ey\u200bz';

  expect(printed(true, [text])).toBe('a\tb\n\\x1b]52;c;cm0gLXJm\\x07\\x9b31m\\r\nx\\u{202e}y\\u{200b}z');
  expect(printed(false, [text])).toBe(Buffer.from(text).toString('latin1'));
});

test('it makes no difference where the content is cut into pieces', () => {
  const text = Buffer.from('é€😀\u009b\n\u001b[1mé€😀');
  const whole = printed(true, [text]);

  for (let at = 0; at <= text.length; at += 1) expect(printed(true, [text.subarray(0, at), text.subarray(at)]), `cut at ${at}`).toBe(whole);
});

test('of a line without an end no more than a part is held back, and no character is cut', () => {
  const line = Buffer.from(`x${'€'.repeat(100_000)}`);
  const pieces = Array.from({ length: 4 }, (_, index) => line.subarray(index * 80_000, (index + 1) * 80_000));
  const out: number[] = [];
  const content = contentPrinter({ screen: true, product: (piece) => void out.push(Buffer.from(piece).length) });
  for (const piece of pieces) content.write(piece);
  content.end();

  expect(printed(true, pieces)).toBe(line.toString('latin1'));
  expect(out.length).toBeGreaterThan(3);
});
