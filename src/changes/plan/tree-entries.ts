import type { Bytes } from '../../bytes.js';
import type { Stat } from '../../kernel/kernel.js';
import type { FileType, JudgedChange } from '../change.js';
import type { Crowd } from '../scan/crowd.js';
import { relativeTo } from './step.js';

/** An entry below a new directory. */
export interface Entry {
  /** relative to that directory */
  readonly path: Bytes;
  readonly type: FileType;
  readonly stat: Stat;
  readonly target: Bytes | null;
  /** it has file capabilities */
  readonly capable?: boolean | undefined;
}

/** Files of one directory below the new one that are usual in every way: one name, no set-id bits, no capabilities. */
export interface PackedFiles {
  /** relative to the new directory; '' for itself */
  readonly dir: Bytes;
  readonly crowd: Crowd;
}

/** All that is in a new directory, parents first; usual files stay packed, as there may be a million. */
export class TreeEntries {
  readonly length: number;

  constructor(readonly listed: readonly Entry[], readonly packed: readonly PackedFiles[] = []) {
    this.length = packed.reduce((sum, { crowd }) => sum + crowd.at.length, listed.length);
  }
  *[Symbol.iterator](): Generator<Entry> {
    yield* this.listed;
    for (const { dir, crowd: { piece, at: members } } of this.packed) {
      for (const at of members) {
        const name = piece.name(at);
        yield { path: (dir === '' ? name : `${dir}/${name}`) as Bytes, type: 'file', stat: piece.upper(at), target: null };
      }
    }
  }
}

/** What of a new directory lands with it. */
export function treeEntries(anchor: JudgedChange, members: readonly JudgedChange[]): TreeEntries {
  const entries: Entry[] = [];
  const packed: PackedFiles[] = [];
  for (const { path, type, upper, target, kind, capable, crowd } of members) {
    if (kind === 'delete' || upper === null) continue;
    entries.push({ path: relativeTo(anchor.path, path), type, stat: upper, target, capable });
    if (crowd !== undefined) packed.push({ dir: relativeTo(anchor.path, crowd.crowd.dir), crowd: crowd.crowd });
  }
  // Parents first: a path sorts after its own prefix.
  return new TreeEntries(entries.sort((a, b) => (a.path < b.path ? -1 : 1)), packed);
}
