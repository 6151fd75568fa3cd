import type { Bytes } from '../bytes.js';
import type { AuditAnchor } from '../audit/chain.js';
import type { Group } from '../kernel/cgroup.js';

/** docs/store.md, Formats. */
export type SandboxState = 'starting' | 'running' | 'stopped' | 'unclean' | 'committed' | 'discarded';

/** What the sandbox wrote over one host directory. */
export interface Layer {
  readonly id: number;
  /** the host directory it lies over, absolute */
  readonly base: Bytes;
  /** absolute directory that holds `upper/`, `work/` and perhaps `shim/` */
  readonly dir: Bytes;
  readonly family: 'user' | 'trusted';
  /** paths below `base` (relative) that other mounts cover: not part of this layer */
  readonly covered: readonly Bytes[];
  /** lower is a stand-in (`dir/skeleton`) because the host directory has mounts below it */
  readonly skeleton: boolean;
  /** what its top directory was made as, when it was; absent in records of earlier versions */
  readonly top?: LayerTop | undefined;
  /** nothing was changed in it when the newest run ended: so nothing is lost with its directory */
  readonly bare?: true;
}

/** Mode and owner, null for the owner that whoever makes it has; what it was made with of ACLs and other attributes (`attributesOf`). */
export interface LayerTop {
  readonly mode: number;
  readonly uid: number | null;
  readonly gid: number | null;
  /** absent in records of earlier versions */
  readonly attributes?: string | undefined;
  /** the host's directory that it lies over, to know it again (`objectAt`); absent in records of earlier versions */
  readonly over?: string | undefined;
}

/** One limit of a run, and what holds it: a control group, the kernel per process or namespace, or the supervisor's eye. */
export interface Limit {
  readonly name: 'memory' | 'pids' | 'cpu' | 'layer' | 'inodes' | 'time';
  /** bytes, tasks, processors, bytes, files, seconds */
  readonly value: number;
  readonly by: 'group' | 'rlimit' | 'watch';
}

/** `sandbox.json`, version 1. Byte paths are stored as in docs/store.md. */
export interface SandboxRecord {
  readonly version: 1;
  readonly tag: string;
  readonly state: SandboxState;
  readonly mode: 'user' | 'root';
  readonly argv: readonly Bytes[];
  readonly cwd: Bytes;
  /** ISO 8601 UTC */
  readonly created: string;
  readonly started: string;
  readonly stopped: string | null;
  /** ctime in ns of the marker made at the first start: a base object whose ctime is at or after it is host-changed */
  readonly t0: bigint;
  /** /proc/sys/kernel/random/boot_id at start */
  readonly bootId: string;
  readonly layers: readonly Layer[];
  /** host pid and start time (field 22 of /proc/PID/stat) of the running driver and init */
  readonly driver: { readonly pid: number; readonly start: string } | null;
  readonly init: { readonly pid: number; readonly start: string } | null;
  readonly exit: { readonly code: number } | { readonly signal: number } | null;
  /** what is not enforced, by name; `accepted` by the user (--accept-degraded) */
  readonly degraded: readonly { readonly name: string; readonly why: string; readonly accepted?: boolean }[];
  readonly net: 'off' | 'allow' | 'ask' | 'deny';
  /** mounts that are read-only, private, hidden or skipped in the view, for `status` */
  readonly mounts: readonly { readonly path: Bytes; readonly decision: string; readonly why: string }[];
  readonly durable: boolean;
  /** of the newest run, with its control groups while it runs; absent where nothing is limited */
  readonly limits?: readonly Limit[];
  readonly groups?: readonly Group[];
  /** the limit that ended the newest run, as a sentence; absent when none did */
  readonly limited?: string;
  /** how far its audit log had come; absent in records of earlier versions */
  readonly audit?: AuditAnchor;
  /** of the newest run; absent in records of before there were policies */
  readonly policy?: { readonly digest: string; readonly profile: string; readonly version: string | null };
}
