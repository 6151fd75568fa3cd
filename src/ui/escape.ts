import type { Bytes } from '../bytes.js';
import { toBuffer } from '../bytes.js';

/**
 * Characters that could act on a terminal, or hide or reorder what a person
 * reads: controls, format characters (bidi, zero-width, soft hyphen, tags),
 * line and paragraph separators, private use, unassigned, surrogates, and
 * blanks that look like nothing.
 */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}\p{Cs}\u034F\u115F\u1160\u17B4\u17B5\u180B-\u180F\u2800\u3164\uFE00-\uFE0F\uFFA0\u{E0100}-\u{E01EF}]/gu;
/** The same for bytes that can be copied as they are: printable ASCII. */
const PLAIN = /^[\x20-\x7e]*$/;

const NAMED: Readonly<Record<string, string>> = { '\t': '\\t', '\n': '\\n', '\r': '\\r' };

/** One line of text with everything dangerous made visible, e.g. `\u{202e}`. */
export function escapeForTerminal(text: string): string {
  return PLAIN.test(text) ? text : text.replace(UNSAFE, visible);
}

function visible(char: string): string {
  const named = NAMED[char];
  if (named !== undefined) return named;
  const code = char.codePointAt(0) ?? 0;
  return code < 0x100 ? `\\x${hex(code, 2)}` : `\\u{${hex(code, 4)}}`;
}

function hex(code: number, width: number): string {
  return code.toString(16).padStart(width, '0');
}

/** JSON that is the same value in characters that do nothing to a terminal. */
export function safeJson(value: unknown): string {
  const text = JSON.stringify(value);
  if (PLAIN.test(text)) return text;
  return text.replace(UNSAFE, (char) => char.split('').map((unit) => `\\u${hex(unit.charCodeAt(0), 4)}`).join(''));
}

/** A path or name for people: as above, and bytes that aren't UTF-8 as `\xff`. */
export function showBytes(bytes: Bytes): string {
  return PLAIN.test(bytes) ? bytes : decoded(bytes, escapeForTerminal);
}

/** A line of a file for people: tabs stay, the rest as above. */
export function showLine(bytes: Bytes): string {
  return PLAIN.test(bytes) ? bytes : decoded(bytes, (text) => text.split('\t').map(escapeForTerminal).join('\t'));
}

function decoded(bytes: Bytes, show: (text: string) => string): string {
  const text = toBuffer(bytes).toString('utf8');
  if (!text.includes('\uFFFD')) return show(text);
  // Some bytes are not UTF-8, or a real U+FFFD is there: find out which, piece by piece.
  let out = '';
  for (let at = 0; at < bytes.length; ) {
    const length = utf8Length(bytes, at);
    out += length === 0 ? `\\x${hex(bytes.charCodeAt(at), 2)}` : show(toBuffer(bytes.slice(at, at + length) as Bytes).toString('utf8'));
    at += Math.max(length, 1);
  }
  return out;
}

/** Length of the well-formed sequence at `at`, 0 when there is none. */
function utf8Length(bytes: Bytes, at: number): number {
  const first = bytes.charCodeAt(at);
  const length = first < 0x80 ? 1 : first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xf0 && first < 0xf5 ? 4 : 0;
  const piece = bytes.slice(at, at + length);
  if (length === 0 || piece.length < length) return 0;
  return Buffer.from(piece, 'latin1').toString('utf8').includes('\uFFFD') && piece !== '\xef\xbf\xbd' ? 0 : length;
}
