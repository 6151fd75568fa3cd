import { joinBytes, toText, type Bytes } from '../bytes.js';
import { AgentfwError } from '../errors.js';
import { listField, textField } from '../fields.js';
import { readAnswers, storeAnswer } from '../gate/approvals.js';
import { MOST_MISSED, type Question } from '../gate/ask.js';
import type { Gate } from '../gate/gate.js';
import type { Published } from '../gate/publish.js';
import type { RunProgram } from '../gate/approver.js';
import { runProgram, type Driver } from '../kernel/driver.js';
import { settingOf, type CompiledPolicy } from '../policy/index.js';
import { isOnLoopback, proxyVariable, upstreamOf, type Upstream } from '../policy/upstream.js';
import { waitLock } from './lock.js';
import { makeQuiet, type Quiet } from './idle-memory.js';
import type { SandboxRecord } from './sandbox.js';
import { sandboxDir, type Store } from './store.js';
import type { Trail } from './trail.js';

/** What the command line says about the network, beside `--net`. */
export interface NetworkWish {
  /** false: nobody at a terminal, who could answer */
  readonly person: boolean;
  /** `--no-ask`: not even the policy's approver is asked */
  readonly noAsk: boolean;
  readonly publish: readonly Published[];
  /** port of the sandbox's loopback → port of the host's */
  readonly connectHost: ReadonlyMap<number, number>;
  /** what waits for an answer; may ring a bell and set a title, nothing else */
  readonly onQuestions: (open: readonly Question[]) => void;
}

/** The supervisor's half of the network gate, for one run. */
export interface Network {
  /** hands it the driver's channel; what fails from then on ends the tree. Again for another start, once the driver before has ended */
  readonly attach: (driver: Driver) => void;
  /** after the driver has ended: why the gate ended the tree, or null */
  readonly end: () => Promise<AgentfwError | null>;
  /** what would have been asked about, as rules, most wanted first */
  readonly wouldAsk: () => readonly { readonly rule: string; readonly count: number }[];
  /** somebody could answer: what was not asked then was one question too many */
  readonly asks: boolean;
}

/** What a run's network is made of. */
export interface NetworkOptions {
  readonly store: Store;
  readonly record: SandboxRecord;
  readonly policy: CompiledPolicy;
  readonly trail: Trail;
  readonly wish: NetworkWish;
}

const ASK_TIMEOUT_S = 60;
const LAST_WORDS_MS = 1000;

/** Refuses what contradicts itself, and what goes around the managed policy's network rules. */
export function checkNetwork(net: SandboxRecord['net'], { publish, connectHost }: NetworkWish, policy: CompiledPolicy, env: Store['context']['env']): void {
  const { rules, settings } = policy;
  const gated = net === 'ask' || net === 'deny';
  if (!gated && publish.length + connectHost.size > 0) {
    const flag = publish.length > 0 ? '--publish' : '--connect-host';
    throw new AgentfwError('AFW_NET', `${flag} needs the network gate.`, { status: 125, hint: `Say --net ask or --net deny: with --net ${net} ${net === 'off' ? 'nothing leads out or in' : 'the ports are the host’s own'}` });
  }
  if (gated) upstreamFor(policy, env);
  const managed = [...rules.filter(({ list }) => list.startsWith('network.')), ...settings.filter(({ key }) => key === 'network.default')].find(({ origin }) => origin.layer === 'managed');
  if (managed === undefined) return;
  if (net === 'allow') {
    throw new AgentfwError('AFW_NET', 'Refused: --net allow goes around the network rules of the managed policy.', { status: 125, hint: `${managed.origin.file} has them: say --net ask or --net deny` });
  }
  const upstream = settings.find(({ key }) => key === 'network.upstream');
  if (!gated || upstream === undefined || upstream.origin.layer === 'managed') return;
  // The proxy looks names up: where they lead is no longer checked here.
  throw new AgentfwError('AFW_NET', 'Refused: network.upstream would let a proxy decide where names lead, and the managed policy has network rules.', { status: 125, hint: `Have ${managed.origin.file} name the proxy: network: {upstream: environment}` });
}

/** The agent may look for an open port at once. */
export function waitsForDoors({ publish, connectHost }: NetworkWish, policy: CompiledPolicy, env: Store['context']['env']): boolean {
  const upstream = upstreamFor(policy, env);
  return publish.length + connectHost.size > 0 || (upstream !== null && isOnLoopback(upstream));
}

/** The gate's rung that the user insists on. */
export function rungWish(store: Store): string | null {
  return store.context.env['AGENTFW_GATE'] ?? null;
}

/** Starts nothing before `attach`. */
export function makeNetwork(options: NetworkOptions): Network {
  let gate: Gate | null = null;
  let starting: Promise<void> = Promise.resolve();
  let failure: AgentfwError | null = null;
  /** the one whose failures count; null: it has ended */
  let current: Driver | null = null;
  const quiet = makeQuiet(options.store.kernel);
  const fail = (driver: Driver, error: unknown): void => {
    if (driver !== current) return;
    failure ??= error instanceof AgentfwError ? error : new AgentfwError('AFW_GATE', 'The network gate failed; the sandbox was ended.', { status: 125, cause: error });
    driver.send({ do: 'kill' });
  };
  return {
    attach: (driver) => {
      current = driver;
      const over = (): void => void (current = current === driver ? null : current);
      void driver.ended.then(over, over);
      quiet.soon();
      // The gate of an earlier start has ended with its driver; whatever it left makes room first.
      const before = starting.then(() => gate?.close());
      starting = before.then(() => open(options, quiet, driver)).then(
        (opened) => {
          gate = opened;
          if (waitsForDoors(options.wish, options.policy, options.store.context.env)) driver.send({ do: 'go' });
          void opened.session.ended.then((error) => error !== null && fail(driver, error));
        },
        (error: unknown) => fail(driver, error),
      );
    },
    end: async () => {
      current = null;
      quiet.stop();
      await starting;
      if (gate !== null) await lastWords(gate);
      gate?.close();
      options.wish.onQuestions([]);
      return failure;
    },
    wouldAsk: () => gate?.asking.wouldAsk() ?? [],
    asks: asksSomebody(options),
  };
}

/** The gate ends with the driver; what it still said is read to its end, but not waited for without one. */
function lastWords({ session }: Gate): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, LAST_WORDS_MS);
    void session.ended.then(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function asksSomebody({ store, record, policy, wish }: NetworkOptions): boolean {
  return record.net === 'ask' && !wish.noAsk && (wish.person || approverOf(policy, store.context) !== null);
}

async function open(options: NetworkOptions, quiet: Quiet, driver: Driver): Promise<Gate> {
  const { store, record, policy, trail, wish } = options;
  if (driver.gate === null) throw new Error('the driver has no gate');
  const { startGate } = await import('../gate/gate.js');
  const { context, kernel } = store;
  const approver = approverOf(policy, context);
  return startGate({
    ...{ stream: driver.gate, policy, audit: trail.audit, dir: toText(sandboxDir(store, record.tag)), now: context.now },
    newId: () => idOf(context.random(5)),
    ask: {
      enabled: asksSomebody(options),
      person: wish.person,
      timeoutMs: Number(settingOf(policy, 'ask.timeout')?.value ?? ASK_TIMEOUT_S) * 1000,
      approver,
      onChanged: (open) => {
        quiet.soon();
        wish.onQuestions(open);
      },
      stored: readAnswers(kernel, store.dir).filter(({ project }) => project === policy.project),
      store: ({ rule, verdict, by }) => withAnswers(store, () => storeAnswer(kernel, store.dir, { project: policy.project, rule, verdict, at: context.now().toISOString(), by })),
    },
    publish: wish.publish,
    connectHost: wish.connectHost,
    upstream: upstreamFor(policy, context.env),
    unusedProxy: settingOf(policy, 'network.upstream') === null ? proxyVariable(context.env) : null,
  });
}

/** The policy's `ask.approver`: it runs outside, as the user, where no agent's file is the working directory. */
function approverOf(policy: CompiledPolicy, { env }: Store['context']): { readonly argv: readonly string[]; readonly run: RunProgram } | null {
  const given = settingOf(policy, 'ask.approver')?.value;
  if (given === undefined) return null;
  const argv = listField(JSON.parse(String(given)), 'ask.approver').map((word) => textField(word, 'ask.approver'));
  const run: RunProgram = (words, input, patience) => runProgram(words, { input, ...patience, cwd: '/', env });
  return { argv: argv.map((word, i) => (i === 0 ? word.replace(/^~(?=\/)/, policy.home) : word)), run };
}

/** The proxy that the gate goes through; refused where the environment names none that it can speak to. */
function upstreamFor(policy: CompiledPolicy, env: Store['context']['env']): Upstream | null {
  const setting = settingOf(policy, 'network.upstream');
  const found = setting === null ? null : upstreamOf(String(setting.value), env);
  if (found?.ok === false) throw new AgentfwError('AFW_NET', `The proxy of network.upstream can't be used. ${found.why}.`, { status: 125, hint: found.hint });
  return found?.value ?? null;
}

/** One writer of `approvals.json` at a time. */
export function withAnswers<T>(store: Store, act: () => T): T {
  const lock = waitLock(store.kernel, joinBytes(store.dir, 'approvals.lock' as Bytes), () => undefined);
  try {
    return act();
  } finally {
    lock.release();
  }
}

/** Without letters and digits that look alike. */
const ALPHABET = '23456789abcdefghjkmnpqrstvwxyz';

function idOf(random: Buffer): string {
  return [...random].map((byte) => ALPHABET.charAt(byte % ALPHABET.length)).join('');
}

const MOST_NAMED = 5;

/** What the user should know of refusals when the agent is done: at most two lines. `tag` is null where its log goes with it. */
export function networkLines(tag: string | null, trail: Trail, network: Network | null): readonly string[] {
  if (network === null || trail.refused() === 0) return [];
  const missed = network.wouldAsk();
  const rules = missed.slice(0, MOST_NAMED).map(({ rule }) => `"${rule}"`).join(', ');
  const more = missed.length > MOST_NAMED ? `, and ${missed.length >= MOST_MISSED ? 'at least ' : ''}${missed.length - MOST_NAMED} more` : '';
  return [
    `agentfw: ${trail.refused()} refused by the network gate${tag === null ? '; --rm threw the log away' : `: agentfw log ${tag} --denied`}`,
    ...(missed.length === 0 ? [] : [`agentfw: ${network.asks ? 'there were too many questions' : 'nobody could be asked'}; to allow it, in your policy: network: {allow: [${rules}]}${more}`]),
  ];
}
