import { constants } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import { isWithin, joinBytes, parentOf } from '../../bytes.js';
import { errnoOf } from '../../errors.js';
import { AT_FDCWD, O_PATH, RENAME, RESOLVE, type Fd, type Kernel } from '../../kernel/kernel.js';
import { openLocked } from '../../kernel/locked.js';
import type { Layer } from '../../sandbox/sandbox.js';
import type { CommitContext } from '../store-context.js';

/** Per layer, what decides between moving and copying. */
export interface LayerFacts {
  /** index into the record's layers, as in `LayerRef` */
  readonly layer: number;
  /** the host directory it lies over */
  readonly base: Bytes;
  /** its top directory */
  readonly upper: Bytes;
  readonly family: 'user' | 'trusted';
  /** a rename from the layer to its base is possible */
  readonly movable: boolean;
  /** the `commits` directory on the layer's filesystem */
  readonly vault: Bytes;
  readonly baseDev: bigint;
  /** the base is no directory any more: nothing lands there, and nothing else is held up by it */
  readonly gone: boolean;
}

/** What the plan has to know of the disk, by layer: filesystems, and whether renames lead from one to the other. */
export function commitFacts(ctx: CommitContext): readonly LayerFacts[] {
  return ctx.record.layers.map((layer, index) => factsOf(ctx, layer, index));
}

function factsOf(ctx: CommitContext, layer: Layer, index: number): LayerFacts {
  const { kernel, stateDir } = ctx;
  const upper = joinBytes(layer.dir, 'upper' as Bytes);
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
  const resolve = RESOLVE.noSymlinks | RESOLVE.noMagiclinks;
  const vault = vaultFor(stateDir, layer);
  const common = { layer: index, base: layer.base, upper, family: layer.family, vault };
  const upperFd = openLocked(kernel, upper);
  let baseFd: Fd | null = null;
  try {
    baseFd = kernel.open(AT_FDCWD, layer.base, flags | O_PATH, 0, resolve);
    const baseDev = kernel.stat(baseFd, '' as Bytes).dev;
    const movable = kernel.stat(upperFd, '' as Bytes).dev === baseDev && canRename(kernel, upperFd, baseFd);
    return { ...common, movable, baseDev, gone: false };
  } catch (error) {
    if (baseFd !== null || !GONE.includes(errnoOf(error) ?? '')) throw error;
    return { ...common, movable: false, baseDev: 0n, gone: true };
  } finally {
    kernel.close(upperFd);
    if (baseFd !== null) kernel.close(baseFd);
  }
}

const GONE = ['ENOENT', 'ENOTDIR', 'ELOOP'];

/**
 * A layer outside the store lies in `MOUNT/.agentfw-UID/TAG.RANDOM/N`: its
 * undo store must outlive the sandbox, so it goes beside the sandbox's directory.
 */
function vaultFor(stateDir: Bytes, layer: Layer): Bytes {
  const room = isWithin(layer.dir, stateDir) ? stateDir : parentOf(parentOf(layer.dir));
  return joinBytes(room, 'commits' as Bytes);
}

/** The kernel compares the mounts before it looks at the names, so a name that doesn't exist is enough. */
export function canRename(kernel: Kernel, upper: number, base: number): boolean {
  const nothing = '.agentfw-no-such-name' as Bytes;
  try {
    kernel.rename(upper, nothing, base, nothing, RENAME.noReplace);
  } catch (error) {
    return errnoOf(error) !== 'EXDEV';
  }
  return true;
}
