import type { Bytes } from '../../bytes.js';
import { errnoOf } from '../../errors.js';
import { landSimple, Marks } from './batch.js';
import { finishTop, refillTop } from './emptied.js';
import type { FrameWriter } from '../journal/frames.js';
import { writeAbort, writeDone, writeRefused, type Emptied } from '../journal/journal.js';
import { giveBack, lend, type Lend } from './locked.js';
import { landStep, revertStep, type Landing } from './land.js';
import { unusual } from '../journal/step-table.js';
import { refused } from '../plan/refusal.js';
import type { CommitResult, Refused } from '../result.js';
import type { Hooks } from '../store-context.js';
import { absolute, numbered, type Place, type Step, type Steps, type Unmark } from '../plan/step.js';
import { tidy } from './tidy.js';
import { mark } from './unmark.js';
import { removeNear, syncRoots } from '../vault/vault.js';

/** A journal past its commit point, being carried out. */
export interface Running extends Landing {
  readonly writer: FrameWriter;
  readonly steps: Steps;
  readonly unmark: readonly Unmark[];
  readonly emptied: readonly Emptied[];
  readonly lends: readonly Lend[];
  /** by step number; grows */
  readonly refused: Map<number, Refused>;
  readonly hooks: Hooks;
}

/** Why a commit was rolled back. */
export type RunError = NonNullable<CommitResult['error']>;

const PROGRESS_EVERY = 256;

/** Steps 7 to 9 of docs/commit.md, from the start or after a crash. Null when all is done; else the host is as it was (or says that it isn't yet). */
export function runForward(running: Running): RunError | null {
  let at: Bytes | null = null;
  try {
    lend(running.dirs, running.lends);
    landAll(running, (path) => (at = path));
    at = null;
    tidy(running.dirs, running);
    giveBack(running.dirs, running.lends);
    syncRoots(running.dirs);
    markDone(running);
    return null;
  } catch (error) {
    return runBackward(running, runErrorOf(error, at));
  }
}

function markDone({ writer, dirs }: Running): void {
  writeDone(writer);
  dirs.kernel.fsync(writer.fd);
}

function landAll(running: Running, noteAt: (path: Bytes) => void): void {
  const { steps, hooks } = running;
  // A crash may have left a layer between its old top directory and the new one.
  for (const top of running.emptied) finishTop(running.dirs, top);
  // Renamed directories and permissions that others need come first.
  const early = (step: Step): boolean => step.kind === 'rename' || (step.act === 'meta' && step.type === 'dir');
  let simple: Marks = NONE;
  for (let index = 0; index < steps.length; index += 1) {
    if (simple.has(index)) continue;
    const step = steps.at(index) as Step;
    if (simple === NONE && running.isFresh && !early(step)) simple = landBatched(running);
    if (simple.has(index)) continue;
    noteAt(absolute(running.dirs.roots, step.host));
    // Refused before a crash: it may not have been brought back whole.
    if (running.refused.has(index)) revertStep(running, step);
    else {
      const why = landStep(running, step);
      if (why !== null) refuse(running, index, why);
    }
    if ((index + 1) % PROGRESS_EVERY === 0) hooks.onProgress?.(index + 1, steps.length);
  }
  hooks.onProgress?.(steps.length, steps.length);
}

const NONE = new Marks(0);

function landBatched({ dirs, steps, keepSpecial, hooks }: Running): Marks {
  const { landBatch } = dirs.kernel;
  if (landBatch === undefined) return new Marks(0);
  const onDone = (count: number): void => hooks.onProgress?.(count, steps.length);
  return landSimple({ dirs, steps, keepSpecial, landBatch, onDone });
}

/** I11: the rest of the group goes back too, and what of it was still to come is left out. */
export function refuse(running: Running, index: number, why: Refused): void {
  const { steps } = running;
  const { group } = steps.at(index) as Step;
  const others = group === 0 ? [] : indicesWhere(steps, (step, other) => step.group === group && other !== index);
  for (const other of [index, ...others]) {
    if (running.refused.has(other)) continue;
    const path = absolute(running.dirs.roots, (steps.at(other) as Step).host);
    const said = other === index ? why : refused({ path }, 'with', { text: 'it lands only together with a path that was refused' });
    running.refused.set(other, said);
    writeRefused(running.writer, other, said);
  }
  for (const other of [index, ...others].sort((a, b) => b - a)) revertStep(running, steps.at(other) as Step);
}

function indicesWhere(steps: Steps, test: (step: Step, index: number) => boolean): number[] {
  const found: number[] = [];
  for (const [index, step] of numbered(steps)) if (test(step, index)) found.push(index);
  return found;
}

/** `code` is the errno, or EUNKNOWN for what is no failed call. */
export function runErrorOf(error: unknown, path: Bytes | null): RunError {
  const text = error instanceof Error ? error.message : String(error);
  return { code: errnoOf(error) ?? 'EUNKNOWN', path, text };
}

/** Everything back, last step first. If that fails too, the journal stays for `recover`. */
export function runBackward(running: Running, cause: RunError): RunError {
  const { writer, dirs, steps } = running;
  try {
    writeAbort(writer, cause.text);
    dirs.kernel.fsync(writer.fd);
  } catch {
    // Without the record a crash from here on is finished instead: as good.
  }
  for (const top of running.emptied) refillTop(dirs, top);
  lend(dirs, running.lends);
  for (let index = steps.length - 1; index >= 0; index -= 1) revertStep(running, steps.at(index) as Step);
  mark(dirs, running.unmark);
  giveBack(dirs, running.lends);
  removeNear(dirs, nearOf(running));
  syncRoots(dirs);
  return cause;
}

/** Staged copies beside targets: theirs while they wait, the old objects' afterwards. A step that goes between the host and its layer or vault has none. */
export function nearOf({ dirs, steps }: Pick<Running, 'dirs' | 'steps'>): Place[] {
  const near: Place[] = [];
  for (const [, { from, hold, kind }] of unusual(steps)) {
    for (const place of kind === 'rename' ? [] : [from, hold]) if (place !== null && dirs.roots[place.root]?.role === 'host') near.push(place);
  }
  return near;
}
