import type { Bytes } from '../../bytes.js';
import { joinBytes, parentOf } from '../../bytes.js';
import { AT_FDCWD, type Stat } from '../../kernel/kernel.js';
import { surveyInfos } from '../vault/commits.js';
import { JOURNAL, readJournal, type Journal } from '../journal/journal.js';
import { absolute, isIdent, numbered, type Ident } from '../plan/step.js';
import type { StoreContext } from '../store-context.js';
import { commitDir } from '../vault/vault.js';

/**
 * What commits and undos did at a path after the commit that is taken back.
 * Their own renames make the ctime of what they move, and of the directories
 * around it, as new as an edit of the host would.
 */
interface Later {
  /** nothing that happened by then is the host's doing */
  ns: bigint;
  /** what was put there last */
  fresh: Ident | null;
  /** entries of a directory came or went */
  around: boolean;
  /** a later commit changed it, and is not taken back */
  stays: boolean;
}

/** By absolute path: what commits after the undone one did there. */
export type LaterWork = ReadonlyMap<Bytes, Later>;

/** Reads the journals of all that landed after `landedNs`: none of these is damaged (`undoCommit`). */
export function laterWork(ctx: StoreContext, landedNs: bigint): LaterWork {
  const later = new Map<Bytes, Later>();
  for (const { id, state, undoes, undoneBy, left } of [...surveyInfos(ctx).commits].reverse()) {
    const dir = commitDir(ctx.stateDir, id);
    const ns = state === 'landed' ? (ctx.kernel.statOrNull(AT_FDCWD, joinBytes(dir, JOURNAL))?.mtimeNs ?? 0n) : 0n;
    const journal = ns > landedNs ? readJournal(ctx.kernel, dir) : null;
    if (journal !== null) note(later, journal, { ns, stays: undoes !== null ? null : undoneBy === null ? 'all' : new Set(left) });
  }
  return later;
}

interface Noted {
  readonly ns: bigint;
  /** what of it isn't taken back */
  readonly stays: ReadonlySet<Bytes> | 'all' | null;
}

function note(later: Map<Bytes, Later>, { header, steps, refused }: Journal, { ns, stays: staying }: Noted): void {
  const at = (path: Bytes): Later => {
    const found = later.get(path) ?? { ns, fresh: null, around: false, stays: false };
    later.set(path, found);
    found.ns = ns;
    return found;
  };
  for (const [index, step] of numbered(steps)) {
    if (refused.has(index) || step.act === 'drop' || header.roots[step.host.root]?.as !== undefined) continue;
    const path = absolute(header.roots, step.host);
    const own = at(path);
    const stays = staying === 'all' || (staying?.has(path) ?? false);
    own.fresh = step.act === 'take' ? null : step.act === 'meta' ? step.old : step.fresh;
    own.stays ||= stays;
    at(parentOf(path)).around = true;
    const other = step.link ?? step.twin;
    if (other === null) continue;
    const file = at(absolute(header.roots, other));
    file.fresh = step.link === null ? step.old : step.fresh;
    file.stays ||= stays;
  }
}

/** Its ctime is new, but only because agentfw changed something there and has put it back since. */
export function isOwnWork(later: LaterWork, path: Bytes, now: Stat, isDir: boolean): boolean {
  const found = later.get(path);
  if (found === undefined || now.ctimeNs > found.ns || found.stays) return false;
  return (isDir && found.around) || isIdent(now, found.fresh);
}
