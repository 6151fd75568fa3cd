import { constants } from 'node:fs';
import type { Bytes } from '../bytes.js';
import { joinBytes, toText } from '../bytes.js';
import { AgentfwError, errnoOf } from '../errors.js';
import { readWhole, replaceFile } from '../kernel/files.js';
import { AT_FDCWD, RENAME, type Kernel } from '../kernel/kernel.js';
import { objectField, numberField, textField } from '../fields.js';
import type { AuditHead } from './chain.js';
import { newKey, privateKeyOf } from './chain.js';

/** `audit.jsonl` is written; full ones are `audit.1.jsonl`, `audit.2.jsonl`, … in order. */
export const CURRENT = 'audit.jsonl' as Bytes;
export const LOCK = 'audit.lock' as Bytes;
const HEAD = 'audit.head.json' as Bytes;
const KEY = 'audit-key.pem' as Bytes;
/** Bytes of a record. */
export const MAX_LINE = 256 * 1024;

/** What the log is renamed to when it is full; numbers count up from 1, the oldest first. */
export function rotatedName(number: number): Bytes {
  return `audit.${number}.jsonl` as Bytes;
}

/** All files of the log that exist, oldest first. */
export function logFiles(kernel: Kernel, dir: Bytes): Bytes[] {
  const names = namesIn(kernel, dir);
  const rotated = numbersIn(names).map(rotatedName);
  return names.includes(CURRENT) ? [...rotated, CURRENT] : rotated;
}

/** What the current file is renamed to next: behind the newest, though earlier ones are gone. */
export function nextRotated(kernel: Kernel, dir: Bytes): Bytes {
  return rotatedName((numbersIn(namesIn(kernel, dir)).at(-1) ?? 0) + 1);
}

function namesIn(kernel: Kernel, dir: Bytes): readonly Bytes[] {
  const fd = kernel.open(AT_FDCWD, dir, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return kernel.list(fd);
  } finally {
    kernel.close(fd);
  }
}

function numbersIn(names: readonly Bytes[]): number[] {
  const numbers = names.flatMap((name) => {
    const found = /^audit\.([1-9][0-9]{0,8})\.jsonl$/.exec(name);
    return found === null ? [] : [Number(found[1])];
  });
  return numbers.sort((a, b) => a - b);
}

/** null where there is none. Throws `FieldError` or `SyntaxError` for one that nobody of ours wrote, and errno of the read. */
export function readHead(kernel: Kernel, dir: Bytes): AuditHead | null {
  const text = readWhole(kernel, joinBytes(dir, HEAD));
  if (text === null) return null;
  const fields = objectField(JSON.parse(text.toString('utf8')), 'the head');
  const optional = (name: string): string | null => (fields[name] === null ? null : textField(fields[name], name));
  if (fields['version'] !== 1) throw new Error('audit.head.json has another version');
  return { version: 1, tag: textField(fields['tag'], 'tag'), index: numberField(fields['index'], 'index'), hash: textField(fields['hash'], 'hash'), signature: optional('signature'), key: optional('key') };
}

/** Replaces the head in one rename, synced: after a crash it is the old one or the new one. Throws errno. */
export function writeHead(kernel: Kernel, dir: Bytes, head: AuditHead): void {
  replaceFile(kernel, joinBytes(dir, HEAD), `${JSON.stringify(head)}\n`);
}

/** The user's signing key in the store, made at first use: of several commands that are the first, one makes it for all. */
export function userKey(kernel: Kernel, store: Bytes): string {
  const file = joinBytes(store, KEY);
  const found = readWhole(kernel, file);
  if (found !== null) return sound(file, found.toString('utf8'));
  const mine = joinBytes(store, `${KEY}.${process.pid}` as Bytes);
  replaceFile(kernel, mine, newKey());
  try {
    kernel.rename(AT_FDCWD, mine, AT_FDCWD, file, RENAME.noReplace);
  } catch (error) {
    kernel.unlink(AT_FDCWD, mine);
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
  return userKey(kernel, store);
}

function sound(file: Bytes, key: string): string {
  try {
    privateKeyOf(key);
    return key;
  } catch (error) {
    throw new AgentfwError('AFW_AUDIT_KEY', `The key that signs the audit logs is damaged: ${toText(file)}`, { cause: error, hint: 'Put that file aside, the next command makes another. `agentfw log verify` will say of earlier logs that the end is not signed by your key' });
  }
}
