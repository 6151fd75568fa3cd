import type { Bytes } from '../bytes.js';

const FIXED = 40;
const HASHES = [20, 32] as const;
const MODES: ReadonlySet<number> = new Set([0o100644, 0o100755, 0o120000, 0o160000, 0o040000, 0o100664]);

/**
 * The paths in a git index, versions 2 to 4, read by ourselves: git would run
 * what a repository's configuration names. Null for what is no such index;
 * what a split index keeps elsewhere isn't there.
 */
export function trackedPaths(index: Buffer): readonly Bytes[] | null {
  if (index.length < 12 || index.toString('latin1', 0, 4) !== 'DIRC') return null;
  const version = index.readUInt32BE(4);
  if (version < 2 || version > 4) return null;
  for (const hash of HASHES) {
    const paths = read(index, version, hash);
    if (paths !== null) return paths;
  }
  return null;
}

/** Null when the entries don't fit a hash of this length. */
function read(index: Buffer, version: number, hash: number): readonly Bytes[] | null {
  const paths: Bytes[] = [];
  const count = index.readUInt32BE(8);
  let at = 12;
  let last = '';
  for (let n = 0; n < count; n += 1) {
    const flagsAt = at + FIXED + hash;
    if (flagsAt + 4 > index.length || !MODES.has(index.readUInt32BE(at + 24))) return null;
    const extended = (index.readUInt16BE(flagsAt) & 0x4000) !== 0;
    let nameAt = flagsAt + (extended ? 4 : 2);
    let kept = '';
    if (version === 4) {
      const strip = varint(index, nameAt);
      nameAt = strip.next;
      kept = last.slice(0, Math.max(0, last.length - strip.value));
    }
    const end = index.indexOf(0, nameAt);
    if (end < 0) return null;
    last = kept + index.toString('latin1', nameAt, end);
    paths.push(last as Bytes);
    // Up to version 3 an entry ends with 1 to 8 NULs, at a multiple of 8.
    at = version === 4 ? end + 1 : at + (((end - at + 8) >> 3) << 3);
  }
  return paths;
}

/** As git packs offsets. */
function varint(bytes: Buffer, at: number): { readonly value: number; readonly next: number } {
  let next = at;
  let byte = bytes[next++] ?? 0;
  let value = byte & 0x7f;
  while ((byte & 0x80) !== 0 && next < bytes.length) {
    byte = bytes[next++] ?? 0;
    value = (value + 1) * 128 + (byte & 0x7f);
  }
  return { value, next };
}
