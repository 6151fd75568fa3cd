import type { Bytes } from '../bytes.js';

const SHORT: Readonly<Record<string, string>> = {
  '\x07': '\\a', '\b': '\\b', '\t': '\\t', '\n': '\\n', '\v': '\\v', '\f': '\\f', '\r': '\\r', '"': '\\"', '\\': '\\\\',
};
const SPECIAL = /["\\\x00-\x1f\x7f-\xff]/g;

function escapeByte(char: string): string {
  return SHORT[char] ?? `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`;
}

/** A path as git writes it in patches (core.quotePath): in quotes with escapes when it has anything special. */
export function quotePath(path: Bytes): string {
  const escaped = path.replace(SPECIAL, escapeByte);
  return escaped === path ? path : `"${escaped}"`;
}

/** The same for lines of names (core.quotePath=false): only what could not be told from a line of its own, letters of any script stay. */
export function quoteName(path: Bytes): string {
  const escaped = path.replace(/["\\\x00-\x1f\x7f]/g, escapeByte);
  return escaped === path ? path : `"${escaped}"`;
}

/** For the `---` and `+++` lines, where a tab tells the end of a name with spaces. */
export function fileLinePath(path: Bytes): string {
  const quoted = quotePath(path);
  return quoted === path && path.includes(' ') ? `${path}\t` : quoted;
}
