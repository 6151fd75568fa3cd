import { constants } from 'node:os';
import type { Driver, DriverEars, DriverEvent } from '../kernel/driver.js';
import { growAgain } from '../kernel/optimise.js';
import { ignoresHangup, isForeground } from '../kernel/process.js';
import { watchOutputs } from './outputs.js';

/** How a run ended. */
export interface Outcome {
  /** our exit status: the agent's, 128+n for a signal, or 125–127 with `failure` */
  readonly status: number;
  readonly exit: { readonly code: number } | { readonly signal: number } | null;
  readonly failure: Extract<DriverEvent, { event: 'error' }> | null;
  readonly started: boolean;
}

/** What the driver saw happen in the sandbox. */
export type Noted = Extract<DriverEvent, { event: 'socket' | 'exec' }>;

/** The supervisor's part of a run, told as it happens. */
export interface Watch {
  /** the driver is there and builds the view; where this throws, the start is called off */
  readonly onSpawned: (driver: Driver) => void;
  readonly onStarted: (event: Extract<DriverEvent, { event: 'started' }>) => void;
  readonly onDegraded: (name: string, why: string) => void;
  /** something to be recorded, and nothing else */
  readonly onNoted: (event: Noted) => void;
  /** all that came at once was told */
  readonly onRead: () => void;
}

const FORWARDED = ['SIGTERM', 'SIGUSR1', 'SIGUSR2'] as const;
/** The kernel gives these to the terminal's whole foreground group, the agent included. */
const FROM_TERMINAL = ['SIGINT', 'SIGQUIT'] as const;

/**
 * Stays beside the driver until it ends: hands signals on, keeps what the
 * driver tells. Stops with the agent and continues like any process of the
 * job; when it dies, the driver sees its channel close and ends the tree.
 */
export async function supervise(start: (ears: DriverEars) => Driver, watch: Watch): Promise<Outcome> {
  let exit: Outcome['exit'] = null;
  let failure: Outcome['failure'] = null;
  let started = false;
  const onEvent = (event: DriverEvent): void => {
    if (event.event === 'started') {
      started = true;
      forwarding.onStarted();
      watch.onStarted(event);
    } else if (event.event === 'degraded') watch.onDegraded(event.name, event.why);
    else if (event.event === 'socket' || event.event === 'exec') watch.onNoted(event);
    else if (event.event === 'stopped') stopping.onStopped();
    else if (event.event === 'continued') stopping.onContinued();
    else if (event.event === 'error') failure = event;
    else if (event.event === 'exit') exit = 'signal' in event ? { signal: event.signal } : { code: event.code };
  };
  // Before the start: it may take its time, and a signal must not find us without handlers. Nothing is handled
  // before this function waits.
  let driver: Driver | null = null;
  const forwarding = forwardSignals(() => driver);
  const stopping = stopWithAgent();
  const settleOutputs = watchOutputs();
  try {
    driver = start({ onEvent, onRead: watch.onRead });
    await spawned(driver, watch);
    const status = await driver.ended;
    const told = failure as Outcome['failure'];
    return { status: told?.exit ?? status, exit, failure: told, started };
  } finally {
    growAgain();
    settleOutputs();
    forwarding.release();
    stopping.release();
  }
}

/** Nobody would look after an agent that came up nevertheless. */
async function spawned(driver: Driver, { onSpawned }: Watch): Promise<void> {
  try {
    onSpawned(driver);
  } catch (error) {
    driver.send({ do: 'kill' });
    await driver.ended.catch(() => undefined);
    throw error;
  }
}

/**
 * Ctrl-Z reaches the whole job at once. Were we to stop by it, the shell would
 * take the terminal and write to it while the agent still puts its screen in
 * order (or goes on: it may not want to stop). So we stop when we were asked
 * to and the driver has told that the agent did; the driver asks, too.
 */
function stopWithAgent(): Stopping {
  let asked = false;
  let stopped = false;
  const both = (): void => {
    if (!asked || !stopped) return;
    asked = stopped = false;
    process.off('SIGTSTP', onSignal);
    process.kill(process.pid, 'SIGTSTP'); // returns when we are continued
    process.on('SIGTSTP', onSignal);
  };
  const onSignal = (): void => {
    asked = true;
    both();
  };
  process.on('SIGTSTP', onSignal);
  return {
    onStopped: () => {
      stopped = true;
      both();
    },
    onContinued: () => {
      asked = stopped = false;
    },
    release: () => void process.off('SIGTSTP', onSignal),
  };
}

interface Stopping {
  readonly onStopped: () => void;
  readonly onContinued: () => void;
  readonly release: () => void;
}

/**
 * A signal that comes before the agent runs waits for it; a second one calls
 * the start off.
 */
function forwardSignals(driver: () => Driver | null): Forwarding {
  let started = false;
  const waiting: number[] = [];
  const send = (signal: NodeJS.Signals): void => {
    const number = constants.signals[signal];
    if (started) driver()?.send({ do: 'signal', signal: number });
    else if (waiting.push(number) > 1) driver()?.send({ do: 'kill' });
  };
  const unlessForeground = (signal: NodeJS.Signals): void => {
    if (!isForeground()) send(signal);
  };
  const forwarded: NodeJS.Signals[] = [...FORWARDED, ...(ignoresHangup() ? [] : ['SIGHUP' as const])];
  // For good: what comes after the agent is to be done as well.
  if (ignoresHangup()) process.on('SIGHUP', () => undefined);
  for (const signal of forwarded) process.on(signal, send);
  for (const signal of FROM_TERMINAL) process.on(signal, unlessForeground);
  return {
    onStarted: () => {
      started = true;
      for (const signal of waiting.splice(0)) driver()?.send({ do: 'signal', signal });
    },
    release: () => {
      for (const signal of forwarded) process.off(signal, send);
      for (const signal of FROM_TERMINAL) process.off(signal, unlessForeground);
    },
  };
}

interface Forwarding {
  readonly onStarted: () => void;
  readonly release: () => void;
}
