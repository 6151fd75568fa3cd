import { publicKeyOf } from '../audit/chain.js';
import { userKey } from '../audit/files.js';
import { readLog } from '../audit/read.js';
import { verifyLog } from '../audit/verify.js';
import { fromText, toText, type Bytes } from '../bytes.js';
import type { Context } from '../context.js';
import { AgentfwError } from '../errors.js';
import { flagField, objectLines, textField } from '../fields.js';
import { DRIVER } from '../kernel/background.js';
import type { SandboxRecord } from './sandbox.js';
import { runSandbox } from './run.js';
import { abandonedTargets, makeTargets, type Targets } from './selftest-targets.js';
import { ATTEMPTS } from './selftest-words.js';
import { removeSandbox } from './stop.js';
import { listRecords, newTag, openStore, sandboxDir, type Store } from './store.js';

/** One attempt from inside, or one look from outside. */
export interface Attempt {
  readonly name: string;
  readonly held: boolean;
  /** what the kernel or the gate answered; may be '' */
  readonly detail: string;
}

/** What was tried, and which protections were missing. */
export interface SelfTest {
  readonly attempts: readonly (Attempt & { readonly meaning: string })[];
  readonly degraded: SandboxRecord['degraded'];
}

/** What a run left that only the outside can tell. */
export interface Outside {
  /** names of attempts that reached the host after all */
  readonly reached: ReadonlySet<string>;
  readonly looks: readonly Attempt[];
}

/** Addresses that no rule allows, tried through the gate: each must be in the record as refused. */
const REFUSED = ['192.0.2.1', '169.254.169.254'];

/**
 * Runs a sandbox under the user's own policy whose agent climbs its walls,
 * and says which held. `contentOf` reads a file as the sandbox left it. The
 * sandbox is thrown away. Throws `AgentfwError` when it could not be run.
 */
export async function selfTest(
  context: Context,
  accepted: ReadonlySet<string>,
  contentOf: (store: Store, record: SandboxRecord, path: Bytes) => Iterable<Buffer>,
): Promise<SelfTest> {
  const store = openStore(context);
  clearAbandoned(store);
  const targets = await makeTargets(store.kernel);
  try {
    let found: SelfTest | null = null;
    const status = await runSandbox({
      context: { ...context, cwd: fromText(targets.dir), env: { ...context.env, SELFTEST_API_TOKEN: 'secret', LD_AUDIT: 'hook' } },
      argv: [DRIVER, '--climb', targets.dir, toText(store.dir), String(targets.port), ...targets.namespaces].map(fromText),
      ...{ tag: newTag(store, 'selftest' as Bytes), resume: null, onResume: () => undefined, detach: false, durable: false, rm: false, accepted },
      net: 'deny',
      network: { person: false, noAsk: true, publish: [], connectHost: new Map(), onQuestions: () => undefined },
      wish: { flags: { hide: [targets.secret], passthrough: [], share: [], env: [], net: 'deny' }, files: [], profile: null, ci: false },
      ...{ self: [], say: () => undefined, warn: () => undefined, onDetached: () => undefined },
      onStopped: (store, record) => {
        const told = parseAttempts(readAll(contentOf(store, record, fromText(`${targets.dir}/result.jsonl`))));
        found = { attempts: judgeAttempts(told, look(store, record, targets)), degraded: record.degraded };
        // Not by `rm`: that throws the record away before its end is signed.
        removeSandbox(store, record);
        return null;
      },
    });
    if (found === null || status !== 0) throw unfinished(status);
    return found;
  } finally {
    targets.close();
  }
}

/** What a self-test left that was killed: its directory, and the sandbox that began there. */
function clearAbandoned(store: Store): void {
  for (const targets of abandonedTargets(store.kernel, store.context.uid)) {
    const ended = listRecords(store).records.filter(({ cwd, state }) => cwd === targets.dir && state !== 'running' && state !== 'starting');
    for (const record of ended) removeSandbox(store, record);
    targets.remove();
  }
}

function readAll(pieces: Iterable<Buffer>): string {
  return Buffer.concat([...pieces]).toString('utf8');
}

function unfinished(status: number): AgentfwError {
  return new AgentfwError('AFW_SELFTEST', `The attempts did not finish: status ${status}.`, {
    hint: 'Try it in a directory that a sandbox can write to: TMPDIR=$HOME agentfw selftest',
  });
}

/** What only the host's side knows. */
function look(store: Store, { tag, audit }: SandboxRecord, targets: Targets): Outside {
  const { kernel, dir } = store;
  const log = sandboxDir(store, tag);
  const refused = [...readLog(kernel, log, { denied: true })].map((record) => JSON.stringify(record.object));
  const missing = REFUSED.filter((address) => !refused.some((object) => object.includes(address)));
  const chain = verifyLog(kernel, log, tag, { publicKey: publicKeyOf(userKey(kernel, dir)), anchor: audit ?? null });
  return {
    reached: targets.reached(),
    looks: [
      { name: 'record.refusals', held: missing.length === 0, detail: missing.length === 0 ? '' : `nothing of ${missing.join(', ')}` },
      { name: 'record.chain', held: chain.ok && chain.end === 'signed', detail: chain.ok ? chain.end : chain.why },
    ],
  };
}

/** One JSON object per line. */
export function parseAttempts(text: string): Attempt[] {
  return objectLines(text, 'an attempt').map((fields) => ({
    name: textField(fields['name'], 'name'),
    held: flagField(fields['held'], 'held'),
    detail: textField(fields['detail'], 'detail'),
  }));
}

/** Pure: every attempt that is known, in its order; what was not told has not held, and what reached the host neither. */
export function judgeAttempts(told: readonly Attempt[], { reached, looks }: Outside): SelfTest['attempts'] {
  const all = [...told, ...looks];
  return Object.entries(ATTEMPTS).map(([name, meaning]) => {
    const attempt = all.find((one) => one.name === name) ?? { name, held: false, detail: 'was not tried' };
    return reached.has(name) ? { name, held: false, detail: 'it reached the host', meaning } : { ...attempt, meaning };
  });
}
