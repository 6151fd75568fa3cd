import type { Bytes } from '../bytes.js';
import type { ChangeKind, Conflict, FileType } from './change.js';

/** A path that landed, with all that is in it when it is a new or a deleted directory. */
export interface Landed {
  readonly path: Bytes;
  readonly kind: ChangeKind;
  readonly type: FileType;
  /** `layer`: the host is as it was, what the agent has there was dropped, or given back by an undo */
  readonly side: 'host' | 'layer';
  /** how many other changes are below it and landed with it */
  readonly inside: number;
  /** bits and capabilities that were taken off: `setuid`, `setgid`, `capabilities` */
  readonly stripped: readonly string[];
}

/** What landed, made path by path: there may be a million. */
export interface LandedPaths extends Iterable<Landed> {
  readonly length: number;
}

export const NO_LANDED: LandedPaths = [];

/** A selected path that did not land, and is still a change of the sandbox. */
export interface Refused {
  readonly path: Bytes;
  /**
   * `conflict` the host's version is not what the agent started from;
   * `permission` the caller may not; `special` a device, socket or unasked FIFO;
   * `failed` any other error of the kernel; `with` a path that it belongs to was refused
   */
  readonly why: 'conflict' | 'permission' | 'special' | 'failed' | 'with';
  readonly conflict: Conflict | null;
  /** errno name, when the kernel refused */
  readonly code: string | null;
  /** for people */
  readonly text: string;
}

/** Number of landed changes by kind; a rename is an `add` and a `delete`. */
export interface Counts {
  readonly add: number;
  readonly modify: number;
  readonly delete: number;
  readonly type: number;
  readonly metadata: number;
}

/** What a commit or an undo did. */
export interface CommitResult {
  /** null when nothing was to be done */
  readonly id: string | null;
  /** `rolled-back`: an error such as ENOSPC; the host is as it was */
  readonly state: 'landed' | 'rolled-back' | 'nothing';
  readonly digest: string;
  readonly landed: LandedPaths;
  readonly refused: readonly Refused[];
  readonly counts: Counts;
  /** why it was rolled back */
  readonly error: { readonly code: string; readonly path: Bytes | null; readonly text: string } | null;
}

/** The result of a commit that had nothing to do, or was refused all of it; it has no id and leaves nothing in the store. */
export function nothing({ digest }: { readonly digest: string }, refused: readonly Refused[]): CommitResult {
  const counts = { add: 0, modify: 0, delete: 0, type: 0, metadata: 0 };
  return { id: null, state: 'nothing', digest, landed: NO_LANDED, refused, counts, error: null };
}

/** Exit status of the command: 3 beats 1 beats 0. */
export function commitStatus(result: Pick<CommitResult, 'state' | 'refused'>): 0 | 1 | 3 {
  if (result.refused.some((refused) => refused.why === 'conflict')) return 3;
  return result.state === 'rolled-back' || result.refused.length > 0 ? 1 : 0;
}
