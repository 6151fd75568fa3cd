import { constants } from 'node:fs';
import { joinBytes, nameOf, parentOf, toText, type Bytes } from '../../bytes.js';
import { AgentfwError } from '../../errors.js';
import { AT_FDCWD, type Fd, type Kernel, KernelError, O_PATH, RESOLVE } from '../../kernel/kernel.js';
import { openLocked } from '../../kernel/locked.js';
import { isForeign } from '../../sandbox/foreign.js';
import { isAsMade } from '../../sandbox/layer-top.js';
import type { Layer } from '../../sandbox/sandbox.js';

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY;
/** No base or layer path leads through a symlink, whoever planted it (CW01, CW02). */
const INSIDE = RESOLVE.beneath | RESOLVE.noSymlinks | RESOLVE.noMagiclinks;
const ABSENT: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP']);

/** The two sides of a layer, opened; null where there is no such directory. */
export interface LayerDirs {
  readonly upper: Fd | null;
  readonly base: Fd | null;
}

/** Opens both sides; give them back with `closeLayer`. One that holds nothing may be missing. */
export function openLayer(kernel: Kernel, layer: Layer): LayerDirs {
  const upper = orNull(() => openLocked(kernel, joinBytes(layer.dir, 'upper' as Bytes)));
  if (upper === null) {
    requireThere(kernel, layer);
    requireStraight(layer);
    return { upper, base: null };
  }
  try {
    return { upper, base: openTop(kernel, layer.base, O_PATH) };
  } catch (error) {
    kernel.close(upper);
    throw error;
  }
}

/** Refuses a layer that somebody removed, or that went with the filesystem that it lies on, or with its sandbox while we looked. */
export function requireThere(kernel: Kernel, { base, dir, bare }: Pick<Layer, 'base' | 'dir' | 'bare'>): void {
  if (bare === true || kernel.statOrNull(AT_FDCWD, joinBytes(dir, 'upper' as Bytes)) !== null) return;
  const sandbox = parentOf(parentOf(dir));
  if (!isForeign({ dir }) && kernel.statOrNull(AT_FDCWD, sandbox) === null) throw new AgentfwError('AFW_NO_SANDBOX', `Sandbox ${nameOf(sandbox)} was discarded meanwhile.`, { hint: 'List them: agentfw list' });
  throw new AgentfwError('AFW_LAYER_GONE', `What was changed below ${toText(base)} lies in ${toText(dir)}, which isn't there.`, {
    hint: isForeign({ dir }) ? 'Mount the filesystem that it lies on again' : 'Put that directory back; agentfw discard gives up all that the sandbox holds',
  });
}

/** Of one that is there, and yet can't be opened: what no look followed is not nothing. */
function requireStraight({ base, dir, bare }: Pick<Layer, 'base' | 'dir' | 'bare'>): void {
  if (bare === true) return;
  throw new AgentfwError('AFW_LAYER_GONE', `What was changed below ${toText(base)} lies in ${toText(dir)}, which is not a directory or behind a symlink.`, {
    hint: 'Put the directory itself back there: links are not followed. A whole store can be moved',
  });
}

/** Closes what was open of it. */
export function closeLayer(kernel: Kernel, dirs: LayerDirs): void {
  if (dirs.upper !== null) kernel.close(dirs.upper);
  if (dirs.base !== null) kernel.close(dirs.base);
}

function openTop(kernel: Kernel, path: Bytes, flags = 0): Fd | null {
  return orNull(() => kernel.open(AT_FDCWD, path, DIRECTORY | flags, 0, RESOLVE.noSymlinks | RESOLVE.noMagiclinks));
}

/** A directory below one of the sides; null when it is none (any more) or may not be read. */
export function openBelow(kernel: Kernel, top: Fd, path: Bytes): Fd | null {
  const relative = path === '' ? ('.' as Bytes) : path;
  return orNull(() => kernel.open(top, relative, DIRECTORY, 0, INSIDE), 'EACCES');
}

function orNull(open: () => Fd, alsoAbsent?: string): Fd | null {
  try {
    return open();
  } catch (error) {
    if (error instanceof KernelError && (ABSENT.has(error.code) || error.code === alsoAbsent)) return null;
    throw error;
  }
}

/** Nothing was changed in it: it is empty, and its top directory is as it was made. */
export function isBare(kernel: Kernel, layer: Pick<Layer, 'base' | 'dir' | 'top' | 'bare'>): boolean {
  const upper = joinBytes(layer.dir, 'upper' as Bytes);
  const stat = kernel.statOrNull(AT_FDCWD, upper);
  if (stat === null) requireThere(kernel, layer);
  if (stat === null) return true;
  // Its mode may keep us from looking, which is the agent's change then.
  if (!isAsMade(kernel, layer, stat)) return false;
  if ((stat.mode & 0o500) !== 0o500) return false;
  const fd = openTop(kernel, upper);
  if (fd === null) return false;
  try {
    return kernel.list(fd).length === 0;
  } finally {
    kernel.close(fd);
  }
}
