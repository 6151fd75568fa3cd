import { dropTried } from './keep-layers.js';
import type { Network } from './network.js';
import { sayTag } from './resolve.js';
import type { SandboxRecord } from './sandbox.js';
import { awaitGone, dropWork, removeSandbox } from './stop.js';
import { writeRecord, type Store } from './store.js';

/** A sandbox whose start, or run, came to nothing. */
export interface Fallen {
  readonly record: SandboxRecord;
  /** made for this run: nothing is lost when it is removed again */
  readonly fresh: boolean;
}

/** Whom to tell, as in `RunOptions`, and the gate that stands beside it. */
interface Around {
  readonly say: (line: string) => void;
  readonly network: Pick<Network, 'end'> | null;
}

/**
 * We lost hold of it. Of an agent that had begun what it did is kept, whatever
 * became of its log. Never throws: why we did is the caller's to tell, and what
 * fails here, of the same full disk perhaps, is one line beside that.
 */
export async function letFall(store: Store, { record, fresh }: Fallen, { say, network }: Around): Promise<void> {
  const kept = record.state === 'running';
  const told = (error: unknown): void => say(`agentfw: and then: ${error instanceof Error ? error.message : String(error)}`);
  await giveUp(store, { record, fresh: fresh && !kept }).catch(told);
  await network?.end().catch(told);
  if (kept) say(`agentfw: the sandbox was ended; what the agent changed is kept: agentfw diff ${sayTag(store, record.tag)}`);
}

/** After a start that came to nothing: a sandbox made for it goes, an older one is stopped as before. Throws `KernelError`. */
export async function giveUp(store: Store, { record, fresh }: Fallen): Promise<void> {
  await awaitGone(record);
  if (fresh) return removeSandbox(store, record);
  dropWork(store, record);
  writeRecord(store, { ...record, state: 'stopped', stopped: store.context.now().toISOString(), driver: null, init: null });
}

/** Before a start is tried again: `tried` is as that try left it, `before` as it was. */
export async function dropTry(store: Store, tried: SandboxRecord, before: SandboxRecord): Promise<void> {
  await awaitGone(tried);
  dropTried(store, tried, before);
  dropWork(store, before);
}
