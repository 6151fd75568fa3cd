import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromText, toText, type Bytes } from '../../src/bytes.js';
import { escapeForTerminal, safeJson, showBytes, showLine } from '../../src/ui/escape.js';

describe('escapeForTerminal', () => {
  test.each([
    ['plain', 'plain'],
    ['größe 日本 😀', 'größe 日本 😀'],
    ['\u001b[31mred', '\\x1b[31mred'],
    ['\u001b]52;c;Zm9v\u0007', '\\x1b]52;c;Zm9v\\x07'],
    ['a\nb\rc\td', 'a\\nb\\rc\\td'],
    ['\u009b31m', '\\x9b31m'],
    ['exe.\u202egpj', 'exe.\\u{202e}gpj'],
    ['a\u2066b\u2069', 'a\\u{2066}b\\u{2069}'],
    ['zero\u200bwidth\u200d\ufeff', 'zero\\u{200b}width\\u{200d}\\u{feff}'],
    ['soft\u00adhyphen', 'soft\\xadhyphen'],
    ['\u{e0041}tag', '\\u{e0041}tag'],
    ['filler\u3164\u115f', 'filler\\u{3164}\\u{115f}'],
    ['line\u2028separator', 'line\\u{2028}separator'],
  ])('CW10 TT05: shows %j as %s', (text, shown) => {
    expect(escapeForTerminal(text)).toBe(shown);
  });

  test('leaves nothing that a terminal would act on', () => {
    const units = fc.string({ unit: 'binary', maxLength: 50 });
    fc.assert(fc.property(units, (text) => !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u.test(escapeForTerminal(text))));
  });
});

describe('showBytes', () => {
  test.each([
    ['ok\xff\xfe', 'ok\\xff\\xfe'],
    ['\xc3', '\\xc3'],
    ['\xc3\xa9\xc3', 'é\\xc3'],
    ['\xe2\x80\xae', '\\u{202e}'],
    ['\xef\xbf\xbd', '\uFFFD'],
    ['\xed\xa0\x80', '\\xed\\xa0\\x80'],
    ['\xf0\x9f\x98\x80', '😀'],
    ['\xf5\x80', '\\xf5\\x80'],
  ])('shows the bytes %j as %s', (bytes, shown) => {
    expect(showBytes(bytes as Bytes)).toBe(shown);
  });

  test('shows any bytes without anything a terminal would act on', () => {
    const bytes = fc.uint8Array({ maxLength: 40 }).map((raw) => Buffer.from(raw).toString('latin1') as Bytes);
    fc.assert(
      fc.property(bytes, (name) => {
        expect(showBytes(name)).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}]/u);
        expect(toText(fromText(showBytes(name)))).toBe(showBytes(name));
      }),
    );
  });
});

test('showLine keeps tabs and shows a carriage return', () => {
  expect(showLine('\tif (x)\r' as Bytes)).toBe('\tif (x)\\r');
});

test('CW10 safeJson is the same value without a character that acts on a terminal', () => {
  expect(safeJson({ name: 'rtl\u202egnp.exe \u009b31m \u{e0001}' })).toBe('{"name":"rtl\\u202egnp.exe \\u009b31m \\udb40\\udc01"}');
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    expect(JSON.parse(safeJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
  }));
});
