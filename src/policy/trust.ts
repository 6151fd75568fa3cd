import { closeSync, constants, fstatSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { AgentfwError } from '../errors.js';

/** Project files that may loosen: by real path and digest, kept where the agent can't see it. */
export interface TrustRecord {
  readonly digest: string;
  /** ISO 8601 UTC */
  readonly at: string;
}
/** By absolute path of the project file. */
export type TrustStore = Readonly<Record<string, TrustRecord>>;

/** Reads the store; a missing one trusts nothing, a damaged one is refused. */
export function readTrust(stateDir: string): TrustStore {
  let text: string;
  try {
    text = readPlain(trustFile(stateDir));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new AgentfwError('AFW_TRUST_UNREADABLE', `Can't read ${trustFile(stateDir)}`, { cause: error });
  }
  const store = parseStore(text);
  if (store === null) throw new AgentfwError('AFW_TRUST_INVALID', `${trustFile(stateDir)} is damaged`, { hint: 'Move it away and trust your project files again' });
  return store;
}

/** What is no regular file could have us wait for a writer; it reads as damaged. */
function readPlain(file: string): string {
  const fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    return fstatSync(fd).isFile() ? readFileSync(fd, 'utf8') : '';
  } finally {
    closeSync(fd);
  }
}

/** This very content at this very path. */
export function isTrusted(store: TrustStore, file: string, digest: string): boolean {
  return Object.hasOwn(store, file) && store[file]?.digest === digest;
}

/** Replaces what was said of the file before. Throws errno of the write. */
export function trust(stateDir: string, file: string, record: TrustRecord): void {
  writeTrust(stateDir, { ...readTrust(stateDir), [file]: record });
}

/** False when it was not trusted. */
export function untrust(stateDir: string, file: string): boolean {
  const { [file]: removed, ...rest } = readTrust(stateDir);
  if (removed !== undefined) writeTrust(stateDir, rest);
  return removed !== undefined;
}

function trustFile(stateDir: string): string {
  return join(stateDir, 'trust.json');
}

function parseStore(text: string): TrustStore | null {
  try {
    const parsed = JSON.parse(text) as { version?: unknown; trusted?: unknown };
    if (parsed.version !== 1 || typeof parsed.trusted !== 'object' || parsed.trusted === null) return null;
    const entries = Object.entries(parsed.trusted as Record<string, Partial<TrustRecord>>);
    return entries.every(([, record]) => typeof record.digest === 'string') ? (Object.fromEntries(entries) as TrustStore) : null;
  } catch {
    return null;
  }
}

function writeTrust(stateDir: string, trusted: TrustStore): void {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const temp = join(stateDir, 'trust.json.new');
  const fd = openSync(temp, 'w', 0o600);
  writeSync(fd, `${JSON.stringify({ version: 1, trusted }, null, 2)}\n`);
  fsyncSync(fd);
  closeSync(fd);
  renameSync(temp, trustFile(stateDir));
  const dir = openSync(stateDir, 'r');
  fsyncSync(dir);
  closeSync(dir);
}
