import type { Bytes } from '../../bytes.js';
import type { Fd } from '../../kernel/kernel.js';
import { dirOf } from '../plan/step.js';
import { isMachineError, refusalFor } from './failure.js';
import { dirFd, rootFd, statPlace, type OpenDirs } from './open-dirs.js';
import { Methods, type Preparing } from './preparing.js';

/**
 * Finds out per target directory what is possible there: the kernel, not the
 * plan, knows about subvolumes, mounts, directories that went away (I6), and
 * those that let no file of another project in, or none that isn't encrypted as they are.
 */
export function chooseMethods(preparing: Preparing): Methods {
  const { dirs, plan } = preparing;
  const methods = new Methods(plan.steps);
  const shifted = new Set(plan.steps.filter((step) => step.layerEntry === 'shift').map((step) => step.group));
  const targets = new Map<string, Target>();
  // Most steps have the directory of the one before.
  let last: { readonly root: number; readonly dir: Bytes; readonly found: Target } | null = null;
  for (const [n, draft] of plan.steps.entries()) {
    if (draft.act === 'drop') {
      methods.choose(n, { move: false, vault: true });
      continue;
    }
    const { root, path } = draft.host;
    const dir = dirOf(path);
    if (last === null || last.root !== root || last.dir !== dir) {
      const later = draft.link?.inNew === true || (shifted.has(draft.group) && draft.layerEntry !== 'shift');
      last = { root, dir, found: targetOf(targets, `${root}/${dir}`, () => (later ? vaultOf(dirs, draft.layer) : hostDir(dirs, root, dir))) };
    }
    if ('error' in last.found) {
      preparing.refused.push(refusalFor(draft.path, last.found.error, 'parent'));
      continue;
    }
    const vault = (plan.movable[draft.layer] ?? false) && isOne(last.found, vaultOf(dirs, draft.layer));
    methods.choose(n, { vault, move: draft.method === 'move' && vault });
  }
  return methods;
}

/** Where renames lead from one directory to the other, on one mount. */
interface Reach {
  readonly dev: bigint;
  readonly domain: Bytes;
}

type Target = Reach | { readonly error: unknown };

function isOne(a: Reach, b: Reach): boolean {
  return a.dev === b.dev && a.domain === b.domain;
}

function targetOf(targets: Map<string, Target>, key: string, look: () => Target): Target {
  const known = targets.get(key);
  if (known !== undefined) return known;
  const found = look();
  targets.set(key, found);
  return found;
}

function hostDir(dirs: OpenDirs, root: number, dir: Bytes): Target {
  try {
    return reachOf(dirs, dirFd(dirs, root, dir));
  } catch (error) {
    if (isMachineError(error)) throw error;
    return { error };
  }
}

function reachOf({ kernel }: OpenDirs, fd: Fd): Reach {
  return { dev: kernel.stat(fd, '' as Bytes).dev, domain: kernel.domain(fd) };
}

const vaults = new WeakMap<OpenDirs, Reach[]>();

function vaultOf(dirs: OpenDirs, layer: number): Reach {
  const known = vaults.get(dirs) ?? [];
  vaults.set(dirs, known);
  return (known[layer] ??= openVault(dirs, layer));
}

/** Nothing moves to one that isn't there. */
function openVault(dirs: OpenDirs, layer: number): Reach {
  const root = 3 * layer + 2;
  return statPlace(dirs, { root, path: '' as Bytes }) === null ? { dev: 0n, domain: '' as Bytes } : reachOf(dirs, rootFd(dirs, root));
}
