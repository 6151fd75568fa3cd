/**
 * Paths and names are bytes. They are kept as strings with one char per byte
 * (latin1), so that prefix tests, sorting and Map keys work on bytes and no
 * name is ever mangled by UTF-8 decoding.
 */
declare const bytesBrand: unique symbol;

/** A path, name or symlink target: one char per byte, no NUL. */
export type Bytes = string & { readonly [bytesBrand]: true };

/** From a JS string as typed by a user or read from JSON (encoded as UTF-8). */
export function fromText(text: string): Bytes {
  // Most texts are plain, and are their own bytes.
  if (PLAIN.test(text)) return text as Bytes;
  return Buffer.from(text, 'utf8').toString('latin1') as Bytes;
}

const PLAIN = /^[\u0000-\u007f]*$/;

/** From raw bytes as the kernel gives them. */
export function fromBuffer(buffer: Uint8Array): Bytes {
  return Buffer.from(buffer.buffer, buffer.byteOffset, buffer.byteLength).toString('latin1') as Bytes;
}

/** To raw bytes for a system call or `fs`. */
export function toBuffer(bytes: Bytes): Buffer {
  return Buffer.from(bytes, 'latin1');
}

/** Decoded as UTF-8, invalid sequences replaced: for people, never for the kernel. */
export function toText(bytes: Bytes): string {
  return toBuffer(bytes).toString('utf8');
}

/** True when decoding to text and back gives the same bytes. */
export function isText(bytes: Bytes): boolean {
  return fromText(toText(bytes)) === bytes;
}

/** The name joined to its parent; the root's child is `/name`. */
export function joinBytes(parent: Bytes, name: Bytes): Bytes {
  return (parent === '/' ? `/${name}` : parent === '' ? name : `${parent}/${name}`) as Bytes;
}

/** The parent of an absolute path; the root's parent is the root. */
export function parentOf(path: Bytes): Bytes {
  const slash = path.lastIndexOf('/');
  return (slash <= 0 ? '/' : path.slice(0, slash)) as Bytes;
}

/** The last component. */
export function nameOf(path: Bytes): Bytes {
  return path.slice(path.lastIndexOf('/') + 1) as Bytes;
}

/** True when `path` is `root` or below it, by whole components. */
export function isWithin(path: Bytes, root: Bytes): boolean {
  return root === '/' || path === root || path.startsWith(`${root}/`);
}

/** An absolute path without `.`, `..` and empty parts, by names alone. */
export function normalised(path: string): Bytes {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}` as Bytes;
}
