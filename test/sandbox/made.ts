/** Stores and sandboxes of a test's own, without a run. */
import { afterEach } from 'vitest';
import { fromText } from '../../src/bytes.js';
import type { AgentfwError } from '../../src/errors.js';
import type { SandboxRecord } from '../../src/sandbox/sandbox.js';
import { createSandbox, openStore, type Lock, type Store } from '../../src/sandbox/store.js';
import { testContext } from '../helpers/context.js';

export const locks: Lock[] = [];

afterEach(() => {
  for (const lock of locks.splice(0)) lock.release();
});

export function storeIn(dir: string, cwd?: string): Store {
  return openStore(testContext({ AGENTFW_STATE_DIR: `${dir}/state` }, cwd));
}

/** As a run makes it; its lock is held until the test ends. */
export function make(store: Store, tag: string | null, cwd = '/work'): SandboxRecord {
  const { record, running } = createSandbox(store, {
    ...{ tag, argv: [fromText('claude')], cwd: fromText(cwd), mode: 'user', net: 'allow', durable: false },
  });
  locks.push(running);
  return record;
}

export function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    return (error as AgentfwError).code;
  }
  return 'no error';
}
