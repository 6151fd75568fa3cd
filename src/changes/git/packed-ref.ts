import { joinBytes, type Bytes } from '../../bytes.js';
import { isRefusal } from '../../errors.js';
import { AT_FDCWD, type Kernel, type Stat } from '../../kernel/kernel.js';
import type { Change } from '../change.js';
import { readHostFile } from '../conflict/host-file.js';

const LONGEST = 64 << 20;
/** Bytes of a reference's own file with a value in it. */
export const LONGEST_REFERENCE = 100;
const OBJECT = /^[0-9a-f]{40}(?:[0-9a-f]{24})?\n$/;

const ROOM = /\/objects\/[0-9a-f]{2}$|\/refs\/./s;
const LOOSE = /\/objects\/[0-9a-f]{2}\/(?:[0-9a-f]{38}|[0-9a-f]{62})$/s;

/**
 * A loose object, or a directory that holds such, references or their logs, and nothing
 * else: git removes them when it packed what was in them, and makes them again at need.
 */
export function isSpareOfGit({ path, type }: Pick<Change, 'path' | 'type'>): boolean {
  const git = path.indexOf('.git/');
  if (git < 0) return false;
  const inside = path.slice(git + '.git'.length);
  return type === 'dir' ? ROOM.test(inside) : type === 'file' && LOOSE.test(inside);
}

/** In a directory called `.git`, or `NAME.git`: one called `refs` may be above it. */
const REFERENCE = /^(.*?\/[^/]*\.git(?:\/.+?)??)\/(refs\/.+)$/s;

/** Null: it is no path of a git reference. */
export function referenceOf(path: Bytes): { readonly file: Bytes; readonly name: string } | null {
  const [, dir, name] = path.includes('/refs/') ? (REFERENCE.exec(path) ?? []) : [];
  return dir === undefined || name === undefined ? null : { file: joinBytes(dir as Bytes, 'packed-refs' as Bytes), name };
}

/** What the packed references of a repository say. */
interface PackedFile {
  readonly text: string;
  readonly ctimeNs: bigint;
}

/** Of one path: the value that is packed for it, if any, and when the file with all of them was written. */
export interface PackedRef {
  readonly value: string | null;
  readonly ctimeNs: bigint;
}

/** Looks references up; each file with packed ones is read again only when it changed. */
export function packedRefs(kernel: Kernel): (path: Bytes) => PackedRef {
  const read = new Map<Bytes, PackedFile>();
  return (path) => {
    const reference = referenceOf(path);
    if (reference === null) return { value: null, ctimeNs: 0n };
    const { file, name } = reference;
    const ctimeNs = statOf(kernel, file)?.ctimeNs ?? 0n;
    const known = read.get(file);
    const packed = known?.ctimeNs === ctimeNs ? known : { text: `\n${readHostFile(kernel, file, LONGEST) ?? ''}`, ctimeNs };
    read.set(file, packed);
    return { value: valueIn(packed.text, name), ctimeNs };
  };
}

function statOf(kernel: Kernel, file: Bytes): Stat | null {
  try {
    return kernel.statOrNull(AT_FDCWD, file);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return null;
  }
}

function valueIn(text: string, name: string): string | null {
  const at = text.indexOf(` ${name}\n`);
  return at < 0 ? null : text.slice(text.lastIndexOf('\n', at) + 1, at);
}

/** The value in a reference's own file; null for a symbolic one, which is never packed. */
export function valueOf(content: string): string | null {
  return OBJECT.test(content) ? content.trimEnd() : null;
}
