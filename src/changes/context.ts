import { ulid } from 'ulid';
import { fromText, joinBytes, type Bytes } from '../bytes.js';
import { AT_FDCWD } from '../kernel/kernel.js';
import type { SandboxRecord } from '../sandbox/sandbox.js';
import { listRecords, type Store } from '../sandbox/store.js';
import type { CommitContext, StoreContext } from './store-context.js';
import type { Layered } from './git/undo.js';

/** What the commit engine needs, from an opened store. */
export function storeContextOf(store: Store): StoreContext {
  const { context, kernel, dir } = store;
  const lock = hostLock(store);
  return {
    ...{ kernel, stateDir: dir, now: context.now },
    randomId: () => ulid(context.now().getTime()).toLowerCase(),
    ...(lock === null ? {} : { hostLock: lock }),
  };
}

/** A commit's view of the store, with the sandbox that it is about. */
export function commitContextOf(store: Store, record: SandboxRecord): CommitContext {
  return { ...storeContextOf(store), record };
}

/** Of all sandboxes that can be read. */
export function layersIn(store: Store): readonly Layered[] {
  return listRecords(store).records.flatMap(({ layers }) => layers.map(({ base, dir }) => ({ base, upper: joinBytes(dir, 'upper' as Bytes) })));
}

/** All stores of a user share it: two commits at once would see each other's half. Only in a runtime directory that is ours. */
function hostLock({ context, kernel }: Store): Bytes | null {
  const runtime = context.env['XDG_RUNTIME_DIR'];
  if (runtime?.startsWith('/') !== true) return null;
  const stat = kernel.statOrNull(AT_FDCWD, fromText(runtime));
  if (stat === null || stat.uid !== context.uid || (stat.mode & 0o022) !== 0) return null;
  return joinBytes(fromText(runtime), 'agentfw-commit.lock' as Bytes);
}
