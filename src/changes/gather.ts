import { fromText, type Bytes } from '../bytes.js';
import { AT_FDCWD } from '../kernel/kernel.js';
import type { SandboxRecord } from '../sandbox/sandbox.js';
import type { Store } from '../sandbox/store.js';
import { bareRepositories } from './bare.js';
import type { Change, ChangeKind, JudgedChange, RiskClass } from './change.js';
import { classify, withClass, withStrictestClass } from './classify.js';
import { judgeConflicts } from './conflict.js';
import { openContents, type ContentReader } from './content.js';
import { commitContextOf } from './context.js';
import { orderChanges } from './order.js';
import { detectRenames } from './rename.js';
import { scan, type ScanInput } from './scan.js';

export type KindCounts = Readonly<Record<ChangeKind, number>>;

/** All changes of a sandbox, judged, in two forms. */
export interface Gathered {
  /** one for each object of the host that would change, in the order of the scan */
  readonly single: readonly JudgedChange[];
  /** the same with renames told as such: what people see */
  readonly shown: readonly JudgedChange[];
  /** what a rename of `shown` stands for in `single` */
  readonly parts: ReadonlyMap<JudgedChange, readonly JudgedChange[]>;
  readonly contents: ContentReader;
}

/** How far a scan looks into files, see `WalkOptions`. */
export type Look = NonNullable<ScanInput['look']>;

/** All changes of a sandbox against the host as it is now, in the order of the layers. */
export function changesOf(store: Store, record: SandboxRecord, look: Look = 'no'): Change[] {
  const { kernel, context } = store;
  return [...scan({ kernel, layers: record.layers, mode: record.mode, uid: context.uid, look })];
}

/** Scans, classifies, finds conflicts and renames, and orders. Close `contents` when done. */
export function gather(store: Store, record: SandboxRecord, look: Look = 'head'): Gathered {
  const changes = changesOf(store, record, look);
  const contents = openContents(store.kernel, record.layers);
  const bare = bareRepositories(changes, (path) => store.kernel.statOrNull(AT_FDCWD, path) !== null);
  const input = { workspace: record.cwd, home: homeOf(store), contents, bare };
  const classified = changes.map((change) => withClass(change, input));
  const single = judgeConflicts(commitContextOf(store, record), classified);
  const renames = detectRenames(single, { digestOf: contents.digest, join: joined });
  return { single, shown: orderChanges(renames.changes), parts: renames.parts, contents };
}

/** A rename says the worst of its parts. */
function joined(rename: JudgedChange, parts: readonly JudgedChange[]): JudgedChange {
  const conflict = parts.find((part) => part.conflict !== null)?.conflict ?? null;
  return { ...withStrictestClass(rename, parts), conflict };
}

/** What can be said of a sandbox in a moment, however much it changed. */
export interface Glance {
  readonly kinds: KindCounts;
  readonly classes: Readonly<Record<RiskClass, number>>;
  /** there are more changes than were looked at */
  readonly more: boolean;
}

/** Looks at no more than `most` changes: for the lines after a run, which must not make it slower. */
export function glance(store: Store, record: SandboxRecord, most: number): Glance {
  const { kernel, context } = store;
  const changes: Change[] = [];
  let more = false;
  for (const change of scan({ kernel, layers: record.layers, mode: record.mode, uid: context.uid })) {
    more = changes.length === most;
    if (more) break;
    changes.push(change);
  }
  const contents = openContents(kernel, record.layers);
  const input = { workspace: record.cwd, home: homeOf(store), contents };
  const classes = { normal: 0, later: 0, control: 0 };
  for (const change of changes) classes[classify(change, input).class] += 1;
  contents.close();
  return { kinds: countKinds(changes), classes, more };
}

function homeOf({ context }: Store): Bytes {
  const home = context.env['HOME'];
  return fromText(home?.startsWith('/') === true ? home : '/nonexistent');
}

export function countKinds(changes: Iterable<Change>): KindCounts {
  const counts = { add: 0, modify: 0, delete: 0, type: 0, metadata: 0, rename: 0 };
  for (const { kind } of changes) counts[kind] += 1;
  return counts;
}
