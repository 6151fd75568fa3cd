import type { Bytes } from '../bytes.js';
import type { Draft, Plan } from './draft.js';
import type { Duplicating } from './duplicate.js';
import type { Refused } from './result.js';
import type { Rooms } from './rooms.js';
import { splitPath, type Place } from './step.js';

/** How one planned step will really be done. */
export interface Method {
  readonly draft: Draft;
  /** names the step's files in the vault */
  readonly n: number;
  readonly move: boolean;
  /** old and new object can be renamed into the vault */
  readonly vault: boolean;
}

export interface Preparing extends Duplicating {
  readonly rooms: Rooms;
  readonly id: string;
  readonly plan: Plan;
  readonly refused: Refused[];
}

/** Where a staged object of a step lies beside its target; null when it goes to the vault or nothing is staged. */
export function nearPlace(preparing: Preparing, method: Method): Place | null {
  const { draft, n, vault } = method;
  if (vault || draft.act === 'meta' || draft.act === 'write' || draft.act === 'drop') return null;
  const { dir } = splitPath(draft.host.path);
  const name = `.agentfw-${preparing.id}-${n}`;
  return { root: draft.host.root, path: (dir === '' ? name : `${dir}/${name}`) as Bytes };
}
