import { isText, toBuffer, toText, type Bytes } from '../bytes.js';
import type { ChangeKind, Conflict, FileType, JudgedChange, RiskClass, Verdict } from '../changes/change.js';
import { namesOf } from '../changes/scan/hostlink.js';
import type { Summary } from './summary.js';

/** One change of `diff --json`. Paths are absolute; `…Bytes` (base64) is there only when a path is not UTF-8. */
export interface ChangeJson {
  readonly path: string;
  readonly pathBytes?: string;
  readonly kind: ChangeKind;
  readonly from: string | null;
  readonly fromBytes?: string;
  readonly type: FileType;
  readonly oldType: FileType | null;
  readonly target: string | null;
  readonly targetBytes?: string;
  /** the file of the host that it is a further name of */
  readonly link: string | null;
  readonly linkBytes?: string;
  /** how many names the host's file has, where it has several: what lands is in all of them */
  readonly names: number | null;
  readonly class: RiskClass;
  readonly reason: string | null;
  readonly verdict: Verdict | null;
  readonly rule: string | null;
  readonly conflict: Conflict | null;
  /** comes with the deletion, replacement or renaming of a directory above */
  readonly implied: boolean;
  readonly opaque: boolean;
  readonly meta: JudgedChange['meta'];
  readonly content: boolean;
  readonly binary: boolean | null;
  readonly added: number | null;
  readonly removed: number | null;
  /** bytes after the change; before it for a deletion; null for what has no content */
  readonly size: number | null;
  /** four octal digits, after the change; before it for a deletion */
  readonly mode: string | null;
  readonly oldMode: string | null;
}

/** How many changes of each kind, class and verdict; verdicts are null until a policy judged. */
export interface CountsJson extends Record<ChangeKind | RiskClass, number> {
  readonly total: number;
  readonly conflicts: number;
  readonly commit: number | null;
  readonly discard: number | null;
  readonly escalate: number | null;
}

/** The object of `diff --json`. */
export interface DiffJson {
  readonly version: 1;
  readonly tag: string;
  readonly digest: string | null;
  readonly changes: readonly ChangeJson[];
  readonly counts: CountsJson;
}

/** What `diff --json` tells of. */
export interface DiffJsonInput {
  readonly tag: string;
  /** of the plan that would land them; null where none was made */
  readonly digest: string | null;
  readonly changes: readonly JudgedChange[];
  readonly summaryOf: (change: JudgedChange) => Summary;
}

/** Pure. */
export function diffJson({ tag, digest, changes, summaryOf }: DiffJsonInput): DiffJson {
  return {
    version: 1,
    tag,
    digest,
    changes: changes.map((change) => changeJson(change, summaryOf(change))),
    counts: countsOf(changes),
  };
}

/** One element of `changes`, for those who write them one by one. */
export function changeJson(change: JudgedChange, summary: Summary): ChangeJson {
  const now = change.upper ?? change.base;
  const replaced = change.upper === null || change.kind === 'add' ? null : change.base;
  return {
    path: toText(change.path),
    ...bytesField('pathBytes', change.path),
    kind: change.kind,
    from: change.from === null ? null : toText(change.from),
    ...bytesField('fromBytes', change.from),
    type: change.type,
    oldType: change.oldType,
    target: change.target === null ? null : toText(change.target),
    ...bytesField('targetBytes', change.target),
    link: change.link === undefined ? null : toText(change.link.path),
    ...bytesField('linkBytes', change.link?.path ?? null),
    names: namesOf(change),
    class: change.class,
    reason: change.reason,
    verdict: change.verdict,
    rule: change.rule,
    conflict: change.conflict,
    implied: change.implied,
    opaque: change.opaque,
    meta: change.meta,
    content: change.content,
    ...summary,
    size: change.type === 'file' || change.type === 'symlink' ? (now?.size ?? null) : null,
    mode: modeText(now?.mode),
    oldMode: modeText(replaced?.mode),
  };
}

function bytesField<K extends string>(key: K, bytes: Bytes | null): Partial<Record<K, string>> {
  if (bytes === null || isText(bytes)) return {};
  return { [key]: toBuffer(bytes).toString('base64') } as Partial<Record<K, string>>;
}

function modeText(mode: number | undefined): string | null {
  return mode === undefined ? null : (mode & 0o7777).toString(8).padStart(4, '0');
}

/** The counts alone, as other commands show them. */
export function countsOf(changes: readonly JudgedChange[]): CountsJson {
  const counts = { total: 0, add: 0, modify: 0, delete: 0, type: 0, metadata: 0, rename: 0, normal: 0, later: 0, control: 0, conflicts: 0 };
  const verdicts = { commit: 0, discard: 0, escalate: 0 };
  let judged = false;
  for (const change of changes) {
    counts.total += 1;
    counts[change.kind] += 1;
    counts[change.class] += 1;
    if (change.conflict !== null) counts.conflicts += 1;
    if (change.verdict === null) continue;
    verdicts[change.verdict] += 1;
    judged = true;
  }
  return { ...counts, ...(judged ? verdicts : { commit: null, discard: null, escalate: null }) };
}
