import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { fromBuffer, fromText, joinBytes, toBuffer, toText, type Bytes } from '../bytes.js';
import { AgentfwError, errnoOf } from '../errors.js';
import { readWhole } from '../kernel/files.js';
import type { CompiledPolicy } from '../policy/index.js';
import { sandboxDir, type Store } from './store.js';

/** `policy.json` of a sandbox: the policy of its newest run, and what was found when it was applied. */
export interface StoredPolicy {
  readonly version: 1;
  readonly policy: CompiledPolicy;
  /** for people: what is worth knowing beside the rules */
  readonly notes: readonly string[];
  /** variables of the user that the agent did not get although they look like credentials */
  readonly withheld: readonly string[];
}

/**
 * False when the disk is full: that keeps no agent from running. Not synced,
 * because the record holds the digest, and a policy that is lost is no policy.
 */
export function writePolicy(store: Store, tag: string, stored: StoredPolicy): boolean {
  const temporary = toBuffer(`${sandboxDir(store, tag)}/.policy.json.new` as Bytes);
  try {
    writeFileSync(temporary, JSON.stringify(stored), { mode: 0o600 });
    renameSync(temporary, fileOf(store, tag));
    return true;
  } catch (error) {
    if (errnoOf(error) !== 'ENOSPC' && errnoOf(error) !== 'EDQUOT') throw error;
    for (const file of [temporary, fileOf(store, tag)]) rmSync(file, { force: true });
    return false;
  }
}

/** Null for a sandbox of a version that had no policies, or when a machine crash took the file. */
export function readPolicyOf(store: Store, tag: string): StoredPolicy | null {
  const text = readWhole(store.kernel, fromBuffer(fileOf(store, tag)))?.toString('utf8') ?? '';
  if (text === '') return null;
  try {
    const stored = JSON.parse(text) as StoredPolicy;
    if (stored.version === 1 && stored.policy.version === 1) return stored;
  } catch (cause) {
    throw unreadable(store, tag, cause);
  }
  throw unreadable(store, tag);
}

function fileOf(store: Store, tag: string): Buffer {
  return toBuffer(joinBytes(sandboxDir(store, tag), 'policy.json' as Bytes));
}

function unreadable(store: Store, tag: string, cause?: unknown): AgentfwError {
  const where = toText(joinBytes(sandboxDir(store, tag), fromText('policy.json')));
  return new AgentfwError('AFW_STORE_POLICY', `Can't read ${where}.`, cause === undefined ? { hint: 'Use the version of agentfw that made it, or a newer one' } : { cause });
}
