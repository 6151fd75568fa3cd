import { joinBytes, toText, type Bytes } from '../bytes.js';
import { AgentfwError, type FailureStatus } from '../errors.js';
import { uninterrupted } from '../kernel/interrupts.js';
import { AT_FDCWD, type Kernel } from '../kernel/kernel.js';
import { requireBases, requireVaults } from './apply/bases.js';
import { withCommitLock } from './journal/commit-lock.js';
import { conclude, takenBack } from './journal/conclude.js';
import { nodeDisk } from './apply/disk.js';
import { closeJournal, readHeader, readJournal, reopenJournal, type Header, type Journal } from './journal/journal.js';
import { unfinished } from './journal/unfinished.js';
import type { CommitResult } from './result.js';
import { closeDirs, openDirs, type OpenDirs } from './apply/open-dirs.js';
import { runBackward, runForward, type Running } from './apply/run.js';
import type { Hooks, StoreContext } from './store-context.js';
import { commitDir, removeNear, removeVaults, vaultDirs } from './vault/vault.js';

/** What became of a commit that a crash had left. */
export interface Recovered {
  readonly id: string;
  /** its sandbox, whose layers it is about; null: not even that is known */
  readonly tag: string | null;
  /** `discarded` before the commit point; `blocked`: an error stands in the way, try again */
  readonly outcome: 'finished' | 'rolled-back' | 'discarded' | 'blocked';
  readonly result: CommitResult | null;
  readonly error: string | null;
}

/** What follows has to wait for this one. */
export function unfinishedError({ id, error }: Pick<Recovered, 'id' | 'error'>, status: FailureStatus = 1): AgentfwError {
  return new AgentfwError('AFW_UNFINISHED', `An earlier commit ${id} is unfinished${error === null ? '' : `: ${error}`}`, {
    status,
    hint: 'Remove what stands in the way, then run agentfw recover',
  });
}

/** Finishes or rolls back what a crash left. Cheap when there is nothing. */
export function recoverAll(ctx: StoreContext, hooks: Hooks = {}): readonly Recovered[] {
  if (unfinished(ctx).length === 0) return [];
  return withCommitLock(ctx, hooks, () => recoverLocked(ctx, hooks));
}

/** The same with the locks held. */
export function recoverLocked(ctx: StoreContext, hooks: Hooks): readonly Recovered[] {
  return unfinished(ctx).map((id) => {
    try {
      return recoverOne(ctx, id, hooks);
    } catch (error) {
      return { id, tag: tagOf(ctx, id), outcome: 'blocked', result: null, error: error instanceof Error ? error.message : String(error) };
    }
  });
}

/** Of a commit that may not be readable at all. */
function tagOf({ kernel, stateDir }: StoreContext, id: string): string | null {
  try {
    return readHeader(kernel, commitDir(stateDir, id))?.tag ?? null;
  } catch {
    return null;
  }
}

function recoverOne(ctx: StoreContext, id: string, hooks: Hooks): Recovered {
  const { kernel, stateDir } = ctx;
  const journal = readJournal(kernel, commitDir(stateDir, id));
  if (journal === null) {
    // Not even a header: nothing was made but the commit's own directories.
    requireUnbegun(kernel, stateDir, { id, roots: [] });
    removeVaults(kernel, stateDir, [], id);
    return { id, tag: null, outcome: 'discarded', result: null, error: null };
  }
  const dirs = openDirs(kernel, journal.header.roots);
  try {
    requireVaults(kernel, journal.header);
    requireBases(kernel, journal);
    if (journal.state !== 'draft') return uninterrupted(() => carryOn({ ctx, hooks, dirs, id }, journal));
    requireUnbegun(kernel, stateDir, journal.header);
    removeNear(dirs, journal.drafts);
    removeVaults(kernel, stateDir, dirs.roots, id);
    return { id, tag: journal.header.tag, outcome: 'discarded', result: null, error: null };
  } finally {
    closeDirs(dirs);
  }
}

/** What a commit replaced is moved there after its commit point: then a journal that says nothing of that is a damaged one. */
function requireUnbegun(kernel: Kernel, stateDir: Bytes, { id, roots }: Pick<Header, 'id' | 'roots'>): void {
  for (const dir of new Set([commitDir(stateDir, id), ...vaultDirs(roots)])) {
    if (kernel.statOrNull(AT_FDCWD, joinBytes(dir, 'old' as Bytes)) === null) continue;
    throw new AgentfwError('AFW_COMMIT_BROKEN', `Its journal is damaged, and ${toText(dir)} keeps what it replaced: move that directory away, and take from it what you need.`);
  }
}

interface Recovering {
  readonly ctx: StoreContext;
  readonly hooks: Hooks;
  readonly dirs: OpenDirs;
  readonly id: string;
}

function carryOn({ ctx, hooks, dirs, id }: Recovering, journal: Journal): Recovered {
  const { header, steps, unmark, emptied, lends } = journal;
  const writer = reopenJournal(ctx.kernel, commitDir(ctx.stateDir, id), { disk: ctx.disk, end: journal.end });
  const disk = ctx.disk ?? nodeDisk;
  const refused = new Map(journal.refused);
  const running: Running = { dirs, writer, steps, unmark, emptied, lends, refused, hooks, disk, keepSpecial: header.keepSpecial, isFresh: false };
  try {
    const cause = { code: 'EABORTED', path: null, text: 'an earlier error' };
    const error =
      journal.state === 'aborted' ? runBackward(running, cause) : journal.state === 'committed' ? runForward(running) : null;
    if (error !== null) {
      const result = takenBack(ctx, { header, running, refused: [], error });
      return { id, tag: header.tag, outcome: 'rolled-back', result, error: error.text };
    }
    const result = conclude(ctx, { header, running, isLater: journal.state === 'done', refused: [] });
    return { id, tag: header.tag, outcome: 'finished', result, error: null };
  } finally {
    closeJournal(ctx.kernel, writer);
  }
}
