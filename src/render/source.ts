import { AgentfwError } from '../errors.js';
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

/** `what` of a running sandbox is not what it was when its beginning was written: that can't be taken back. */
export function notStill(what: string): AgentfwError {
  return new AgentfwError('AFW_NOT_STILL', `${what} changed while it was read.`, { hint: 'Try again, or hold the sandbox still meanwhile: agentfw freeze, then agentfw thaw' });
}
