import { constants } from 'node:fs';
import { RENAME } from '../../kernel/kernel.js';
import { Marks, moveSimple, type Transfer } from './batch.js';
import { emptyTop, isEmptied } from './emptied.js';
import type { Emptied } from '../journal/journal.js';
import { renameUnlocked, settleModes } from './locked.js';
import { makeDirsAbove, spotOf, statPlace, type OpenDirs } from './open-dirs.js';
import { isIdent, isWhiteout, numbered, type Place, type Step, type Steps, type Unmark } from '../plan/step.js';
import { unmark } from './unmark.js';

/** What is left to do in layers and vault once all steps are through; `refused` by number of the step. */
export interface Tidying {
  readonly steps: Steps;
  readonly refused: ReadonlyMap<number, unknown>;
  readonly emptied: readonly Emptied[];
  readonly unmark: readonly Unmark[];
  /** nobody can have written to the layers since they were looked at; after a crash the sandbox may have run again */
  readonly isFresh: boolean;
}

/** Takes out of the layers what landed steps left there (I9). Repeating it does nothing. */
export function tidy(dirs: OpenDirs, { steps, refused, emptied, unmark: marked, isFresh }: Tidying): void {
  const groups = new Set([...refused.keys()].map((index) => steps.at(index)?.group ?? 0));
  unmark(dirs, marked.filter(({ group }) => group === 0 || !groups.has(group)));
  const whole = new Set(emptied.filter((top) => isFresh || isEmptied(dirs, top)).map(({ layer }) => 3 * layer));
  // A refused step stays in its layer, which then can't go as a whole.
  for (const index of refused.keys()) whole.delete(steps.at(index)?.host.root ?? -1);
  for (const top of emptied) if (whole.has(3 * top.layer)) emptyTop(dirs, top);
  const stays = (index: number, step: Step): boolean => refused.has(index) || whole.has(step.host.root);
  if (emptied.length > 0 && whole.size === emptied.length && isAllIn(steps, whole)) return;
  const moved = isFresh ? moveBatched(dirs, steps, stays) : null;
  for (const [index, step] of numbered(steps)) if (!stays(index, step)) tidyStep(dirs, step, moved?.has(index) === true);
}

function isAllIn(steps: Steps, whole: ReadonlySet<number>): boolean {
  for (const { host } of steps) if (!whole.has(host.root)) return false;
  return true;
}

type Stays = (index: number, step: Step) => boolean;

/** Old files go from the layer to the vault in batches; what is unusual is left to `tidyStep`. */
function moveBatched(dirs: OpenDirs, steps: Steps, stays: Stays): Marks {
  const { landBatch } = dirs.kernel;
  if (landBatch === undefined) return new Marks(0);
  return moveSimple({ dirs, steps, keepSpecial: true, landBatch, onDone: () => undefined }, transfersOf(dirs, steps, stays));
}

function* transfersOf(dirs: OpenDirs, steps: Steps, stays: Stays): Generator<Transfer> {
  for (const [index, step] of numbered(steps)) {
    const { hold, keep, old } = step;
    if (hold === null || keep === null || old === null || old.fmt === constants.S_IFDIR || stays(index, step)) continue;
    if (dirs.roots[hold.root]?.role !== 'layer' || dirs.roots[keep.root]?.role !== 'vault') continue;
    makeDirsAbove(dirs, keep);
    yield { index, from: hold, to: keep, ident: old };
  }
}

function tidyStep(dirs: OpenDirs, step: Step, isMoved: boolean): void {
  const { hold, keep, old, spent } = step;
  if (!isMoved && hold !== null && keep !== null && dirs.roots[hold.root]?.role === 'layer' && isIdent(statPlace(dirs, hold), old)) {
    moveTo(dirs, step, { from: hold, to: keep });
    settleModes(dirs, step);
  }
  if (spent === null) return;
  const stat = statPlace(dirs, spent.at);
  if (stat === null || stat.ino !== spent.ino) return;
  if (spent.keep !== null) return moveTo(dirs, step, { from: spent.at, to: spent.keep });
  const { at, name } = spotOf(dirs, spent.at);
  if (isWhiteout(stat)) dirs.kernel.unlink(at, name);
}

function moveTo(dirs: OpenDirs, step: Step, { from, to }: { readonly from: Place; readonly to: Place }): void {
  makeDirsAbove(dirs, to);
  const source = spotOf(dirs, from);
  const target = spotOf(dirs, to);
  renameUnlocked(dirs, step, { from: source, to: target, flags: RENAME.noReplace });
}
