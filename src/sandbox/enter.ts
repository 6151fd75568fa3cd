import type { Bytes } from '../bytes.js';
import { fromText, toText } from '../bytes.js';
import type { Context } from '../context.js';
import { AgentfwError } from '../errors.js';
import { startDriver } from '../kernel/driver.js';
import { hasOwnTerminal, isSameProcess } from '../kernel/process.js';
import { flagsDocument } from '../policy/flags.js';
import { buildEnvironment, type CompiledPolicy } from '../policy/index.js';
import { refuseFrozen } from './frozen.js';
import { placesOf, rlimitsOf } from './limits.js';
import { driverError } from './end-words.js';
import type { SandboxRecord } from './sandbox.js';
import { encodeEnterSpec } from './spec.js';
import { compileHere } from './policy.js';
import { readPolicyOf } from './policy-file.js';
import { accountOf, environmentFor, idsOf, nestedOf, netOf } from './start.js';
import { openStore, readRecord, sandboxDir } from './store.js';
import { supervise } from './supervise.js';
import { recordEffect } from './trail.js';

/** What `exec` and `shell` start, and in which sandbox. */
export interface EnterOptions {
  readonly context: Context;
  readonly tag: string;
  /** empty: the user's shell */
  readonly argv: readonly Bytes[];
  /** `NAME` or `NAME=VALUE` */
  readonly env: readonly string[];
  /** null: where the sandbox was started */
  readonly cwd: Bytes | null;
}

/** Runs one more program in a running sandbox, confined as its agent is, and returns that program's status. */
export async function enterSandbox(options: EnterOptions): Promise<number> {
  const { context } = options;
  const store = openStore(context);
  const record = readRecord(store, options.tag);
  const target = targetOf(record);
  refuseFrozen(store, record);
  const account = accountOf(context);
  const cwd = options.cwd ?? record.cwd;
  const policy = readPolicyOf(store, record.tag)?.policy ?? (await compileHere(store, record.argv, NO_WISH, account.home)).policy;
  const built = buildEnvironment(withGiven(policy, options.env), context.env, toText(cwd));
  const env = environmentFor(context, built, { tag: record.tag, cwd }, account);
  const argv = options.argv.length > 0 ? options.argv : [fromText(account.shell)];
  const spec = encodeEnterSpec({
    ...{ mode: record.mode, ...idsOf(context), cwd, net: netOf(record), nested: nestedOf(policy, record.groups, record.mode), tty: hasOwnTerminal() },
    ...{ argv, env: env.map(fromText), rlimits: rlimitsOf(record.limits ?? []), groups: placesOf(record.groups ?? []), target },
  });
  const outcome = await supervise((ears) => startDriver({ verb: 'enter', spec, dir: sandboxDir(store, record.tag) }, ears), {
    onStarted: ({ agent }) => recordEffect(store, record.tag, {
      kind: 'exec', subject: { pid: agent, exe: null, argv: null, cwd: toText(cwd) },
      object: { path: toText(argv[0] ?? ('' as Bytes)), argv: argv.map(toText) }, detail: { by: 'agentfw exec' },
    }),
    onSpawned: () => undefined,
    onDegraded: () => undefined,
    onNoted: () => undefined,
    onRead: () => undefined,
  });
  if (outcome.failure !== null) throw driverError(outcome.failure);
  return outcome.status;
}

const NO_WISH = { flags: {}, files: [], profile: null, ci: false };

/** The sandbox's policy with this command's `--env`. */
function withGiven(policy: CompiledPolicy, words: readonly string[]): CompiledPolicy {
  const { rules, variables } = flagsDocument({ env: words }, '/');
  const fixed = policy.variables.find(({ name, origin }) => origin.layer === 'managed' && variables.some((one) => one.name === name));
  if (fixed !== undefined) throw new AgentfwError('AFW_POLICY_REFUSED', `Refused: environment.set ${fixed.name}: the managed policy sets ${fixed.name}.`, { status: 125, hint: 'Leave it out' });
  const origin = { layer: 'command line', file: 'command line', line: 0, col: 0 } as const;
  const none = { paths: [], hosts: [], names: [] };
  const keeps = rules.map(({ at: _at, subjects, except: _except, ...rule }) => ({
    ...{ ...rule, origin, subjects: { ...none, names: subjects }, except: none, tightens: false },
  }));
  return { ...policy, rules: [...policy.rules, ...keeps], variables: [...policy.variables, ...variables.map(({ name, value }) => ({ name, value, origin }))] };
}

function targetOf(record: SandboxRecord): { readonly pid: number; readonly start: string } {
  if (record.state === 'running' && record.driver !== null && isSameProcess(record.driver)) return record.driver;
  throw new AgentfwError('AFW_NOT_RUNNING', `Sandbox ${record.tag} is not running.`, {
    status: 125,
    hint: `Run something in it: agentfw run --in ${record.tag} -- COMMAND`,
  });
}
