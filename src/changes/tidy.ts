import { RENAME } from '../kernel/kernel.js';
import { emptyTop } from './emptied.js';
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
}

/** Takes out of the layers what landed steps left there (I9). Repeating it does nothing. */
export function tidy(rooms: Rooms, { steps, refused, emptied, unmark: marked }: Tidying): void {
  const groups = new Set([...refused.keys()].map((index) => steps[index]?.group ?? 0));
  unmark(rooms, marked.filter(({ group }) => group === 0 || !groups.has(group)));
  const whole = new Set(emptied.map(({ layer }) => 3 * layer));
  // A refused step stays in its layer, which then can't go as a whole.
  for (const index of refused.keys()) whole.delete(steps[index]?.host.root ?? -1);
  for (const top of emptied) if (whole.has(3 * top.layer)) emptyTop(rooms, top);
  steps.forEach((step, index) => {
    if (!refused.has(index) && !whole.has(step.host.root)) tidyStep(rooms, step);
  });
}

function tidyStep(rooms: Rooms, step: Step): void {
  const { hold, keep, old, spent } = step;
  if (hold !== null && keep !== null && rooms.roots[hold.root]?.role === 'layer' && isIdent(statPlace(rooms, hold), old)) {
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
