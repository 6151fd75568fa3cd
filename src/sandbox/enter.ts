import type { Bytes } from '../bytes.js';
import { fromText } from '../bytes.js';
import type { Context } from '../context.js';
import { AgentfwError } from '../errors.js';
import { startDriver } from '../kernel/driver.js';
import { hasOwnTerminal, isSameProcess } from '../kernel/process.js';
import type { EnvironmentOptions } from './environment.js';
import { driverError } from './run.js';
import type { SandboxRecord } from './sandbox.js';
import { encodeEnterSpec } from './spec.js';
import { accountOf, environmentFor, idsOf } from './start.js';
import { openStore, readRecord, sandboxDir } from './store.js';
import { supervise } from './supervise.js';

export interface EnterOptions {
  readonly context: Context;
  readonly tag: string;
  /** empty: the user's shell */
  readonly argv: readonly Bytes[];
  readonly env: EnvironmentOptions['given'];
  /** null: where the sandbox was started */
  readonly cwd: Bytes | null;
}

/** Runs one more program in a running sandbox, confined as its agent is, and returns that program's status. */
export async function enterSandbox(options: EnterOptions): Promise<number> {
  const { context } = options;
  const store = openStore(context);
  const record = readRecord(store, options.tag);
  const target = targetOf(record);
  const account = accountOf(context);
  const cwd = options.cwd ?? record.cwd;
  const env = environmentFor(context, options.env, { tag: record.tag, cwd }, account);
  const spec = encodeEnterSpec({
    ...{ mode: record.mode, ...idsOf(context), cwd, net: record.net === 'off' ? 'off' : 'host', nested: 'allow', tty: hasOwnTerminal() },
    ...{ argv: options.argv.length > 0 ? options.argv : [fromText(account.shell)], env: env.map(fromText), rlimits: [], target },
  });
  const outcome = await supervise((onEvent) => startDriver({ verb: 'enter', spec, dir: sandboxDir(store, record.tag) }, onEvent), {
    onStarted: () => undefined,
    onDegraded: () => undefined,
  });
  if (outcome.failure !== null) throw driverError(outcome.failure);
  return outcome.status;
}

function targetOf(record: SandboxRecord): { readonly pid: number; readonly start: string } {
  if (record.state === 'running' && record.driver !== null && isSameProcess(record.driver)) return record.driver;
  throw new AgentfwError('AFW_NOT_RUNNING', `Sandbox ${record.tag} is not running.`, {
    status: 125,
    hint: `Run something in it: agentfw run --in ${record.tag} -- COMMAND`,
  });
}
