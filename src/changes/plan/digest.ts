import { createHash, type Hash } from 'node:crypto';
import type { Bytes } from '../../bytes.js';
import type { Stat } from '../../kernel/kernel.js';
import type { Change } from '../change.js';
import { byPath, type Told } from './bypath.js';
import type { Composed } from './draft.js';
import { takeOf, type Take } from './refusal.js';

interface Bound {
  readonly composed?: ReadonlyMap<Bytes, Composed>;
  readonly take?: ReadonlyMap<Bytes, Take>;
  readonly options: { readonly keepSpecial: boolean; readonly fifos: boolean };
}

/** Pieces are joined before they are hashed: one call per piece costs more than the hash. */
const PIECE = 1024;

/**
 * I16: binds what lands to what was shown. Each side of each change goes in
 * with inode, size, mode and times; ctime can't be set, so any write after the
 * review gives another digest. What depends on where or when the commit is
 * made (ids, methods) stays out.
 */
export function digestOf(changes: readonly Change[], bound: Bound): string {
  const hash = createHash('sha256');
  const { keepSpecial, fifos } = bound.options;
  hash.update(`agentfw plan 1\n${keepSpecial} ${fifos}\n`);
  let piece: Told[] = [];
  for (const told of byPath(changes)) {
    if (piece.push(told) < PIECE) continue;
    addPiece(hash, piece, bound);
    piece = [];
  }
  if (piece.length > 0) addPiece(hash, piece, bound);
  return `sha256:${hash.digest('hex')}`;
}

/** Numbers go in as 64-bit words, which costs a fraction of writing them as text. */
function addPiece(hash: Hash, changes: readonly Told[], bound: Bound): void {
  const { composed: contents, take } = bound;
  const sides = sidesFor(2 * changes.length);
  const lines: string[] = [];
  changes.forEach((change, index) => {
    packSide(sides, 2 * WORDS * index, change.upper);
    packSide(sides, 2 * WORDS * index + WORDS, change.base);
    lines.push(lineOf(change));
    const composed = contents === undefined || contents.size === 0 ? undefined : contents.get(change.path);
    if (composed !== undefined) lines.push(`composed ${createHash('sha256').update(composed.content).digest('hex')}`);
    const side = take === undefined || take.size === 0 ? null : takeOf(change.path, { take });
    if (side !== null) lines.push(`take ${side}`);
  });
  hash.update(lines.join('\n'), 'latin1');
  hash.update(sides.words);
}

const WORDS = 7;

/** The same memory as words, and as their halves, the low one first: a big integer is made only of what is no number. */
interface Sides {
  readonly words: BigInt64Array;
  readonly halves: Uint32Array;
}

function sidesFor(count: number): Sides {
  const words = new BigInt64Array(count * WORDS);
  return { words, halves: new Uint32Array(words.buffer) };
}

/** All zero: there is no such side. */
function packSide({ words, halves }: Sides, at: number, stat: Stat | null): void {
  if (stat === null) return;
  words[at] = stat.ino;
  words[at + 1] = stat.mtimeNs;
  words[at + 2] = stat.ctimeNs;
  const { size } = stat;
  halves[2 * at + 6] = size % HIGH_WORD;
  halves[2 * at + 7] = Math.floor(size / HIGH_WORD);
  halves[2 * at + 8] = stat.mode;
  halves[2 * at + 10] = stat.uid;
  halves[2 * at + 12] = stat.gid;
}

const HIGH_WORD = 2 ** 32;

function lineOf(change: Told): string {
  const { path, kind, type, from, target, opaque, meta, link } = change;
  // NUL ends each part that may hold anything else.
  return `${kind} ${type} ${opaque ? 1 : 0} ${path}\0${from ?? ''}\0${target ?? ''}\0${meta.join()}${link === undefined ? '' : `\0${link.path}`}`;
}
