import { createHash, type Hash } from 'node:crypto';
import { HASHES, HEAD, indexVersion, readEntries, type IndexEntry } from '../../sandbox/git-index.js';

/** Extensions that git makes of the entries and the work tree whenever it likes. */
const DERIVED: ReadonlySet<string> = new Set(['TREE', 'UNTR', 'FSMN', 'EOIE', 'IEOT']);
/** What an entry can say besides stat data: assume-valid, extended, stage; the rest is the name's length. */
const LENGTH = 0xfff;
const EXTENDED = 0x6000;

/**
 * A digest of what a git index says: its entries without the stat data that
 * every `git status` renews, and the extensions that aren't derived. Null for
 * what is no sound index, and for a split one, of which the rest lies elsewhere.
 */
export function indexMeaning(index: Buffer): string | null {
  for (const hash of HASHES) {
    if (!isSealed(index, hash)) continue;
    const meaning = meaningWith(index, hash);
    if (meaning !== null) return meaning;
  }
  return null;
}

/** The hash at its end is that of what is before, or left out (`index.skipHash`). */
function isSealed(index: Buffer, hash: number): boolean {
  const end = index.length - hash;
  if (indexVersion(index) === null || end < HEAD) return false;
  const seal = index.subarray(end);
  return seal.every((byte) => byte === 0) || createHash(hash === 20 ? 'sha1' : 'sha256').update(index.subarray(0, end)).digest().equals(seal);
}

function meaningWith(index: Buffer, hash: number): string | null {
  const all = createHash('sha256').update(`${indexVersion(index)} ${hash} ${index.readUInt32BE(8)}\0`);
  let isSound = true;
  const at = readEntries(index, hash, (entry) => {
    isSound &&= isSoundEntry(entry);
    const { mode, object, flags, extended, name } = entry;
    all.update(`${mode} ${object} ${flags} ${extended} ${name}\0`, 'latin1');
  });
  return at !== null && isSound && addExtensions(all, index.subarray(0, index.length - hash), at) ? all.digest('hex') : null;
}

/** A split index has entries without a name. */
function isSoundEntry({ flags, extended, name }: IndexEntry): boolean {
  return name !== '' && (flags & LENGTH) === Math.min(name.length, LENGTH) && (extended & ~EXTENDED) === 0;
}

/** False when they don't fill the rest of the file. */
function addExtensions(all: Hash, index: Buffer, from: number): boolean {
  let at = from;
  while (at + 8 <= index.length) {
    const name = index.toString('latin1', at, at + 4);
    const next = at + 8 + index.readUInt32BE(at + 4);
    if (next > index.length || name === 'link') return false;
    if (!DERIVED.has(name)) all.update(index.subarray(at, next));
    at = next;
  }
  return at === index.length;
}
