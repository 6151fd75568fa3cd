import type { Bytes } from '../../bytes.js';
import type { Stat } from '../../kernel/kernel.js';
import type { OpenDirs } from '../apply/open-dirs.js';
import { absolute, isIdent, type Step } from '../plan/step.js';
import { fileTypeOf } from '../scan/filetype.js';
import type { Kept } from './draft.js';
import { isOwnWork, type LaterWork } from './later.js';
import { isSameMeta, metaAt } from './meta.js';

/** What tells the host's work since a commit from ours. */
export interface Since {
  readonly dirs: OpenDirs;
  /** when the commit was done: nothing in a landed directory may have changed after this */
  readonly landedNs: bigint;
  /** what later commits and undos did; read when it is asked for: seldom */
  readonly later: () => LaterWork;
}

/** The host did something to it since the commit. */
export function isHosts({ landedNs, later }: Since, path: Bytes, stat: Stat): boolean {
  return stat.ctimeNs > landedNs && !isOwnWork(later(), path, stat, fileTypeOf(stat) === 'dir');
}

/**
 * The host gave a new file another mode, owner or attribute, which would go with it. What the
 * commit landed is not on record. A file that has another name keeps all of it under that.
 */
export function wouldTakeAlong(since: Since, { host, fresh }: Step, now: Stat): boolean {
  return fileTypeOf(now) === 'file' && now.nlink === 1 && isIdent(now, fresh) && isHosts(since, absolute(since.dirs.roots, host), now);
}

/** The host gave it another mode, owner or attribute since the commit, which the undo would take back. */
export function wouldReset(since: Since, { host }: Step, now: Stat, { place, stat }: Kept): boolean {
  const { dirs } = since;
  return fileTypeOf(now) === 'file' && fileTypeOf(stat) === 'file' && isHosts(since, absolute(dirs.roots, host), now) && !isSameMeta(metaAt(dirs, host), metaAt(dirs, place));
}
