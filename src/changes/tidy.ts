import { constants } from 'node:fs';
import { RENAME } from '../kernel/kernel.js';
import { moveSimple, type Transfer } from './batch.js';
import { emptyTop, isEmptied } from './emptied.js';
import type { Emptied } from './journal.js';
import { renameUnlocked, settleModes } from './locked.js';
import { makeRoom, spotOf, statPlace, type Rooms } from './rooms.js';
import { isIdent, isWhiteout, type Place, type Step, type Unmark } from './step.js';
import { unmark } from './unmark.js';

export interface Tidying {
  readonly steps: readonly Step[];
  readonly refused: ReadonlyMap<number, unknown>;
  readonly emptied: readonly Emptied[];
  readonly unmark: readonly Unmark[];
  /** nobody can have written to the layers since they were looked at; after a crash the sandbox may have run again */
  readonly isFresh: boolean;
}

/** Takes out of the layers what landed steps left there (I9). Repeating it does nothing. */
export function tidy(rooms: Rooms, { steps, refused, emptied, unmark: marked, isFresh }: Tidying): void {
  const groups = new Set([...refused.keys()].map((index) => steps[index]?.group ?? 0));
  unmark(rooms, marked.filter(({ group }) => group === 0 || !groups.has(group)));
  const whole = new Set(emptied.filter((top) => isFresh || isEmptied(rooms, top)).map(({ layer }) => 3 * layer));
  // A refused step stays in its layer, which then can't go as a whole.
  for (const index of refused.keys()) whole.delete(steps[index]?.host.root ?? -1);
  for (const top of emptied) if (whole.has(3 * top.layer)) emptyTop(rooms, top);
  const left = steps.flatMap((step, index) => (refused.has(index) || whole.has(step.host.root) ? [] : [index]));
  const moved = isFresh ? moveBatched(rooms, steps, left) : NONE;
  for (const index of left) tidyStep(rooms, steps[index] as Step, moved.has(index));
}

const NONE: ReadonlySet<number> = new Set();

/** Old files go from the layer to the vault in batches; what is unusual is left to `tidyStep`. */
function moveBatched(rooms: Rooms, steps: readonly Step[], indices: readonly number[]): ReadonlySet<number> {
  const { landBatch } = rooms.kernel;
  if (landBatch === undefined) return NONE;
  const transfers: Transfer[] = [];
  for (const index of indices) {
    const { hold, keep, old } = steps[index] as Step;
    if (hold === null || keep === null || old === null || old.fmt === constants.S_IFDIR) continue;
    if (rooms.roots[hold.root]?.role !== 'layer' || rooms.roots[keep.root]?.role !== 'vault') continue;
    makeRoom(rooms, keep);
    transfers.push({ index, from: hold, to: keep, ident: old });
  }
  return moveSimple({ rooms, steps, keepSpecial: true, landBatch, onDone: () => undefined }, transfers);
}

function tidyStep(rooms: Rooms, step: Step, isMoved: boolean): void {
  const { hold, keep, old, spent } = step;
  if (!isMoved && hold !== null && keep !== null && rooms.roots[hold.root]?.role === 'layer' && isIdent(statPlace(rooms, hold), old)) {
    moveTo(rooms, step, { from: hold, to: keep });
    settleModes(rooms, step);
  }
  if (spent === null) return;
  const stat = statPlace(rooms, spent.at);
  if (stat === null || stat.ino !== spent.ino) return;
  if (spent.keep !== null) return moveTo(rooms, step, { from: spent.at, to: spent.keep });
  const { at, name } = spotOf(rooms, spent.at);
  if (isWhiteout(stat)) rooms.kernel.unlink(at, name);
}

function moveTo(rooms: Rooms, step: Step, { from, to }: { readonly from: Place; readonly to: Place }): void {
  makeRoom(rooms, to);
  const source = spotOf(rooms, from);
  const target = spotOf(rooms, to);
  renameUnlocked(rooms, step, { from: source, to: target, flags: RENAME.noReplace });
}
