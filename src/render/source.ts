import type { Bytes } from '../bytes.js';
import type { Change } from '../changes/change.js';
import type { ContentReader } from '../changes/content.js';

/** Where renderers get contents from; they open nothing themselves. */
export type ContentSource = Pick<ContentReader, 'read' | 'chunks'>;

/** A change that a format can't hold, and why, for people. */
export interface Omitted {
  readonly path: Bytes;
  readonly why: string;
}

/** True for what moved along with a renamed directory, unchanged. */
export function movedAlong(change: Change): boolean {
  return change.kind === 'rename' && change.implied;
}
