import type { Bytes } from '../../bytes.js';
import type { CompiledPolicy, CompiledRule } from '../../policy/compiled.js';
import { mergedStateRule, mergesState } from '../../policy/judge.js';
import { mergeState, type StateMerge } from '../../policy/state.js';
import type { SandboxRecord } from '../../sandbox/sandbox.js';
import { sandboxDir, type Store } from '../../sandbox/store.js';
import { readBase, readBases, type Bases } from '../base.js';
import type { JudgedChange } from '../change.js';
import type { ContentReader } from '../content.js';

/** An agent's state file that is merged key by key with the host's. */
export interface StateFile {
  /** null: it can't be merged, so that what it starts is not known; then it waits as a whole */
  readonly merge: StateMerge | null;
  readonly rule: CompiledRule;
  /** the host has all of it that may land by itself */
  readonly settled: boolean;
}

const LARGE = 32 * 1024 * 1024;

interface Sources {
  readonly store: Store;
  readonly record: SandboxRecord;
  readonly policy: CompiledPolicy;
  readonly contents: ContentReader;
}

/** By path: state files that may have keys that start programs. */
export function stateFilesOf(sources: Sources, changes: readonly JudgedChange[]): ReadonlyMap<Bytes, StateFile> {
  const found = new Map<Bytes, StateFile>();
  if (!mergesState(sources.policy)) return found;
  let bases: Bases | null = null;
  for (const change of changes) {
    if (change.type !== 'file' || change.upper === null || !change.content || change.conflict === 'hidden') continue;
    const rule = mergedStateRule(sources.policy, change);
    if (rule === undefined) continue;
    bases ??= readBases(sources.store.kernel, sandboxDir(sources.store, sources.record.tag));
    const merge = mergedOf(sources, change, rule, bases);
    found.set(change.path, { merge: merge?.merge ?? null, rule, settled: merge?.settled ?? false });
  }
  return found;
}

function mergedOf(sources: Sources, change: JudgedChange, rule: CompiledRule, bases: Bases): { readonly merge: StateMerge; readonly settled: boolean } | null {
  const { contents } = sources;
  const agent = contents.read(change, 'upper', LARGE)?.toString('utf8');
  const host = change.base === null ? null : contents.read(change, 'base', LARGE)?.toString('utf8');
  if (agent === undefined || host === undefined) return null;
  const captured = capturedText(sources, change.path, bases);
  // Without a captured base the host's file is what the agent started from, unless somebody changed it.
  const merge = mergeState({ base: captured ?? (change.conflict === null ? host : null), host, agent, keys: rule.keys });
  return merge === null ? null : { merge, settled: merge.text === host };
}

function capturedText({ store, record }: Sources, path: Bytes, bases: Bases): string | null {
  const captured = bases.get(path);
  if (captured?.state !== 'file') return null;
  return readBase(store.kernel, sandboxDir(store, record.tag), captured, LARGE)?.toString('utf8') ?? null;
}
