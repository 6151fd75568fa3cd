import type { Bytes } from '../bytes.js';

/**
 * A git index, versions 2 to 4, read by ourselves: git would run what a
 * repository's configuration names. Pure, and never reads past the end.
 */
export interface IndexEntry {
  readonly mode: number;
  /** in hex */
  readonly object: string;
  /** assume-valid, extended, stage and the length of the name */
  readonly flags: number;
  /** intent-to-add and skip-worktree; 0 where there are none */
  readonly extended: number;
  readonly name: Bytes;
}

const FIXED = 40;
/** No path of a work tree is longer (PATH_MAX). */
const LONGEST_NAME = 4096;
/** of SHA-1 and SHA-256 */
export const HASHES = [20, 32] as const;
export const HEAD = 12;
const MODES: ReadonlySet<number> = new Set([0o100644, 0o100755, 0o120000, 0o160000, 0o040000, 0o100664]);

/** Null for what is no index of a version that we know. */
export function indexVersion(index: Buffer): number | null {
  if (index.length < HEAD || index.toString('latin1', 0, 4) !== 'DIRC') return null;
  const version = index.readUInt32BE(4);
  return version < 2 || version > 4 ? null : version;
}

/** The paths in an index. Null when it is none; what a split index keeps elsewhere isn't there. */
export function trackedPaths(index: Buffer): readonly Bytes[] | null {
  for (const hash of HASHES) {
    const paths: Bytes[] = [];
    if (readEntries(index, hash, ({ name }) => paths.push(name)) !== null) return paths;
  }
  return null;
}

/** Where the entries end; null when they don't fit a hash of this length. */
export function readEntries(index: Buffer, hash: number, each: (entry: IndexEntry) => void): number | null {
  const version = indexVersion(index);
  if (version === null) return null;
  const count = index.readUInt32BE(8);
  let at = HEAD;
  let last = '';
  for (let n = 0; n < count; n += 1) {
    const flagsAt = at + FIXED + hash;
    if (flagsAt + 4 > index.length) return null;
    const mode = index.readUInt32BE(at + 24);
    const flags = index.readUInt16BE(flagsAt);
    const isExtended = (flags & 0x4000) !== 0;
    if (!MODES.has(mode) || (isExtended && version < 3)) return null;
    let nameAt = flagsAt + (isExtended ? 4 : 2);
    let kept = '';
    if (version === 4) {
      const strip = varint(index, nameAt);
      if (strip === null || strip.value > last.length) return null;
      nameAt = strip.next;
      kept = last.slice(0, last.length - strip.value);
    }
    const end = index.indexOf(0, nameAt);
    if (end < 0) return null;
    // Version 4 repeats a name for a byte: without a bound a small index would be names without end.
    if (kept.length + end - nameAt > LONGEST_NAME) return null;
    last = kept + index.toString('latin1', nameAt, end);
    const object = index.toString('hex', at + FIXED, flagsAt);
    each({ mode, object, flags, extended: isExtended ? index.readUInt16BE(flagsAt + 2) : 0, name: last as Bytes });
    // Up to version 3 an entry ends with 1 to 8 NULs, at a multiple of 8.
    at = version === 4 ? end + 1 : at + (((end - at + 8) >> 3) << 3);
  }
  return at > index.length ? null : at;
}

/** As git packs offsets; null when it is cut off, or longer than any name. */
function varint(bytes: Buffer, at: number): { readonly value: number; readonly next: number } | null {
  let value = 0;
  for (let next = at; next < Math.min(bytes.length, at + 4); next += 1) {
    const byte = bytes[next] as number;
    value = value * 128 + (byte & 0x7f);
    if ((byte & 0x80) === 0) return { value, next: next + 1 };
    value += 1;
  }
  return null;
}
