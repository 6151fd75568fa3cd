import { joinBytes, type Bytes } from '../bytes.js';
import type { Kernel } from '../kernel/kernel.js';
import type { Change } from './change.js';
import { readHostFile } from './host-file.js';

const LONGEST = 64 << 20;
const OBJECT = /^[0-9a-f]{40}(?:[0-9a-f]{24})?\n$/;

const ROOM = /\.git\/(?:.*\/)?(?:objects\/[0-9a-f]{2}|(?:logs\/)?refs\/.+)$/s;
const LOOSE = /\.git\/(?:.*\/)?objects\/[0-9a-f]{2}\/(?:[0-9a-f]{38}|[0-9a-f]{62})$/s;

/**
 * A loose object, or a directory that holds such, references or their logs, and nothing
 * else: git removes them when it packed what was in them, and makes them again at need.
 */
export function isSpareOfGit({ path, type }: Pick<Change, 'path' | 'type'>): boolean {
  return type === 'dir' ? ROOM.test(path) : type === 'file' && LOOSE.test(path);
}

/** Null: it is no path of a git reference, or not one that can be packed. */
export function referenceOf(path: Bytes): { readonly file: Bytes; readonly name: string } | null {
  const at = path.indexOf('/refs/');
  if (at < 0) return null;
  return { file: joinBytes(path.slice(0, at) as Bytes, 'packed-refs' as Bytes), name: path.slice(at + 1) };
}

/**
 * `git gc` moves a reference out of its own file: it is gone, and says what it
 * said. True when the packed ones have `value`, the former content, for `path`.
 */
export function isPackedAs(kernel: Kernel, path: Bytes, value: Buffer | null): boolean {
  const reference = referenceOf(path);
  const text = value?.toString('latin1') ?? '';
  if (reference === null || !OBJECT.test(text)) return false;
  const packed = readHostFile(kernel, reference.file, LONGEST);
  return packed !== null && `\n${packed}`.includes(`\n${text.trimEnd()} ${reference.name}\n`);
}
