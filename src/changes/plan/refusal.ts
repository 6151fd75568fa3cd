import type { Bytes } from '../../bytes.js';
import { parentOf } from '../../bytes.js';
import type { Conflict, JudgedChange } from '../change.js';
import type { Refused } from '../result.js';

/** The side that settles a conflict (`--take`). */
export type Take = 'sandbox' | 'host';

/** Some paths, or all there are. */
export type Paths = Pick<ReadonlySet<Bytes>, 'has'>;

/** What decides whether a change may land, before anything is planned. */
export interface Rules {
  readonly selected: Paths;
  readonly take: ReadonlyMap<Bytes, Take>;
  readonly fifos: boolean;
}

const CONFLICTS: Readonly<Record<Conflict, string>> = {
  changed: 'the host changed it since the sandbox started',
  deleted: 'the host deleted or renamed it since the sandbox started',
  created: 'the host created it since the sandbox started',
  type: 'on the host it is another type of file since the sandbox started',
  parent: 'a directory above it was renamed, replaced or removed on the host',
  permission: 'you may not write there',
  uncaptured: 'the host may have changed it since the sandbox started, and its first version was not captured',
  hidden: 'the host has something there that was hidden from the sandbox',
};

/** The refusal of a change by itself; null when it may land. */
export function refusalOf(change: JudgedChange, rules: Rules): Refused | null {
  if (change.kind !== 'delete' && isSpecial(change, rules)) {
    return refused(change, 'special', { text: change.type === 'fifo' ? 'a FIFO lands only when asked for (--keep-special)' : `a ${change.type} never lands` });
  }
  if (change.conflict === null) return null;
  if (change.conflict === 'permission' && takeOf(change.path, rules) !== 'host') return refused(change, 'permission', { text: CONFLICTS.permission, conflict: 'permission' });
  // Either choice settles it: the agent's version lands, or it is dropped.
  if (takeOf(change.path, rules) !== null) return null;
  return refused(change, 'conflict', { text: CONFLICTS[change.conflict], conflict: change.conflict });
}

function isSpecial(change: JudgedChange, rules: Rules): boolean {
  if (change.type === 'fifo') return !rules.fifos;
  return change.type === 'socket' || change.type === 'char' || change.type === 'block';
}

/** A choice for a directory holds for all below it. */
export function takeOf(path: Bytes, rules: Pick<Rules, 'take'>): Take | null {
  if (rules.take.size === 0) return null;
  for (let at = path; ; at = parentOf(at)) {
    const take = rules.take.get(at);
    if (take !== undefined) return take;
    if (at === '/') return null;
  }
}

/** `code` is an errno, `conflict` the kind of conflict; both null where they are not why. */
export function refused(
  change: { readonly path: Bytes },
  why: Refused['why'],
  detail: { readonly text: string; readonly conflict?: Conflict; readonly code?: string },
): Refused {
  const { text, conflict = null, code = null } = detail;
  return { path: change.path, why, conflict, code, text };
}

/** A conflict in words for people, without a full stop. */
export function conflictText(conflict: Conflict): string {
  return CONFLICTS[conflict];
}

/** An undo judges by what the commit left, not by what a sandbox began with. */
export function sinceTheCommit(entry: Refused): Refused {
  return { ...entry, text: entry.text.replace('since the sandbox started', 'since the commit') };
}
