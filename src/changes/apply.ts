import { uninterrupted } from '../kernel/interrupts.js';
import { AT_FDCWD } from '../kernel/kernel.js';
import { afterwards, halfway } from './apply/afterwards.js';
import { withBases } from './apply/bases.js';
import { nodeDisk } from './apply/disk.js';
import type { Plan } from './plan/draft.js';
import { closeJournal, createJournal, writeDrafts, writeHeader, writeSteps, type Header } from './journal/journal.js';
import { withCommitLock } from './journal/commit-lock.js';
import { chooseMethods } from './apply/methods.js';
import { prepare, type Prepared } from './apply/prepare.js';
import { nearPlace, type Preparing } from './apply/preparing.js';
import { conclude, takenBack } from './journal/conclude.js';
import { recoverLocked, unfinishedError } from './recover.js';
import { makeParents } from './apply/refill.js';
import { nothing, type CommitResult } from './result.js';
import { closeDirs, openDirs, type OpenDirs } from './apply/open-dirs.js';
import { nearOf, runErrorOf, runForward, type RunError, type Running } from './apply/run.js';
import type { Hooks, StoreContext } from './store-context.js';
import type { Place } from './plan/step.js';
import { commitDir, commitsDir, makeVaults, removeNear, removeVaults, rootsFor, syncDir, syncRoots } from './vault/vault.js';
import type { FrameWriter } from './journal/frames.js';

/** Carries a plan out: all of it, or all but what is refused by path, or nothing. docs/commit.md tells the steps. */
export function applyPlan(ctx: StoreContext & { readonly record?: { readonly tag: string } }, plan: Plan, hooks: Hooks = {}): CommitResult {
  if (plan.steps.length === 0) return nothing(plan, plan.refused);
  return withCommitLock(ctx, hooks, () => {
    const blocked = recoverLocked(ctx, {}).find(({ outcome }) => outcome === 'blocked');
    if (blocked !== undefined) throw unfinishedError(blocked);
    return applyLocked({ ctx, plan, hooks, tag: ctx.record?.tag ?? '' });
  });
}

/** One plan that is landed for the sandbox `tag`. */
export interface Applying {
  readonly ctx: StoreContext;
  readonly plan: Plan;
  readonly hooks: Hooks;
  readonly tag: string;
}

/** The same with the locks held. */
export function applyLocked({ ctx, plan, hooks, tag }: Applying): CommitResult {
  const { kernel, stateDir } = ctx;
  const id = ctx.randomId();
  const roots = withBases(kernel, rootsFor(plan.roots, id));
  const dirs = openDirs(kernel, roots);
  const draft: Drafting = { ctx, plan, id, dirs, tag, hooks, places: [] };
  let writer: FrameWriter;
  try {
    kernel.mkdir(AT_FDCWD, commitDir(stateDir, id), 0o700);
    writer = createJournal(kernel, commitDir(stateDir, id), ctx.disk);
  } catch (error) {
    return discard(draft, runErrorOf(error, null));
  }
  try {
    const prepared = stage(draft, writer);
    if ('error' in prepared) return discard(draft, prepared.error);
    if (prepared.steps.length === 0) return dropped(draft, prepared);
    return uninterrupted(() => {
      const error = toCommitPoint(draft, writer, prepared);
      return error === null ? carryOut(draft, writer, prepared) : discard(draft, error);
    });
  } finally {
    closeJournal(kernel, writer);
    closeDirs(dirs);
  }
}

interface Drafting {
  readonly ctx: StoreContext;
  readonly plan: Plan;
  readonly id: string;
  readonly dirs: OpenDirs;
  readonly tag: string;
  readonly hooks: Hooks;
  /** staged copies beside targets; grows */
  readonly places: Place[];
}

/** Steps 3 to 5. */
function stage(draft: Drafting, writer: FrameWriter): Prepared | { readonly error: RunError } {
  const { ctx, plan, dirs, id } = draft;
  try {
    writeHeader(writer, headerOf(draft));
    makeVaults(ctx.kernel, dirs.roots);
    const preparing: Preparing = { dirs, id, plan, isLate: draft.hooks.isLate === true, keepSpecial: plan.keepSpecial, refused: [...plan.refused] };
    makeParents(dirs, plan);
    const methods = chooseMethods(preparing);
    for (const method of methods) {
      const near = nearPlace(preparing, method);
      if (near !== null) draft.places.push(near);
    }
    if (draft.places.length > 0) {
      writeDrafts(writer, draft.places);
      sealJournal(draft, writer);
    }
    const prepared = prepare({ ...preparing, ...(ctx.disk === undefined ? {} : { disk: ctx.disk }) }, methods);
    if (prepared.steps.length === 0) return prepared;
    removeRefused(draft, prepared);
    draft.hooks.onStaged?.();
    // I2: content first, then the journal that relies on it.
    syncRoots(dirs);
    return prepared;
  } catch (error) {
    return { error: runErrorOf(error, null) };
  }
}

/** Step 6. Until this returns null, the host is untouched (I1). */
function toCommitPoint(draft: Drafting, writer: FrameWriter, prepared: Prepared): RunError | null {
  try {
    writeSteps(writer, { ...prepared, digest: draft.plan.digest });
    sealJournal(draft, writer);
    return null;
  } catch (error) {
    return runErrorOf(error, null);
  }
}

/** What was staged for a step that was refused since: no step of the journal would know of it. */
function removeRefused({ dirs, places }: Drafting, { steps }: Prepared): void {
  if (places.length === 0) return;
  const needed = new Set(nearOf({ dirs, steps }).map(({ root, path }) => `${root}/${path}`));
  removeNear(dirs, places.filter(({ root, path }) => !needed.has(`${root}/${path}`)));
}

function sealJournal({ ctx, id }: Drafting, writer: FrameWriter): void {
  ctx.kernel.fsync(writer.fd);
  syncDir(ctx.kernel, commitDir(ctx.stateDir, id));
  syncDir(ctx.kernel, commitsDir(ctx.stateDir));
}

function headerOf({ ctx, plan, id, dirs, tag }: Drafting): Header {
  const { note, digest, counts, undoes, keepSpecial } = plan;
  return { version: 1, id, tag, created: ctx.now().toISOString(), note, digest, counts, undoes, keepSpecial, roots: dirs.roots };
}

/** Nothing of what was prepared is of use: away with it. */
function discard(draft: Drafting, error: RunError): CommitResult {
  removeNear(draft.dirs, draft.places);
  removeVaults(draft.ctx.kernel, draft.ctx.stateDir, draft.dirs.roots, draft.id);
  return { ...nothing(draft.plan, draft.plan.refused), state: 'rolled-back', error };
}

function dropped(draft: Drafting, { refused }: Prepared): CommitResult {
  removeNear(draft.dirs, draft.places);
  removeVaults(draft.ctx.kernel, draft.ctx.stateDir, draft.dirs.roots, draft.id);
  return nothing(draft.plan, refused);
}

function carryOut(draft: Drafting, writer: FrameWriter, prepared: Prepared): CommitResult {
  const { ctx, plan, dirs, hooks } = draft;
  const { keepSpecial } = plan;
  const running: Running = { dirs, writer, ...prepared, refused: new Map(), hooks, keepSpecial, isFresh: true, disk: ctx.disk ?? nodeDisk };
  const error = halfway(draft.id, () => runForward(running));
  const header = headerOf(draft);
  if (error !== null) return takenBack(ctx, { header, running, refused: prepared.refused, error });
  return afterwards(draft.id, () => conclude(ctx, { header, running, refused: prepared.refused }));
}
