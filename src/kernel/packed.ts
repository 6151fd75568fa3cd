import { constants } from 'node:fs';
import type { Bytes } from '../bytes.js';
import type { FirstLook, LineCounts, Stat, Usual, UsualKind, WalkEntry, WalkPiece } from './kernel.js';

/**
 * Decodes what native/filestat.h and native/entry.h pack: host byte order
 * (Linux machines that run Node are little-endian), records eight-byte aligned.
 */

/** 64-bit words of one packed stat. */
export const STAT_WORDS = 11;

const HEAD_BYTES = 32;
const STAT_BYTES = STAT_WORDS * 8;
const HIGH_WORD = 2 ** 32;

/** The same memory as the widths that its fields have. */
export interface PackedView {
  readonly signed: BigInt64Array;
  readonly unsigned: BigUint64Array;
  readonly narrow: Uint32Array;
  readonly bytes: Latin1Buffer;
}

/** What `toString` comes to after it has looked at the encoding's name, which takes longer than the rest. */
interface Latin1Buffer extends Buffer {
  latin1Slice(from: number, to: number): string;
}

/** One memory by the four widths that fields of the addon have. */
export function viewOf(memory: ArrayBuffer): PackedView {
  return {
    signed: new BigInt64Array(memory),
    unsigned: new BigUint64Array(memory),
    narrow: new Uint32Array(memory),
    bytes: Buffer.from(memory) as unknown as Latin1Buffer,
  };
}

/**
 * A stat that stays packed: most fields of most files are never asked for, and
 * seven big integers each for 20,000 files cost more than the walk.
 */
class PackedStat implements Stat {
  private readonly view: PackedView;
  /** in 64-bit words */
  private readonly at: number;
  readonly mode: number;

  constructor(view: PackedView, at: number) {
    this.view = view;
    this.at = at / 8;
    this.mode = word(view, at / 4 + 18);
  }
  get dev(): bigint {
    return unsigned(this.view, this.at);
  }
  get ino(): bigint {
    return unsigned(this.view, this.at + 1);
  }
  get nlink(): number {
    return word(this.view, this.at * 2 + 19);
  }
  get uid(): number {
    return word(this.view, this.at * 2 + 20);
  }
  get gid(): number {
    return word(this.view, this.at * 2 + 21);
  }
  get rdev(): bigint {
    return unsigned(this.view, this.at + 2);
  }
  get size(): number {
    return wide(this.view, this.at + 3);
  }
  get blocks(): number {
    return wide(this.view, this.at + 4);
  }
  get atimeNs(): bigint {
    return signed(this.view, this.at + 5);
  }
  get mtimeNs(): bigint {
    return signed(this.view, this.at + 6);
  }
  get ctimeNs(): bigint {
    return signed(this.view, this.at + 7);
  }
  get btimeNs(): bigint {
    return signed(this.view, this.at + 8);
  }
}

/** Reads on demand: it holds as long as the memory isn't filled anew. `at` counts words of 8 bytes. */
export function statAt(view: PackedView, at: number): Stat {
  return new PackedStat(view, at);
}

/** The same, the other way round. */
export function packStat({ signed: words, unsigned: whole, narrow }: PackedView, at: number, stat: Stat): void {
  const first = at / 8;
  whole[first] = stat.dev;
  whole[first + 1] = stat.ino;
  whole[first + 2] = stat.rdev;
  whole[first + 3] = BigInt(stat.size);
  whole[first + 4] = BigInt(stat.blocks);
  words[first + 5] = stat.atimeNs;
  words[first + 6] = stat.mtimeNs;
  words[first + 7] = stat.ctimeNs;
  words[first + 8] = stat.btimeNs;
  const { mode, nlink, uid, gid } = stat;
  [mode, nlink, uid, gid].forEach((value, n) => (narrow[first * 2 + 18 + n] = value));
}

/** The stat at the beginning of a memory that will be used again. */
export function copyOfStat(view: PackedView): Stat {
  const stat = new PackedStat(view, 0);
  const { dev, ino, mode, nlink, uid, gid, rdev, size, blocks, atimeNs, mtimeNs, ctimeNs, btimeNs } = stat;
  return { dev, ino, mode, nlink, uid, gid, rdev, size, blocks, atimeNs, mtimeNs, ctimeNs, btimeNs };
}

function unsigned(view: PackedView, index: number): bigint {
  return view.unsigned[index] ?? 0n;
}

function signed(view: PackedView, index: number): bigint {
  return view.signed[index] ?? 0n;
}

function word(view: PackedView, index: number): number {
  return view.narrow[index] ?? 0;
}

/** Of a packed stat, counted in halves of words: no big integer is made to compare them. */
const [INO, SIZE, MTIME, MODE] = [2, 6, 12, 18] as const;

function isSameWord(a: PackedView, at: number, b: PackedView, other: number): boolean {
  return word(a, at) === word(b, other) && word(a, at + 1) === word(b, other + 1);
}

/** A 64-bit word that is no bigger than a number can be exact. */
function wide(view: PackedView, index: number): number {
  return word(view, index * 2) + word(view, index * 2 + 1) * HIGH_WORD;
}

/** native/entry.h EntryFlag */
const FLAG = {
  hasBase: 1,
  whiteout: 2,
  opaque: 4,
  copiedUp: 8,
  contentCompared: 0x10,
  sameContent: 0x20,
  xattrsCompared: 0x40,
  sameXattrs: 0x80,
  sameAcl: 0x100,
  hasTarget: 0x200,
  hasRedirect: 0x400,
  looked: 0x1000,
  hasNul: 0x2000,
  baseText: 0x4000,
  counted: 0x8000,
  binary: 0x10000,
  noAttributes: 0x20000,
  ordinary: 0x40000,
  originOnly: 0x80000,
  usual: 0x800000,
  harmless: 0x1000000,
  capable: 0x2000000,
} as const;
const PROGRAM_SHIFT = 20;
const PROGRAM_BITS = 7;
const PROGRAMS = [null, 'ELF', 'Mach-O', 'PE', null] as const;
const SCRIPT = 4;
const NO_LINES: LineCounts = { added: null, removed: null };

/** Entries that are decoded when they are asked for; `parents` (paths by depth) carries over to the next. */
export class PackedEntries implements WalkPiece {
  readonly end: number;
  private readonly view: PackedView;

  constructor(readonly memory: ArrayBuffer, private readonly parents: Bytes[]) {
    this.view = viewOf(memory);
    this.end = memory.byteLength;
  }
  after(at: number): number {
    return at + word(this.view, at / 4);
  }
  usual(at: number): Usual {
    const flags = word(this.view, at / 4 + 1);
    if ((flags & FLAG.usual) === 0) return 'no';
    if ((flags & FLAG.ordinary) === 0) return 'yes';
    return (flags & FLAG.harmless) === 0 ? 'ordinary' : 'harmless';
  }
  usualKind(at: number): UsualKind {
    const flags = word(this.view, at / 4 + 1);
    if ((flags & FLAG.whiteout) !== 0) return 'delete';
    return (flags & FLAG.hasBase) !== 0 ? 'modify' : 'add';
  }
  dir(at: number): Bytes {
    return this.parents[word(this.view, at / 4 + 2) - 1] ?? ('' as Bytes);
  }
  name(at: number): Bytes {
    const nameAt = nameIn(this.view, at);
    return text(this.view, nameAt, nameAt + word(this.view, at / 4 + 3));
  }
  upperSize(at: number): number {
    return wide(this.view, (at + HEAD_BYTES) / 8 + 3);
  }
  baseSize(at: number): number {
    return wide(this.view, (at + HEAD_BYTES + STAT_BYTES) / 8 + 3);
  }
  added(at: number): number {
    return word(this.view, at / 4 + 6);
  }
  removed(at: number): number {
    return word(this.view, at / 4 + 7);
  }
  path(at: number): Bytes {
    return pathOf(this.parents, word(this.view, at / 4 + 2), this.name(at));
  }
  upper(at: number): Stat {
    return new PackedStat(this.view, at + HEAD_BYTES);
  }
  sameUpper(at: number, other: WalkPiece, otherAt: number): boolean {
    if (!(other instanceof PackedEntries)) return false;
    const [a, b, one, two] = [this.view, other.view, (at + HEAD_BYTES) / 4, (otherAt + HEAD_BYTES) / 4];
    const format = (word(a, one + MODE) ^ word(b, two + MODE)) & constants.S_IFMT;
    return format === 0 && isSameWord(a, one + INO, b, two + INO) && isSameWord(a, one + SIZE, b, two + SIZE) && isSameWord(a, one + MTIME, b, two + MTIME);
  }
  whiteout(at: number): boolean {
    return (word(this.view, at / 4 + 1) & FLAG.whiteout) !== 0;
  }
  plain(at: number): boolean {
    return (word(this.view, at / 4 + 1) & FLAG.noAttributes) !== 0;
  }
  entry(at: number): WalkEntry {
    return entryAt(this.view, at, this.parents);
  }
  entryIn(at: number, dir: Bytes): WalkEntry {
    const depth = word(this.view, at / 4 + 2);
    const parents: Bytes[] = [];
    parents[depth - 1] = dir;
    return entryAt(this.view, at, parents);
  }
}

/** Where the name of a record begins. */
function nameIn(view: PackedView, at: number): number {
  return at + HEAD_BYTES + ((word(view, at / 4 + 1) & FLAG.hasBase) !== 0 ? 2 : 1) * STAT_BYTES;
}

function entryAt(view: PackedView, at: number, parents: Bytes[]): WalkEntry {
  const head = at / 4;
  const flags = word(view, head + 1);
  const hasBase = (flags & FLAG.hasBase) !== 0;
  const nameAt = nameIn(view, at);
  const targetAt = nameAt + word(view, head + 3);
  const redirectAt = targetAt + word(view, head + 4);
  const path = pathOf(parents, word(view, head + 2), text(view, nameAt, targetAt));
  const compared = (flags & FLAG.xattrsCompared) !== 0;
  return {
    path,
    upper: new PackedStat(view, at + HEAD_BYTES),
    base: hasBase ? new PackedStat(view, at + HEAD_BYTES + STAT_BYTES) : null,
    whiteout: (flags & FLAG.whiteout) !== 0,
    opaque: (flags & FLAG.opaque) !== 0,
    copiedUp: (flags & FLAG.copiedUp) !== 0,
    plain: (flags & FLAG.noAttributes) !== 0,
    capable: (flags & FLAG.capable) !== 0,
    sameContent: flags & FLAG.contentCompared ? (flags & FLAG.sameContent) !== 0 : null,
    sameXattrs: compared ? (flags & FLAG.sameXattrs) !== 0 : null,
    sameAcl: compared ? (flags & FLAG.sameAcl) !== 0 : null,
    redirect: flags & FLAG.hasRedirect ? text(view, redirectAt, redirectAt + word(view, head + 5)) : null,
    target: flags & FLAG.hasTarget ? text(view, targetAt, redirectAt) : null,
    look: flags & FLAG.looked ? lookOf(flags) : null,
    lines: flags & FLAG.counted ? linesOf(view, head, flags) : null,
    ordinary: (flags & FLAG.ordinary) !== 0,
    origin: flags & FLAG.originOnly ? text(view, targetAt, redirectAt) : null,
  };
}

/** There are few different ones, so each is made once. */
const looks = new Map<number, FirstLook>();

function lookOf(flags: number): FirstLook {
  const program = (flags >>> PROGRAM_SHIFT) & PROGRAM_BITS;
  const key = (program << 16) | (flags & (FLAG.hasNul | FLAG.baseText));
  const known = looks.get(key);
  if (known !== undefined) return known;
  const binary = (flags & FLAG.hasNul) !== 0;
  const replacesText = binary && (flags & FLAG.baseText) !== 0;
  const look = { program: PROGRAMS[program] ?? null, script: program === SCRIPT, binary, replacesText };
  looks.set(key, look);
  return look;
}

function linesOf(view: PackedView, head: number, flags: number): LineCounts {
  if ((flags & FLAG.binary) !== 0) return NO_LINES;
  return { added: word(view, head + 6), removed: word(view, head + 7) };
}

function text(view: PackedView, from: number, to: number): Bytes {
  return view.bytes.latin1Slice(from, to) as Bytes;
}

function pathOf(parents: Bytes[], depth: number, name: Bytes): Bytes {
  const path = (depth <= 1 ? name : `${parents[depth - 1] ?? ''}/${name}`) as Bytes;
  parents[depth] = path;
  return path;
}
