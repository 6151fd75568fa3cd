import type { Bytes } from '../bytes.js';
import type { FirstLook, LineCounts, Stat } from '../kernel/kernel.js';
import type { Following } from './scan/crowd.js';

/** How a view differs from the base at a path. */
export type ChangeKind = 'add' | 'modify' | 'delete' | 'type' | 'metadata' | 'rename';
/** By `S_IFMT` of stat(2). */
export type FileType = 'file' | 'dir' | 'symlink' | 'fifo' | 'socket' | 'char' | 'block';
/** `normal`; `later` runs code later; `control` runs on the host without further action */
export type RiskClass = 'normal' | 'later' | 'control';
/** What the policy says of a change. */
export type Verdict = 'commit' | 'discard' | 'escalate';
/** docs/commit.md, Conflicts. */
export type Conflict = 'changed' | 'deleted' | 'created' | 'type' | 'parent' | 'permission' | 'uncaptured' | 'hidden';

/** Where the agent's version of a path lies. */
export interface LayerRef {
  /** index into `SandboxRecord.layers` */
  readonly layer: number;
  /** relative to the layer's upper directory */
  readonly path: Bytes;
}

/** The host's file that a new name of the agent is a hard link to. */
export interface HostLink {
  /** absolute */
  readonly path: Bytes;
  /** as it is now */
  readonly base: Stat;
  /** the agent changed nothing in it */
  readonly same: boolean;
}

/** One difference of a view against the base as it is now. */
export interface Change {
  /** absolute path in the view and on the host */
  readonly path: Bytes;
  readonly kind: ChangeKind;
  /**
   * `rename` only: the old absolute path. The scan finds renames of directories
   * (root mode): then the change of the directory itself is what happens, and
   * `implied` ones list what moves along unchanged, with `upper` equal to `base`.
   */
  readonly from: Bytes | null;
  /** type after the change; before it for a deletion */
  readonly type: FileType;
  /** type before, when it differs (`kind: type`) */
  readonly oldType: FileType | null;
  /** the agent's version; null for a deletion */
  readonly upper: Stat | null;
  /** the host's version now; null when there is none */
  readonly base: Stat | null;
  /** of an implied change: what implies it, a whiteout or the agent's directory or file above it */
  readonly at: LayerRef;
  /** absolute path of `base` when a directory above was renamed; else it is `path` */
  readonly basePath?: Bytes | undefined;
  /**
   * A directory of the agent that replaces the host's of the same name instead
   * of merging with it: `modify` when that hides something of the host's (each
   * thing is an implied deletion), `metadata` when only its own metadata differ.
   */
  readonly opaque: boolean;
  /** the layer's entry has the overlay's origin mark: it came up from some base, not always of this path */
  readonly copiedUp?: boolean | undefined;
  /** the layer's entry has no extended attribute at all */
  readonly plain?: boolean | undefined;
  /** the agent's version has file capabilities */
  readonly capable?: boolean | undefined;
  /** value of the layer's entry's one extended attribute, the overlay's origin mark */
  readonly origin?: Bytes | null | undefined;
  /** hidden by an opaque or replaced ancestor, or below a deleted directory */
  readonly implied: boolean;
  /** of a symlink: its target, before it for a deletion */
  readonly target: Bytes | null;
  /** which metadata differ, for `modify` and `metadata` */
  readonly meta: readonly ('mode' | 'owner' | 'xattr' | 'acl')[];
  /** a further name of this file of the host */
  readonly link?: HostLink | undefined;
  /** content differs */
  readonly content: boolean;
  /** what the walk saw of the agent's version; absent or null: look at the contents */
  readonly look?: FirstLook | null | undefined;
  /** the directory of `path`, if no rule of the policy or of the classes can be about its name */
  readonly ordinaryIn?: Bytes | undefined;
  /** lines, where the scan was asked to count them */
  readonly lines?: LineCounts | null | undefined;
  /** further changes that all is alike for but name, size and lines; where crowds were asked for */
  readonly crowd?: Following | undefined;
}

/** A change with everything that was decided of it. */
export interface JudgedChange extends Change {
  readonly class: RiskClass;
  /** why the class is not normal, e.g. `git hook` */
  readonly reason: string | null;
  readonly conflict: Conflict | null;
  /** null until a policy judged it */
  readonly verdict: Verdict | null;
  readonly rule: string | null;
}
