import type { Bytes } from '../../bytes.js';
import type { WalkPiece } from '../../kernel/kernel.js';
import { isSameObject } from '../plan/step.js';
import type { Entry, TreeEntries } from '../plan/tree-entries.js';
import type { Crowd } from '../scan/crowd.js';

/** Packed files of one directory, and how far a walk has come among them. */
interface Cursor {
  readonly crowds: Crowd[];
  crowd: number;
  member: number;
}

/** What was shown of a new directory, held against a walk of it: each entry is met once, as it was, and nothing else is in it. */
export class Expected {
  private readonly listed = new Map<Bytes, Entry>();
  private readonly packed = new Map<Bytes, Cursor>();
  private left: number;
  private last: { readonly dir: Bytes; readonly cursor: Cursor | undefined } | null = null;

  constructor(entries: TreeEntries) {
    for (const entry of entries.listed) this.listed.set(entry.path, entry);
    for (const { dir, crowd } of entries.packed) {
      const cursor = this.packed.get(dir);
      // A large directory comes in several pieces, in order.
      if (cursor === undefined) this.packed.set(dir, { crowds: [crowd], crowd: 0, member: 0 });
      else cursor.crowds.push(crowd);
    }
    this.left = entries.length;
  }
  /** False for what was not shown, or is another object by now. In the order of the walk. */
  meet(piece: WalkPiece, at: number): boolean {
    const isExpected = this.meetsPacked(piece, at) || this.meetsListed(piece, at);
    if (isExpected) this.left -= 1;
    return isExpected;
  }
  /** All of it was met. */
  get isWhole(): boolean {
    return this.left === 0;
  }
  private meetsPacked(piece: WalkPiece, at: number): boolean {
    if (this.packed.size === 0) return false;
    const cursor = this.cursorIn(piece.dir(at));
    const crowd = cursor?.crowds[cursor.crowd];
    const expected = crowd?.at[cursor?.member ?? 0];
    if (cursor === undefined || crowd === undefined || expected === undefined) return false;
    if (piece.name(at) !== crowd.piece.name(expected) || !piece.sameUpper(at, crowd.piece, expected)) return false;
    cursor.member += 1;
    if (cursor.member === crowd.at.length) [cursor.crowd, cursor.member] = [cursor.crowd + 1, 0];
    return true;
  }
  private meetsListed(piece: WalkPiece, at: number): boolean {
    const path = piece.path(at);
    const entry = this.listed.get(path);
    return entry !== undefined && this.listed.delete(path) && isSameObject(piece.upper(at), entry.stat);
  }
  /** Entries come directory by directory. */
  private cursorIn(dir: Bytes): Cursor | undefined {
    if (this.last?.dir !== dir) this.last = { dir, cursor: this.packed.get(dir) };
    return this.last.cursor;
  }
}
