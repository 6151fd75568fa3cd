import type { Bytes } from '../../bytes.js';
import type { Draft, Plan } from '../plan/draft.js';
import type { Duplicating } from './duplicate.js';
import type { Refused } from '../result.js';
import type { OpenDirs } from './open-dirs.js';
import { splitPath, type Place } from '../plan/step.js';

/** How one planned step will really be done. */
export interface Method {
  readonly draft: Draft;
  /** names the step's files in the vault */
  readonly n: number;
  readonly move: boolean;
  /** old and new object can be renamed into the vault */
  readonly vault: boolean;
}

/** How each planned step will be done; null: it is refused. A byte a step, as there may be a million. */
export class Methods {
  private readonly steps: readonly Draft[];
  private readonly ways: Uint8Array;

  constructor(steps: readonly Draft[]) {
    this.steps = steps;
    this.ways = new Uint8Array(steps.length);
  }
  choose(n: number, { move, vault }: Pick<Method, 'move' | 'vault'>): void {
    this.ways[n] = CHOSEN | (move ? MOVES : 0) | (vault ? VAULT : 0);
  }
  *[Symbol.iterator](): Generator<Method> {
    for (const [n, draft] of this.steps.entries()) {
      const way = this.ways[n] ?? 0;
      if (way !== 0) yield { draft, n, move: (way & MOVES) !== 0, vault: (way & VAULT) !== 0 };
    }
  }
}

const [CHOSEN, MOVES, VAULT] = [1, 2, 4] as const;

/** A commit `id` before its commit point; `refused` grows as paths fail. */
export interface Preparing extends Duplicating {
  readonly dirs: OpenDirs;
  readonly id: string;
  readonly plan: Plan;
  /** see `Hooks` */
  readonly isLate: boolean;
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
