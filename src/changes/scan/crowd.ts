import { joinBytes, type Bytes } from '../../bytes.js';
import type { UsualKind, WalkPiece } from '../../kernel/kernel.js';
import type { Layer } from '../../sandbox/sandbox.js';

/**
 * Usual changes of one kind in one directory, still packed: an object for each
 * of very many would cost more than all that is done with most of them.
 */
export interface Crowd {
  readonly layer: Layer;
  /** index of the layer */
  readonly index: number;
  readonly dir: Bytes;
  /** of the directory, relative to the layer */
  readonly path: Bytes;
  readonly kind: UsualKind;
  readonly piece: WalkPiece;
  /** their places in the piece, by name */
  readonly at: readonly number[];
}

/** The path of a member. */
export function pathAt({ dir, piece }: Crowd, at: number): Bytes {
  return joinBytes(dir, piece.name(at));
}

/** What such a member's `sizeOf` is in src/changes/scan/rename.ts. */
export function sizeAt({ kind, piece }: Crowd, at: number): number {
  return kind === 'delete' ? piece.baseSize(at) : piece.upperSize(at);
}

/** What a change that stands for others too says of these. */
export interface Following {
  readonly count: number;
  /** of content that lands */
  readonly bytes: number;
  readonly crowd: Crowd;
}

/** How many changes it stands for. */
export function weightOf({ crowd }: { readonly crowd?: Following | undefined }): number {
  return crowd === undefined ? 1 : crowd.count + 1;
}
