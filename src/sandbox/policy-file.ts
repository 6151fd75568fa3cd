import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { fromBuffer, fromText, joinBytes, toBuffer, toText, type Bytes } from '../bytes.js';
import { AgentfwError, errnoOf } from '../errors.js';
import { readWhole } from '../kernel/files.js';
import type { CompiledPolicy } from '../policy/index.js';
import type { SandboxRecord } from './sandbox.js';
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
 * False when the disk is full: that keeps no agent from running. Not synced here: the
 * record holds the digest, and without this policy no change lands.
 */
export function writePolicy(store: Store, tag: string, stored: StoredPolicy): boolean {
  const temporary = toBuffer(`${sandboxDir(store, tag)}/.policy.json.new` as Bytes);
  try {
    writeFileSync(temporary, JSON.stringify(stored), { mode: 0o600 });
    renameSync(temporary, fileOf(store, tag));
    return true;
  } catch (error) {
    if (errnoOf(error) !== 'ENOSPC' && errnoOf(error) !== 'EDQUOT') throw error;
    rmSync(temporary, { force: true });
    // Of an earlier run: another one's rules would be taken for this one's.
    if (keptDigest(store, tag) !== stored.policy.digest) rmSync(fileOf(store, tag), { force: true });
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

/**
 * What lands by `commit` is judged by the rules of the sandbox's newest run. Throws AFW_STORE_POLICY
 * where that run had some and they were not kept: a rule that nobody knows holds nothing back.
 */
export function requirePolicy(store: Store, { tag, policy }: SandboxRecord): void {
  if (policy === undefined || readPolicyOf(store, tag)?.policy.digest === policy.digest) return;
  throw new AgentfwError('AFW_STORE_POLICY', `The policy of ${tag} is not with it: it was lost, or the disk was full when it started.`, {
    hint: `Make room, and run agentfw run --in ${tag} -- true, which keeps it again`,
  });
}

function keptDigest(store: Store, tag: string): string | null {
  try {
    return readPolicyOf(store, tag)?.policy.digest ?? null;
  } catch {
    return null;
  }
}

function fileOf(store: Store, tag: string): Buffer {
  return toBuffer(joinBytes(sandboxDir(store, tag), 'policy.json' as Bytes));
}

function unreadable(store: Store, tag: string, cause?: unknown): AgentfwError {
  const where = toText(joinBytes(sandboxDir(store, tag), fromText('policy.json')));
  return new AgentfwError('AFW_STORE_POLICY', `Can't read ${where}.`, cause === undefined ? { hint: 'Use the version of agentfw that made it, or a newer one' } : { cause });
}
