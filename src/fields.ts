import type { Bytes } from './bytes.js';
import { fromText, isText, toBuffer, toText } from './bytes.js';

/** Typed access to parsed JSON of our own making. Each function throws `FieldError` naming the field. */
export type Fields = Readonly<Record<string, unknown>>;

/** Bytes in JSON: text where they are UTF-8, else base64 in an object. */
export type JsonBytes = string | { readonly base64: string };

/** The message names the field and what it should have been, not what it was. */
export class FieldError extends Error {
  override readonly name = 'FieldError';
  constructor(field: string, expected: string) {
    super(`"${field}" is not ${expected}`);
  }
}

/** The way back is `bytesField`. */
export function encodeBytes(bytes: Bytes): JsonBytes {
  return isText(bytes) ? toText(bytes) : { base64: toBuffer(bytes).toString('base64') };
}

/** A list is none, and null neither. */
export function objectField(value: unknown, name: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw new FieldError(name, 'an object');
}

/** Text of one JSON object per line, as our own programs print it. `name` is what a line is called when it is none. */
export function objectLines(text: string, name: string): readonly Fields[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => objectField(JSON.parse(line), name));
}

/** What is in it is for the caller to check. */
export function listField(value: unknown, name: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new FieldError(name, 'a list');
}

/** Empty text is text. */
export function textField(value: unknown, name: string): string {
  if (typeof value === 'string') return value;
  throw new FieldError(name, 'a string');
}

/** Whole, and exact as a double: beyond 2^53 it is refused. */
export function numberField(value: unknown, name: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  throw new FieldError(name, 'a whole number');
}

/** No 0, 1 or "true". */
export function flagField(value: unknown, name: string): boolean {
  if (typeof value === 'boolean') return value;
  throw new FieldError(name, 'true or false');
}

/** A bigint, stored as decimal digits. */
export function bigintField(value: unknown, name: string): bigint {
  if (typeof value === 'string' && /^-?[0-9]{1,30}$/.test(value)) return BigInt(value);
  throw new FieldError(name, 'digits');
}

/** One of `words`, exactly. */
export function wordField<W extends string>(value: unknown, name: string, words: readonly W[]): W {
  const found = words.find((word) => word === value);
  if (found !== undefined) return found;
  throw new FieldError(name, `one of ${words.join(', ')}`);
}

/** Text in UTF-8, or base64 as `encodeBytes` has it. */
export function bytesField(value: unknown, name: string): Bytes {
  if (typeof value === 'string') return fromText(value);
  const { base64 } = objectField(value, name);
  return Buffer.from(textField(base64, name), 'base64').toString('latin1') as Bytes;
}
