import type { Bytes } from '../bytes.js';
import type { Layer } from '../sandbox/sandbox.js';

/** One step of building the view; docs/driver-protocol.md says what the driver does with each. */
export type ViewOp =
  | { readonly op: 'dir'; readonly dst: Bytes; readonly mode: number }
  | { readonly op: 'symlink'; readonly target: Bytes; readonly dst: Bytes }
  | { readonly op: 'file'; readonly dst: Bytes; readonly mode: number; readonly content: Bytes }
  | { readonly op: 'bind'; readonly src: Bytes; readonly dst: Bytes; readonly write: boolean }
  | {
      readonly op: 'overlay';
      readonly dst: Bytes;
      readonly upper: Bytes;
      readonly work: Bytes;
      readonly options: readonly OverlayOption[];
      /** topmost first */
      readonly lowers: readonly Bytes[];
    }
  /** makes `paths` absent in the overlay of `base` that has `dst`, a directory of the host, as its topmost lower */
  | { readonly op: 'shim'; readonly dst: Bytes; readonly base: Bytes; readonly paths: readonly Bytes[] }
  | { readonly op: 'tmpfs'; readonly dst: Bytes; readonly mode: number; readonly size: number; readonly flags: readonly ('ro' | 'noexec')[] }
  | { readonly op: 'proc' | 'dev' | 'hide' | 'remount-ro'; readonly dst: Bytes };

/** docs/driver-protocol.md, `overlay`. */
export type OverlayOption = 'user' | 'trusted' | 'volatile' | 'nosuid' | 'noexec';

/**
 * What the view shows at a host mount: its content under a layer, the host's
 * own read-only, something of the sandbox's own, nothing, something harmless
 * in its place, nothing because it can't be reached, or the host's own for
 * writing.
 */
export type Decision = 'overlay' | 'read-only' | 'private' | 'hide' | 'stand-in' | 'skip' | 'passthrough';

/** What became of a path, and why, for people. */
export interface Decided {
  readonly path: Bytes;
  readonly decision: Decision;
  readonly why: string;
}

/** A layer and what has to be made for it before the start. */
export interface PlannedLayer extends Layer {
  /** mode of the upper directory: the base's, without write bits where the user can't write the base */
  readonly mode: number;
  /** owner of the upper directory in root mode; null: whoever makes it */
  readonly owner: { readonly uid: number; readonly gid: number } | null;
  /** it needs an empty directory `shim` for what is hidden in it */
  readonly shim: boolean;
  /** what stands in for the base's own entries when it has mounts below it */
  readonly skeletonEntries: readonly SkeletonEntry[];
}

/** An entry of a directory that was taken apart. */
export interface SkeletonEntry {
  readonly name: Bytes;
  /** `point`: an empty file, over which the host's own is laid */
  readonly kind: 'dir' | 'symlink' | 'file' | 'point';
  readonly mode: number;
}

/** A directory of the store that becomes writable in the view, and the mount points that it must have inside. */
export interface PrivateDir {
  /** below the sandbox's `private/` */
  readonly name: Bytes;
  readonly dst: Bytes;
  readonly mode: number;
  readonly inside: readonly { readonly path: Bytes; readonly kind: 'dir' | 'file'; readonly mode: number }[];
}

/** Something that must not be seen, and the rule that says so. The last name of the path is no symlink to follow. */
export interface Hidden {
  readonly path: Bytes;
  readonly rule: string;
  /** a file of the host that is shown, read-only, in its place */
  readonly standIn?: Bytes;
  /** it was looked for a moment ago, and isn't there */
  readonly absent?: boolean;
}

/** A file or directory of the host that has to be copied so that it belongs to the user. */
export interface StandIn {
  readonly from: Bytes;
  /** below the sandbox's `stand-ins/` */
  readonly name: Bytes;
}

/** The whole view: steps for the driver, and what has to be there for them. */
export interface ViewPlan {
  readonly ops: readonly ViewOp[];
  readonly layers: readonly PlannedLayer[];
  readonly privateDirs: readonly PrivateDir[];
  readonly standIns: readonly StandIn[];
  /** one for every host mount, in the order of mountinfo */
  readonly mounts: readonly Decided[];
  /** decisions on paths that are no mount points */
  readonly paths: readonly Decided[];
}

/** A host object as far as planning needs it; never follows a symlink. */
export interface HostStat {
  readonly type: 'dir' | 'file' | 'symlink' | 'other';
  /** permission bits */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
}

/** What the planner may ask of the host: answers, no effects. */
export interface HostFacts {
  /** null: there is none, or it can't be looked at */
  readonly lstat: (path: Bytes) => HostStat | null;
  /** null: it can't be listed */
  readonly list: (path: Bytes) => readonly Bytes[] | null;
  readonly readlink: (path: Bytes) => Bytes | null;
  readonly realpath: (path: Bytes) => Bytes | null;
  readonly readable: (path: Bytes) => boolean;
  /** the user may write it (access(2), so a read-only filesystem says no) */
  readonly writable: (path: Bytes) => boolean;
  /** the user may enter it: a directory that can be searched */
  readonly searchable: (path: Bytes) => boolean;
}

/** What a view is planned for. */
export interface ViewOptions {
  readonly mode: 'user' | 'root';
  readonly uid: number;
  readonly gid: number;
  /** real paths, all of them */
  readonly cwd: Bytes;
  readonly home: Bytes | null;
  /** trees that must be writable where they are, even below a private directory: project, home, git directories */
  readonly trees: readonly Bytes[];
  /** where the agent's program lies: as found and as resolved */
  readonly programs: readonly Bytes[];
  readonly stateDir: Bytes;
  /** the sandbox's own directory in the store */
  readonly sandboxDir: Bytes;
  readonly runtimeDir: Bytes | null;
  readonly hide: readonly Hidden[];
  /** existing real paths that can't be written, and the rule for each */
  readonly readonly: readonly { readonly path: Bytes; readonly rule: string }[];
  readonly passthrough: readonly { readonly path: Bytes; readonly why: string }[];
  readonly share: readonly Bytes[];
  readonly durable: boolean;
  /** with the network gate: what the agent finds instead of the host's name resolution, and what it may read of refusals */
  readonly gate?: GateView;
  /** host sockets that are brokered: real paths, and the driver's own socket that is shown there */
  readonly sockets: readonly { readonly path: Bytes; readonly source: Bytes; readonly rule: string }[];
  /** where sockets of the host are bound now */
  readonly hostSockets: readonly Bytes[];
  /** layers of an earlier run in this sandbox */
  readonly previous: readonly Layer[];
  /** where layer `id` of a base on another filesystem goes, given the root of its mount */
  readonly foreignLayerDir: (mountRoot: Bytes, id: number) => Bytes;
}

/** Files of the sandbox's own, shown read-only: at real paths of the host, and in place of the marker directory. */
export interface GateView {
  readonly files: readonly { readonly path: Bytes; readonly source: Bytes }[];
  readonly notes: Bytes;
}

/** Why no view can be planned; the caller turns it into the user's error. */
export class PlanError extends Error {
  override readonly name = 'PlanError';
  constructor(
    message: string,
    readonly hint: string,
  ) {
    super(message);
  }
}
