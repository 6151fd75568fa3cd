import { constants } from 'node:fs';
import type { Stat } from '../../kernel/kernel.js';
import type { Move } from '../journal/step-table.js';
import { knownCleaning } from './cleaning.js';
import type { Method } from './preparing.js';
import type { Staging } from './stage.js';

/**
 * What nearly all steps of a big commit are: a file that leaves its layer for the same path of
 * the host, or takes the place of its whiteout there. Null for what takes more, or a look at it first.
 */
export function moveOf(staging: Staging, { draft, move }: Method): Move | null {
  const { act, kind, type, layerEntry, old } = draft;
  if (!move || kind === 'rename' || (type !== 'file' && type !== 'symlink' && type !== 'fifo') || staging.plan.undoes !== null) return null;
  if (act !== 'place' && act !== 'swap' && (act !== 'take' || layerEntry !== 'whiteout')) return null;
  if (layerEntry === 'shift' || isDirectory(old) || draft.covers.length > 0 || draft.twin !== undefined || draft.link !== undefined) return null;
  const { host, source } = draft;
  if (source === null || source.root !== host.root + 1 || source.path !== host.path) return null;
  if (act === 'take') return { act, kind, type, host, group: draft.group, clean: null, fresh: null, old };
  // Nor are there bits of its mode that stay behind.
  const clean = knownCleaning(staging, draft);
  return clean === null ? null : { act, kind, type, host, group: draft.group, clean, fresh: draft.fresh, old };
}

function isDirectory(stat: Stat | null): boolean {
  return stat !== null && (stat.mode & constants.S_IFMT) === constants.S_IFDIR;
}
