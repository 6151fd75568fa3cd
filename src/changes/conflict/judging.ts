import { constants } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import { isRefusal } from '../../errors.js';
import type { Fd, Stat } from '../../kernel/kernel.js';
import type { Bases } from '../base.js';
import type { Change } from '../change.js';
import { isOurs, type Epochs } from '../capture/epoch.js';
import type { PackedRef } from '../git/packed-ref.js';
import { spotOf, type OpenDirs } from '../apply/open-dirs.js';
import { relativeTo, type Place } from '../plan/step.js';
import type { CommitContext } from '../store-context.js';

/** To a directory of the host. `shut`: names in it may not be made, replaced or taken away; `unseen`: nor looked at; `fixed`: nor may what is in it be changed. */
export type Access = 'open' | 'shut' | 'unseen' | 'fixed';

/** What a search for conflicts knows and has open. */
export interface Judging {
  readonly ctx: CommitContext;
  readonly sandboxDir: Bytes;
  readonly bases: Bases;
  readonly epochs: Epochs;
  readonly t0: bigint;
  readonly clockIsBehind: boolean;
  readonly dirs: OpenDirs;
  readonly packed: (path: Bytes) => PackedRef;
  /** by directory: it or one above it was moved */
  readonly parents: Map<Bytes, boolean>;
  /** by directory of the host: see `accessAround` */
  readonly access: Map<Bytes, Access>;
  /** by layer: its base is another directory by now */
  readonly others: Map<number, boolean>;
  /** the directory that was asked for last, and whether its entries changed: changes come directory by directory */
  asked: { readonly layer: number; readonly dir: Bytes; readonly changed: boolean } | null;
  /** new directories that the agent made, or that the host lost */
  readonly own: ReadonlySet<Bytes>;
}

/** Changed at or after T0, and not by agentfw. */
export function isTouched({ t0, epochs, clockIsBehind, bases }: Pick<Judging, 't0' | 'epochs' | 'clockIsBehind' | 'bases'>, path: Bytes, base: Stat): boolean {
  return (clockIsBehind || base.ctimeNs >= t0 || isBackdated(bases, path, base)) && !isOurs(epochs, path, base);
}

const SECOND = 1_000_000_000n;

/** Some servers tell no time of a change (sshfs has whole seconds of the content's in its place): `cp -p` of the host hides behind an old one, but for what was captured. */
function isBackdated(bases: Bases, path: Bytes, { ctimeNs, mtimeNs, size }: Stat): boolean {
  if (ctimeNs !== mtimeNs || ctimeNs % SECOND !== 0n) return false;
  const captured = bases.get(path);
  return captured?.state === 'file' && (captured.size !== size || captured.mtimeNs !== mtimeNs);
}

/** Where the change's base is. */
export function hostPlace(dirs: OpenDirs, { at, basePath, path }: Change): Place {
  const root = 2 * at.layer;
  return { root, path: relativeTo(dirs.roots[root]?.dir ?? ('/' as Bytes), basePath ?? path) };
}

export const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Null for what can't be read. */
export function openQuietly(dirs: OpenDirs, place: Place): Fd | null {
  try {
    const { at, name } = spotOf(dirs, place);
    return dirs.kernel.open(at, name, READ);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return null;
  }
}
