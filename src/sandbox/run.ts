import { constants } from 'node:os';
import type { Bytes } from '../bytes.js';
import { toText } from '../bytes.js';
import type { Context } from '../context.js';
import { AgentfwError } from '../errors.js';
import { startDriver, type Driver } from '../kernel/driver.js';
import { optimiseLater, staySmall } from '../kernel/optimise.js';
import { startTimeOf } from '../kernel/process.js';
import { anchored, keepAnchored } from './anchor.js';
import { startCapture, type Capture } from '../changes/capture/capture.js';
import { adoptLog, backgroundOf, report, runInBackground } from './detach.js';
import { checkNetwork, makeNetwork, networkLines, rungWish, waitsForDoors, type Network, type NetworkWish } from './network.js';
import { captureOf, settingOf, type CompiledPolicy } from '../policy/index.js';
import { makeExecLog } from './execs.js';
import { foreignGroupNote } from './foreign-group.js';
import { watchLimits, type LimitWatch } from './limit-watch.js';
import { dropTry, giveUp, letFall } from './give-up.js';
import { keepLayers } from './keep-layers.js';
import { limitLines } from './limit-words.js';
import { holdLimits, releaseLimits, type LimitPlan } from './limits.js';
import { hostMoved } from './moved.js';
import { noteRecord } from './note.js';
import type { SandboxRecord } from './sandbox.js';
import { writePolicy } from './policy-file.js';
import { notesOf, startLines, withheldIn } from './policy-words.js';
import { policyForRun, type PolicyWish, type RunPolicy } from './policy.js';
import { endLines, whyEnded } from './end-words.js';
import { accountOf, idsOf, isReadOnlyAt, modeOf, netOf, prepareStart, type Start } from './start.js';
import { awaitGone, isDiskFull, recordStop, removeSandbox } from './stop.js';
import { createSandbox, lockRunning, openStore, readRecord, sandboxDir, writeRecord, type Lock, type Store } from './store.js';
import { sayTag } from './resolve.js';
import { refuseUnstartable } from './startable.js';
import { socketRecord } from './sockets.js';
import { supervise, type Outcome } from './supervise.js';
import { openTrail, type Trail } from './trail.js';

/** What `agentfw run` was asked for. */
export interface RunOptions {
  readonly context: Context;
  readonly argv: readonly Bytes[];
  readonly wish: PolicyWish;
  /** `--accept-degraded`: protections that may be missing */
  readonly accepted: ReadonlySet<string>;
  readonly detach: boolean;
  /** null: made from the agent's name */
  readonly tag: string | null;
  /** `--in TAG`: run again in a stopped sandbox */
  readonly resume: string | null;
  readonly net: 'off' | 'allow' | 'ask' | 'deny';
  readonly network: NetworkWish;
  readonly rm: boolean;
  readonly durable: boolean;
  /** the program and words that started this process, for `--detach` */
  readonly self: readonly string[];
  /** one plain line for people, on stderr, with names as they are: to be escaped; must not touch the flags of the fd that the agent shares */
  readonly say: (line: string) => void;
  /** a limit is nearly used up; the agent may have the terminal */
  readonly warn: (text: string) => void;
  /** `--detach`: the agent runs, and this command is about to return */
  readonly onDetached: (tag: string) => void;
  /** `--in`: called when nobody else can start it any more and nothing of it is looked at yet; throws to refuse */
  readonly onResume: (store: Store) => void | Promise<void>;
  /** called when the agent's tree has ended and its record is written; a status in place of the agent's 0, or null; failed: its changes stay, as was said */
  readonly onStopped: (store: Store, record: SandboxRecord, policy: CompiledPolicy, facts: RunFacts) => Held | Promise<Held>;
}

type Held = number | null | 'failed';

/** What only the run itself knows. */
export interface RunFacts {
  /** the agent's, 128+n for a signal */
  readonly status: number;
  /** by the network gate */
  readonly refused: number;
  /** rules that would allow what nobody could be asked about */
  readonly wouldAsk: readonly string[];
}

const MAX_TRIES = 3;

/** A base file beyond this is cloned where that is free, else left uncaptured; and the sum of all copies. */
const CAPTURE_FILE_BYTES = 8 << 20;
const CAPTURE_TOTAL_BYTES = 256 << 20;

/**
 * Runs an agent in a new or a stopped sandbox and returns its status: the
 * agent's own, 128+n for a signal. Throws `AgentfwError` with 125, 126 or 127
 * when it never started.
 */
export async function runSandbox(options: RunOptions): Promise<number> {
  const { context } = options;
  refuseUnstartable(options.argv[0] ?? ('' as Bytes), context.cwd);
  const optimiseNow = optimiseLater();
  staySmall();
  const background = options.detach ? backgroundOf(context) : null;
  const store = openStore(context);
  if (options.detach && background === null) return runInBackground(options, store);
  const policy = await policyForRun(store, options.argv, options.wish, accountOf(context).home);
  const network = background === null ? options.network : { ...options.network, person: background.attended };
  checkNetwork(options.net, network, policy.policy, context.env);
  const limits = holdLimits(policy.policy, modeOf(context), options.accepted);
  try {
    const opened = await open(store, { ...options, tag: background?.tag ?? options.tag });
    try {
      return await runOpened(store, opened, { ...options, network, policy, limits, background: background !== null, optimiseNow });
    } finally {
      opened.running.release();
    }
  } finally {
    await releaseLimits(limits);
  }
}

interface Opened {
  readonly record: SandboxRecord;
  readonly running: Lock;
  /** made for this run: nothing is lost when it is removed again */
  readonly fresh: boolean;
}

async function open(store: Store, options: RunOptions): Promise<Opened> {
  const { context, argv, durable, net } = options;
  const mode = modeOf(context);
  if (options.resume === null) {
    const made = createSandbox(store, { tag: options.tag, argv, cwd: context.cwd, mode, net, durable });
    return { record: made.record, running: made.running, fresh: true };
  }
  const running = lockRunning(store, options.resume, (what) => options.say(`agentfw: waiting for ${what}`));
  try {
    await options.onResume(store);
    let record = readRecord(store, options.resume);
    if (record.mode !== mode) throw otherMode(record);
    if (record.state === 'discarded') throw new AgentfwError('AFW_DISCARDED', `Sandbox ${record.tag} is discarded.`, { status: 125, hint: 'Start a new one: agentfw run' });
    if (!(await awaitGone(record))) throw new AgentfwError('AFW_RUNNING', `Sandbox ${record.tag} is still ending.`, { status: 125, hint: 'Try again in a moment' });
    record = keepLayers(store, (await import('./begin-anew.js')).beginAnew(store, record));
    const started = context.now().toISOString();
    // What a machine crash left unverified stays so: the old boot's id says it.
    const bootId = record.state === 'unclean' ? record.bootId : context.bootId();
    const again: SandboxRecord = {
      ...record,
      ...{ state: 'starting', argv, cwd: context.cwd, started, stopped: null, bootId, driver: null, init: null },
      ...{ exit: null, net, durable: record.durable || durable },
    };
    return { record: again, running, fresh: false };
  } catch (error) {
    running.release();
    throw error;
  }
}

function otherMode(record: SandboxRecord): AgentfwError {
  return new AgentfwError('AFW_MODE', `Sandbox ${record.tag} was made in ${record.mode} mode: its layers can't be used in the other.`, {
    status: 125,
    hint: record.mode === 'root' ? 'Run as root' : 'Run as the user who made it, without root',
  });
}

interface Prepared extends RunOptions {
  readonly policy: RunPolicy;
  readonly limits: LimitPlan;
  readonly background: boolean;
  /** to be called when the agent runs */
  readonly optimiseNow: () => void;
}

async function runOpened(store: Store, opened: Opened, options: Prepared): Promise<number> {
  let record = opened.record;
  let outcome: Outcome;
  const { policy } = options.policy;
  const trail = await beginTrail(store, opened, policy, options.say);
  for (const { name, why } of options.limits.lacking) {
    trail.degraded(name, why);
    options.say(`agentfw: accepted: no ${name} limit: ${why}`);
  }
  const network = netOf(record) === 'gate' ? makeNetwork({ store, record, policy, trail, wish: options.network }) : null;
  try {
    for (let tries = MAX_TRIES; ; tries -= 1) {
      const start = prepareStart(store, opened.record, { ...options, wait: network !== null && waitsForDoors(options.network, policy, store.context.env) });
      record = start.record;
      if (tries === MAX_TRIES) {
        announce(store, start, options);
        trail.withheld(start.environment.dropped);
      }
      outcome = await drive(store, start, { keep: (changed) => (record = changed), options, trail, network });
      if (tries <= 1 || !hostMoved(outcome)) break;
      await dropTry(store, record, opened.record);
    }
  } catch (error) {
    trail.leave();
    await letFall(store, { ...opened, record }, { say: options.say, network });
    throw error;
  }
  const broken = (await network?.end()) ?? null;
  const failed = whyEnded(outcome, broken, store.context, record);
  const came = failed === null || outcome.started;
  // The log ends first: the record remembers its end.
  const thrownAway = options.rm || (opened.fresh && !came);
  if (thrownAway) trail.leave();
  else for (const line of trail.end(outcome)) options.say(line);
  if (came) record = recordStop(store, anchored(record, trail.audit), outcome, options.rm);
  if (!thrownAway) trail.settle();
  const use = await releaseLimits(options.limits);
  if (!came) {
    await giveUp(store, { ...opened, record });
    throw failed;
  }
  if (isDiskFull(record)) options.say(`agentfw: the disk under the store is full, the agent had no space left; agentfw discard ${sayTag(store, record.tag)} or agentfw prune frees some`);
  if (failed !== null && (broken !== null || outcome.failure?.code === 'net' || outcome.failure?.code === 'audit')) throw failed;
  for (const line of [...networkLines(options.rm ? null : record.tag, trail, network), ...limitLines(record, use), ...endLines(outcome)]) options.say(line);
  const facts = { status: outcome.status, refused: trail.refused(), wouldAsk: (network?.wouldAsk() ?? []).map(({ rule }) => rule) };
  const held = await options.onStopped(store, record, policy, facts);
  if (held === 'failed') return outcome.status;
  if (options.rm) removeSandbox(store, record);
  return outcome.status === 0 ? (held ?? 0) : outcome.status;
}

/** A run that can't be recorded doesn't begin. */
async function beginTrail(store: Store, opened: Opened, policy: CompiledPolicy, say: RunOptions['say']): Promise<Trail> {
  try {
    const full = settingOf(policy, 'audit.full')?.value === 'drop' ? 'drop' : 'stop';
    return openTrail(store, opened.record, { digest: policy.digest, profile: policy.profile.name, full });
  } catch (error) {
    await letFall(store, opened, { say, network: null });
    throw error;
  }
}

/** Keeps the policy with the sandbox. */
function keepPolicy(store: Store, { record, environment }: Start, { policy, network, say }: Prepared): void {
  const notes = notesOf(policy, environment, { net: record.net, connectHost: network.connectHost });
  const kept = writePolicy(store, record.tag, { version: 1, policy: policy.policy, notes, withheld: withheldIn(environment) });
  if (!kept) say('agentfw: the disk under the store is full: the policy could not be kept with the sandbox');
}

/** Tells what the user should know before the agent starts. */
function announce(store: Store, { record, environment }: Start, { policy, network, say }: Prepared): void {
  for (const line of startLines(policy, environment, { ...record, connectHost: network.connectHost })) say(line);
  const group = record.mode === 'user' ? foreignGroupNote(record.cwd, idsOf(store.context)) : null;
  if (group !== null) say(`agentfw: ${group}`);
  if (isReadOnlyAt(record) && record.mode === 'user') say(`agentfw: ${toText(record.cwd)} is read-only in the sandbox: you may not write it, or no layer can lie over it`);
}

interface Driving {
  readonly keep: (record: SandboxRecord) => void;
  readonly options: Prepared;
  readonly trail: Trail;
  readonly network: Network | null;
}

async function drive(store: Store, start: Start, { keep, options, trail, network }: Driving): Promise<Outcome> {
  let record = start.record;
  const beside: { readonly stop: () => void }[] = [];
  let held: Driver | null = null;
  const execs = makeExecLog(trail.audit);
  // Whatever happens from here on, the layers are known. The disk has time while the driver builds the view, and so have we.
  const note = noteRecord(store, start.record);
  note.write();
  const gate = network === null ? {} : { gate: { rung: rungWish(store) } };
  const watching = supervise((ears) => (held = startDriver({ verb: 'run', spec: start.spec, dir: sandboxDir(store, record.tag), ...gate }, ears)), {
    onSpawned: (driver) => {
      network?.attach(driver);
      keepPolicy(store, start, options);
      note.sync();
    },
    onStarted: ({ driver, init }) => {
      options.optimiseNow();
      record = anchored({ ...record, state: 'running', driver: processOf(driver), init: processOf(init) }, trail.audit);
      // Before anything can fail: it is there, and what it does from now on is not to be lost.
      keep(record);
      // An agent may have filled the disk by now: the record has room of its own.
      const running = noteRecord(store, record);
      running.sync();
      running.write();
      beside.push(keepAnchored(trail.audit, (audit) => {
        record = { ...record, audit };
        keep(record);
        writeRecord(store, record);
      }));
      // Where the changes are thrown away at the end, no base will be asked for.
      if (!options.rm) beside.push(...captureBases(store, record, options.policy.policy));
      beside.push(watchRun(store, record, { trail, warn: options.warn }, (sentence) => {
        record = { ...record, limited: sentence };
        keep(record);
        endTree(held);
      }));
      if (options.background) goOnAlone(store, record.tag);
    },
    onDegraded: (name, why) => {
      trail.degraded(name, why);
      const accepted = options.accepted.has(name);
      if (!accepted) options.say(`agentfw: this kernel lacks ${name}: ${why}`);
      record = { ...record, degraded: [...record.degraded, { name, why, accepted }] };
      keep(record);
    },
    onNoted: (event) => void (event.event === 'exec' ? execs.add(event) : trail.audit.record(socketRecord(options.policy.sockets.sockets, event))),
    onRead: execs.flush,
  });
  const outcome = await watching.finally(() => {
    for (const one of beside.reverse()) one.stop();
  });
  // An agent that ends well because it was told to has not ended well.
  return record.limited !== undefined && outcome.status === 0 ? { ...outcome, status: 128 + constants.signals.SIGTERM } : outcome;
}

/** The command that started this one returns. */
function goOnAlone(store: Store, tag: string): void {
  adoptLog(store, tag);
  report(tag);
}

const GRACE_MS = 3000;

/** The agent may put its things in order, for a moment. */
function endTree(driver: Driver | null): void {
  driver?.send({ do: 'signal', signal: constants.signals.SIGTERM });
  setTimeout(() => driver?.send({ do: 'kill' }), GRACE_MS).unref();
}

function watchRun(store: Store, record: SandboxRecord, { trail, warn }: Pick<Prepared, 'warn'> & { readonly trail: Trail }, onReached: (sentence: string) => void): LimitWatch {
  const { kernel, context } = store;
  return watchLimits({ kernel, record, dir: sandboxDir(store, record.tag), now: () => context.now().getTime() }, {
    onReached: (limit, sentence) => {
      trail.limited(limit, sentence);
      onReached(sentence);
    },
    onNear: (limit, sentence) => {
      trail.limited(limit, sentence, 'near');
      warn(`agentfw: near its limit: ${sentence}`);
    },
  });
}

/** Keeps what the base had at each path that the agent changes; conflicts are judged more coarsely without. */
function captureBases(store: Store, { tag, layers, t0 }: SandboxRecord, policy: CompiledPolicy): Capture[] {
  const fileBytes = captureOf(policy, 'file') ?? CAPTURE_FILE_BYTES;
  const totalBytes = captureOf(policy, 'total') ?? CAPTURE_TOTAL_BYTES;
  if (totalBytes === 0) return [];
  try {
    return [startCapture({ kernel: store.kernel, sandboxDir: sandboxDir(store, tag), layers, t0, fileBytes, totalBytes })];
  } catch {
    // Never in the agent's way: what isn't captured counts as unknown.
    return [];
  }
}

function processOf(pid: number): SandboxRecord['driver'] {
  const start = startTimeOf(pid);
  return start === null ? null : { pid, start };
}
