import { constants } from 'node:fs';
import { joinBytes, type Bytes } from '../bytes.js';
import { lendAccess } from '../changes/apply/lend.js';
import { baseDir } from '../changes/base.js';
import { EPOCHS } from '../changes/capture/epoch.js';
import { judgeConflicts } from '../changes/conflict.js';
import { commitContextOf, storeContextOf } from '../changes/context.js';
import { scan, type ScanInput } from '../changes/scan.js';
import { surveyInfos } from '../changes/vault/commits.js';
import { AT_FDCWD, type Fd, type Kernel } from '../kernel/kernel.js';
import { removeTree } from '../kernel/remove.js';
import type { Layer, SandboxRecord } from './sandbox.js';
import { markStart, sandboxDir, type Store } from './store.js';

/**
 * The sandbox with a T0 of now, where nothing is left in it: an agent that goes
 * on there starts from the host as it is, so what the host did before is no
 * conflict with anything that it will do. What was kept of the host as it had
 * been goes: later commits must not be judged by that. The caller holds the
 * running lock, and writes the record. Throws `KernelError`.
 */
export function beginAnew(store: Store, record: SandboxRecord): SandboxRecord {
  if (record.state === 'unclean' || !isDone(store, record) || mayComeBack(store, record.tag)) return record;
  const { kernel } = store;
  if (!record.layers.every((layer) => clearLayer(kernel, layer))) return record;
  const dir = sandboxDir(store, record.tag);
  // Without them, and with the old T0, all is judged more strictly: a crash in between loses nothing.
  const own = openDir(kernel, dir);
  try {
    for (const name of ['base' as Bytes, EPOCHS]) removeTree(kernel, own, name);
  } finally {
    kernel.close(own);
  }
  kernel.mkdir(AT_FDCWD, baseDir(dir), 0o700);
  return { ...record, t0: markStart(kernel, dir) };
}

/**
 * All that its layers hold, the host has likewise: files that were only touched, directories on the way to
 * what landed. The host may have changed such a file since; only where all has landed that is looked into.
 */
function isDone(store: Store, record: SandboxRecord): boolean {
  const input: ScanInput = { kernel: store.kernel, layers: record.layers, mode: record.mode, uid: store.context.uid };
  if (isEmpty(scan(input))) return true;
  return record.state === 'committed' && judgeConflicts(commitContextOf(store, record), [...scan(input)]).length === 0;
}

/** Ends the walk with it: it would hold descriptors of the host, and lend what an agent had closed, into the next run. */
function isEmpty(changes: Generator<unknown>): boolean {
  try {
    return changes.next().done === true;
  } finally {
    changes.return(undefined);
  }
}

/** A commit dropped changes that an undo gives back: they were made from the host as it was then. */
function mayComeBack(store: Store, tag: string): boolean {
  const { commits, broken } = surveyInfos(storeContextOf(store));
  return broken.length > 0 || commits.some((commit) => commit.tag === tag && commit.dropped > 0 && commit.state !== 'pruned');
}

/** False: something is left. */
function clearLayer(kernel: Kernel, { dir }: Layer): boolean {
  const upper = joinBytes(dir, 'upper' as Bytes);
  const stat = kernel.statOrNull(AT_FDCWD, upper);
  if (stat === null) return true;
  if ((stat.mode & 0o500) !== 0o500) return false;
  // Few tops have anything in them, and few of these may be written: the host's modes are theirs.
  const top = openDir(kernel, upper);
  try {
    const names = kernel.list(top);
    const lent = names.length === 0 ? null : lendAccess(kernel, top, '' as Bytes);
    try {
      return names.every((name) => removeTree(kernel, top, name) === null);
    } finally {
      lent?.restore();
    }
  } finally {
    kernel.close(top);
  }
}

function openDir(kernel: Kernel, path: Bytes): Fd {
  return kernel.open(AT_FDCWD, path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
}
