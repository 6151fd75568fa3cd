import type { Bytes } from '../../bytes.js';
import { usageError } from '../../errors.js';
import type { SandboxRecord } from '../../sandbox/sandbox.js';
import { sandboxDir, type Store } from '../../sandbox/store.js';
import { readBase, readBases, type CapturedBase } from '../base.js';
import type { JudgedChange } from '../change.js';
import type { ContentReader } from '../content.js';
import type { Composed } from '../plan/draft.js';
import type { Gathered } from '../gather.js';
import { gitPartOf } from '../git/dir.js';
import { bareRepositories } from '../git/needs.js';
import { composeHunks, hunksOf, type Hunk, type HunkFile } from '../hunks.js';
import { mergeText, MERGE_REFUSALS } from './merge.js';

/** Larger files are taken whole or not at all. */
const LARGE = 8 * 1024 * 1024;

/** The hunks of a change, where it has some: a text file that both sides have. */
export function hunkFileOf(change: JudgedChange, contents: ContentReader): HunkFile | null {
  const sides = sidesOf(change, contents);
  if (sides === null || sides.before.includes(0) || sides.after.includes(0)) return null;
  return hunksOf(change.path, sides.before, sides.after);
}

function sidesOf(change: JudgedChange, contents: ContentReader): { readonly before: Buffer; readonly after: Buffer } | null {
  if (change.kind !== 'modify' || change.type !== 'file' || !change.content) return null;
  const before = contents.read(change, 'base', LARGE);
  const after = contents.read(change, 'upper', LARGE);
  return before === null || after === null ? null : { before, after };
}

/** The host's version with the chosen hunks, and with its metadata; what isn't taken stays a change of the sandbox. */
export function composedOf(change: JudgedChange, contents: ContentReader, chosen: readonly Hunk[]): Composed {
  const before = contents.read(change, 'base', LARGE);
  if (before === null || change.base === null) throw usageError('A file with chosen hunks can’t be read any more.', 'Look at it again: agentfw diff');
  return { content: composeHunks(before, chosen), consume: false, meta: change.base };
}

/** For `--hunk ID`: what each file takes. Every id must be known. */
export function chooseHunks(gathered: Gathered, ids: readonly string[]): ReadonlyMap<Bytes, Composed> {
  const left = new Set(ids);
  const composed = new Map<Bytes, Composed>();
  if (left.size === 0) return composed;
  for (const change of gathered.single) {
    const chosen = hunkFileOf(change, gathered.contents)?.hunks.filter(({ id }) => left.has(id)) ?? [];
    for (const { id } of chosen) left.delete(id);
    if (chosen.length > 0) composed.set(change.path, composedOf(change, gathered.contents, chosen));
  }
  if (left.size > 0) throw usageError(`There is no hunk ${[...left].join(', ')}`, 'Number them anew: agentfw diff --json --hunks');
  return composed;
}

/** What merging a conflict came to. */
export interface MergeNote {
  readonly path: Bytes;
  readonly outcome: 'clean' | 'markers' | 'conflicts' | 'refused';
  /** why it was refused, for people */
  readonly why: string | null;
}

/** Contents made of two versions, by absolute path, and what is to be told of each. */
export interface Merges {
  readonly composed: ReadonlyMap<Bytes, Composed>;
  readonly notes: readonly MergeNote[];
}

/** Three-way merges of the text files that both sides changed. `markers`: unclean ones too. */
export function mergeConflicts(store: Store, record: SandboxRecord, options: { readonly gathered: Gathered; readonly markers: boolean }): Merges {
  const dir = sandboxDir(store, record.tag);
  const bases = readBases(store.kernel, dir);
  const composed = new Map<Bytes, Composed>();
  const notes: MergeNote[] = [];
  const bare = bareRepositories(options.gathered.single);
  for (const change of options.gathered.single) {
    const sides = change.conflict === 'changed' ? sidesOf(change, options.gathered.contents) : null;
    if (sides === null) continue;
    // Lines of both sides, or markers between them, are no reference and no log of one.
    const part = gitPartOf(change.path, bare)?.part;
    if (part === 'refs' || part === 'logs') {
      notes.push({ path: change.path, outcome: 'refused', why: 'git keeps it: what merges is commits' });
      continue;
    }
    const captured = bases.get(change.path);
    if (captured?.state !== 'file') {
      notes.push({ path: change.path, outcome: 'refused', why: 'its first version was not captured' });
      continue;
    }
    const base = readBase(store.kernel, dir, captured, LARGE);
    if (base === null) {
      notes.push({ path: change.path, outcome: 'refused', why: captured.size > LARGE ? MERGE_REFUSALS.large : 'its first version can no longer be read' });
      continue;
    }
    const meta = mergedMeta(change, captured);
    if (meta === null) {
      notes.push({ path: change.path, outcome: 'refused', why: 'both sides changed its mode, owner or attributes' });
      continue;
    }
    const merged = mergeText({ base, host: sides.before, sandbox: sides.after, name: record.tag });
    if (merged.kind === 'refused') notes.push({ path: change.path, outcome: 'refused', why: MERGE_REFUSALS[merged.why] });
    else {
      const take = merged.kind === 'clean' || options.markers;
      if (take) composed.set(change.path, { content: merged.content, consume: true, meta });
      notes.push({ path: change.path, outcome: merged.kind === 'clean' ? 'clean' : options.markers ? 'markers' : 'conflicts', why: null });
    }
  }
  return { composed, notes };
}

/** Three-way as well: what one side changed counts. Null: both did, or nobody knows who. */
function mergedMeta({ base: host, upper: agent, meta }: JudgedChange, first: CapturedBase): NonNullable<Composed['meta']> | null {
  if (host === null || agent === null || meta.includes('xattr') || meta.includes('acl')) return null;
  const mode = oneOf([first.mode, host.mode, agent.mode]);
  const uid = oneOf([first.uid, host.uid, agent.uid]);
  const gid = oneOf([first.gid, host.gid, agent.gid]);
  return mode === null || uid === null || gid === null ? null : { mode, uid, gid };
}

function oneOf([first, host, agent]: readonly [number, number, number]): number | null {
  if (host === agent || agent === first) return host;
  return host === first ? agent : null;
}
