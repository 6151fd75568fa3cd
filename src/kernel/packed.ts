import type { Bytes } from '../bytes.js';
import type { Stat, WalkEntry } from './kernel.js';

/**
 * Decodes what native/filestat.h and native/entry.h pack: host byte order
 * (Linux machines that run Node are little-endian), records eight-byte aligned.
 */

/** 64-bit words of one packed stat. */
export const STAT_WORDS = 11;

const HEAD_BYTES = 24;
const STAT_BYTES = STAT_WORDS * 8;
const HIGH_WORD = 2 ** 32;

/** The same memory as the widths that its fields have. */
export interface PackedView {
  readonly signed: BigInt64Array;
  readonly unsigned: BigUint64Array;
  readonly narrow: Uint32Array;
  readonly bytes: Buffer;
}

export function viewOf(memory: ArrayBuffer): PackedView {
  return {
    signed: new BigInt64Array(memory),
    unsigned: new BigUint64Array(memory),
    narrow: new Uint32Array(memory),
    bytes: Buffer.from(memory),
  };
}

/** The stat that starts at byte `at`. */
export function statAt(view: PackedView, at: number): Stat {
  const wide = at / 8;
  const narrow = at / 4;
  return {
    dev: unsigned(view, wide),
    ino: unsigned(view, wide + 1),
    mode: word(view, narrow + 18),
    nlink: word(view, narrow + 19),
    uid: word(view, narrow + 20),
    gid: word(view, narrow + 21),
    rdev: unsigned(view, wide + 2),
    size: word(view, narrow + 6) + word(view, narrow + 7) * HIGH_WORD,
    blocks: word(view, narrow + 8) + word(view, narrow + 9) * HIGH_WORD,
    atimeNs: signed(view, wide + 5),
    mtimeNs: signed(view, wide + 6),
    ctimeNs: signed(view, wide + 7),
    btimeNs: signed(view, wide + 8),
  };
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
} as const;

/** The entries of one buffer; `parents` (paths by depth) carries over to the next. */
export function* entriesIn(memory: ArrayBuffer, parents: Bytes[]): Generator<WalkEntry> {
  const view = viewOf(memory);
  for (let at = 0; at < memory.byteLength; at += word(view, at / 4)) {
    yield entryAt(view, at, parents);
  }
}

function entryAt(view: PackedView, at: number, parents: Bytes[]): WalkEntry {
  const head = at / 4;
  const flags = word(view, head + 1);
  const hasBase = (flags & FLAG.hasBase) !== 0;
  const nameAt = at + HEAD_BYTES + (hasBase ? 2 : 1) * STAT_BYTES;
  const targetAt = nameAt + word(view, head + 3);
  const redirectAt = targetAt + word(view, head + 4);
  const path = pathOf(parents, word(view, head + 2), text(view, nameAt, targetAt));
  const compared = (flags & FLAG.xattrsCompared) !== 0;
  return {
    path,
    upper: statAt(view, at + HEAD_BYTES),
    base: hasBase ? statAt(view, at + HEAD_BYTES + STAT_BYTES) : null,
    whiteout: (flags & FLAG.whiteout) !== 0,
    opaque: (flags & FLAG.opaque) !== 0,
    copiedUp: (flags & FLAG.copiedUp) !== 0,
    sameContent: flags & FLAG.contentCompared ? (flags & FLAG.sameContent) !== 0 : null,
    sameXattrs: compared ? (flags & FLAG.sameXattrs) !== 0 : null,
    sameAcl: compared ? (flags & FLAG.sameAcl) !== 0 : null,
    redirect: flags & FLAG.hasRedirect ? text(view, redirectAt, redirectAt + word(view, head + 5)) : null,
    target: flags & FLAG.hasTarget ? text(view, targetAt, redirectAt) : null,
  };
}

function text(view: PackedView, from: number, to: number): Bytes {
  return view.bytes.toString('latin1', from, to) as Bytes;
}

function pathOf(parents: Bytes[], depth: number, name: Bytes): Bytes {
  const path = (depth <= 1 ? name : `${parents[depth - 1] ?? ''}/${name}`) as Bytes;
  parents[depth] = path;
  return path;
}
