import { AgentfwError } from '../errors.js';
import { growSlowly, optimiseLate } from '../kernel/optimise.js';
import { requireVaults } from './apply/bases.js';
import { applyLocked } from './apply.js';
import { holderOf, meaningsOf, surveyInfos, type BrokenCommit, type CommitInfo, type Survey } from './vault/commits.js';
import { withCommitLock } from './journal/commit-lock.js';
import { readJournal, type Journal } from './journal/journal.js';
import { recoverLocked, unfinishedError } from './recover.js';
import { isOfLayer } from './apply/refill.js';
import { nothing, type CommitResult } from './result.js';
import type { Hooks, StoreContext } from './store-context.js';
import type { Layered } from './git/undo.js';
import { sinceTheCommit } from './plan/refusal.js';
import { numbered } from './plan/step.js';
import { planUndo } from './undo/plan.js';
import { noCommit } from './vault/named.js';
import { commitDir } from './vault/vault.js';

/** As for a commit of as many: code is optimised late from here on, */
const SOME = 200;
/** and memory counts from here on. */
const MANY = 50_000;

/** The sandbox of a commit, as whoever undoes it holds it. `gone`: also when another one has its tag. */
export type Box = 'still' | 'running' | 'gone';

/** What is around a commit that is taken back. */
export interface Around {
  readonly box?: Box;
  /** of all sandboxes that there are */
  readonly layers?: readonly Layered[];
}

/**
 * Puts back what a commit replaced, as a commit of its own (I14). `id` null:
 * the newest commit that is landed, undos aside. Of one that was taken back and
 * landed again: what landed it again.
 */
export function undoCommit(ctx: StoreContext, id: string | null, hooks: Hooks = {}, { box = 'still', layers = [] }: Around = {}): CommitResult {
  return withCommitLock(ctx, hooks, () => {
    const blocked = recoverLocked(ctx, {}).find(({ outcome }) => outcome === 'blocked');
    if (blocked !== undefined) throw unfinishedError(blocked);
    const info = chosen(surveyInfos(ctx), id);
    const journal = readJournal(ctx.kernel, commitDir(ctx.stateDir, info.id));
    if (journal === null) throw new AgentfwError('AFW_COMMIT_BROKEN', `The journal of commit ${info.id} can't be read`);
    requireVaults(ctx.kernel, journal.header);
    if (box === 'running' && touchesLayer(journal)) throw running(info);
    if (journal.steps.length >= SOME) optimiseLate();
    if (journal.steps.length >= MANY) growSlowly();
    const closed = box === 'gone' ? 'the sandbox that it was dropped from is gone' : null;
    const plan = planUndo(ctx, info.id, { journal, closed, only: info.undoneBy === null ? null : new Set(info.left), meanings: meaningsOf(ctx, info.id), layers });
    const result = plan.steps.length === 0 ? nothing(plan, plan.refused) : applyLocked({ ctx, plan, hooks, tag: info.tag });
    return { ...result, refused: result.refused.map(sinceTheCommit) };
  });
}

type Info = Omit<CommitInfo, 'bytes'>;

function chosen({ commits, broken }: Survey<Info>, id: string | null): Info {
  const named =
    id === null
      ? commits.find(({ state, undoes, undoneBy }) => state === 'landed' && undoes === null && undoneBy === null)
      : commits.find((commit) => commit.id === id);
  if (named === undefined) {
    const damaged = broken.find((one) => id === null || one.id === id);
    if (damaged !== undefined) throw damaged.error;
    throw id === null ? new AgentfwError('AFW_NO_COMMIT', 'There is no commit to undo.', { hint: 'List them: agentfw log --commits' }) : noCommit(id);
  }
  const info = holderOf(commits, named);
  // Who knows what a later one was: it may have taken this one back, or be the newest itself.
  const later = broken.find((one) => !isOlder(one.id, info.id));
  if (later !== undefined) throw unknown(info, later);
  if (info.undoneBy !== null && info.left.length === 0) throw refusal(info, `is undone already, by ${info.undoneBy}`);
  if (info.state === 'pruned') throw refusal(info, 'was pruned: what it replaced is no longer kept');
  if (info.state !== 'landed') throw refusal(info, 'did not land');
  return info;
}

/** Ids sort by time; a name that is none of ours tells nothing. */
function isOlder(id: string, than: string): boolean {
  return /^[0-9a-z]{8,40}$/.test(id) && id < than;
}

function unknown({ id }: Info, later: BrokenCommit): AgentfwError {
  const hint = later.error instanceof AgentfwError ? later.error.hint : null;
  return new AgentfwError('AFW_COMMIT_BROKEN', `Commit ${id} may be taken back already: ${later.id}, which came after it, can't be read.`, {
    cause: later.error,
    ...(hint === null ? {} : { hint }),
  });
}

function touchesLayer({ header, steps, refused }: Journal): boolean {
  for (const [index, step] of numbered(steps)) if (!refused.has(index) && isOfLayer(header.roots, step)) return true;
  return false;
}

function running({ id, tag }: Info): AgentfwError {
  return new AgentfwError('AFW_RUNNING', `Sandbox ${tag} is running: what commit ${id} dropped can't go back into it now.`, {
    hint: `End it first: agentfw kill ${tag}`,
  });
}

function refusal({ id }: Info, why: string): AgentfwError {
  return new AgentfwError('AFW_NOT_UNDOABLE', `Commit ${id} ${why}`, { hint: 'List them: agentfw log --commits' });
}
