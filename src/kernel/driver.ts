import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Bytes } from '../bytes.js';
import { joinBytes, toBuffer } from '../bytes.js';
import { AgentfwError, errnoOf } from '../errors.js';
import { flagField, listField, numberField, objectField, textField } from '../fields.js';
import { encodeFrame, frameReader } from './frames.js';
import { ignoresHangup } from './process.js';

/** What the driver tells; docs/driver-protocol.md. */
export type DriverEvent =
  | { readonly event: 'started'; readonly driver: number; readonly init: number; readonly agent: number }
  | { readonly event: 'degraded'; readonly name: string; readonly why: string }
  | { readonly event: 'error'; readonly exit: 125 | 126 | 127; readonly code: string; readonly message: string; readonly hint: string | null }
  | { readonly event: 'socket'; readonly socket: number; readonly pid: number; readonly what: string; readonly why: string }
  | { readonly event: 'exec'; readonly pid: number; readonly path: string; readonly exe: string | null; readonly cwd: string | null; readonly argv: readonly string[]; readonly cut: boolean }
  | { readonly event: 'frozen'; readonly by: 'group' | 'signals' }
  | { readonly event: 'stopped' | 'continued' | 'empty' | 'thawed' }
  | { readonly event: 'exit'; readonly code: number }
  | { readonly event: 'exit'; readonly signal: number };

/** docs/driver-protocol.md, Events. */
export type DriverCommand = { readonly do: 'signal'; readonly signal: number } | { readonly do: 'kill' | 'go' };

/** A driver that was started. */
export interface Driver {
  readonly pid: number;
  readonly send: (command: DriverCommand) => void;
  /** settles when the driver has ended and its last event was handed over; 128+n for a signal */
  readonly ended: Promise<number>;
  /** our end of the gate's channel; docs/gate-protocol.md */
  readonly gate: Duplex | null;
}

const PROGRAM = fileURLToPath(new URL('../../driver/build/agentfw-driver', import.meta.url));

/** What the driver is started with. */
export interface DriverStart {
  readonly verb: 'run' | 'enter';
  readonly spec: Buffer;
  /** a directory of ours for a moment: the spec is read from a file without a name */
  readonly dir: Bytes;
  /** the spec says `net gate`: fd 5 is its channel */
  readonly gate?: { readonly rung: string | null };
}

/** What throws here ends the driver, and with it the tree. */
export interface DriverEars {
  readonly onEvent: (event: DriverEvent) => void;
  /** all events that came at once were told */
  readonly onRead: () => void;
}

/**
 * Starts the driver on the user's own terminal, in the caller's process
 * group: stdin, stdout and stderr are handed on untouched. The spec goes by a
 * file, because Node opens its own stderr whenever it destroys a socket, and
 * that makes a pipe that the agent shares non-blocking.
 */
export function startDriver({ verb, spec, dir, gate }: DriverStart, { onEvent, onRead }: DriverEars): Driver {
  const input = specFile(spec, dir);
  const rung = gate?.rung ?? null;
  const env = { ...(rung === null ? {} : { AGENTFW_GATE: rung }), ...(ignoresHangup() ? { AGENTFW_NOHUP: '1' } : {}) };
  const child = spawn(PROGRAM, [verb], {
    stdio: ['inherit', 'inherit', 'inherit', input, 'pipe', ...(gate === undefined ? [] : ['pipe' as const])],
    env,
    argv0: 'agentfw-driver',
  });
  closeSync(input);
  const events = child.stdio[4] as Socket;
  // A command to a driver that is about to end.
  events.on('error', () => undefined);
  const read = frameReader((message) => onEvent(parseEvent(message)));
  const ended = new Promise<number>((resolve, reject) => {
    child.on('error', (cause) => reject(cannotStart(cause)));
    child.on('close', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
    events.on('data', (chunk: Buffer) => {
      try {
        read(chunk);
        onRead();
      } catch (error) {
        child.kill('SIGKILL');
        reject(error as Error);
      }
    });
  });
  const channel = gate === undefined ? null : ((child.stdio as readonly unknown[])[5] as Duplex);
  channel?.on('error', () => undefined);
  return { pid: child.pid ?? -1, send: (command) => void (events.writable && events.write(encodeFrame(command))), ended, gate: channel };
}

/** A running sandbox that is held still. */
export interface Held {
  /** by its control group, or each process by a signal */
  readonly by: 'group' | 'signals';
  /** lets all of it go on; also when this process ends, however it does */
  readonly release: () => void;
}

/** A process, named for good. */
export interface Process {
  readonly pid: number;
  readonly start: string;
}

/**
 * Stops every process of the sandbox of that driver. `group`: the one that all
 * of it is in, where there is one. `lock` is handed to the one that does it,
 * which lets go last: no other commit begins before.
 */
export async function holdStill(driver: Process, group: string | null, lock: number): Promise<Held> {
  const { child, event } = await freezing(['freeze', `${driver.pid}`, driver.start, ...(group === null ? [] : [group])], lock, 'frozen');
  // A signal and not a word on the channel: whoever releases may be in the middle of synchronous work.
  return { by: event.event === 'frozen' ? event.by : 'signals', release: () => void child.kill('SIGTERM') };
}

/** The same, and all stays as it is when we have ended. */
export async function stopForGood(driver: Process, lock: number): Promise<void> {
  await freezing(['freeze', `${driver.pid}`, driver.start, 'keep'], lock, 'frozen');
}

/** Lets all of it go on, whoever stopped it; `left` stays as it is. */
export async function letGoOn(driver: Process, group: string | null, lock: number, left: readonly Process[]): Promise<void> {
  await freezing(['thaw', `${driver.pid}`, driver.start, ...(group === null ? [] : [group]), ...left.map(({ pid, start }) => `${pid}:${start}`)], lock, 'thawed');
}

/** Settles when the driver says that it is done. */
function freezing(words: readonly string[], lock: number, done: 'frozen' | 'thawed'): Promise<{ readonly child: ChildProcess; readonly event: DriverEvent }> {
  const child = spawn(PROGRAM, words, {
    ...{ stdio: ['ignore', 'ignore', 'ignore', lock, 'pipe'], detached: true, env: {}, argv0: 'agentfw-driver' },
  });
  const events = child.stdio[4] as Socket;
  events.on('error', () => undefined);
  return new Promise((resolve, reject) => {
    let why = { message: `The processes of the sandbox could not be ${done}.`, hint: null as string | null };
    child.on('error', (cause) => reject(cannotStart(cause)));
    child.on('close', () => reject(new AgentfwError('AFW_FREEZE', why.message, { ...(why.hint === null ? {} : { hint: why.hint }) })));
    events.on('data', frameReader((message) => {
      const event = parseEvent(message);
      if (event.event === 'error') why = { message: `Can't hold the sandbox still, or let it go on: ${event.message}`, hint: event.hint };
      if (event.event === done) resolve({ child, event });
    }));
  });
}

function specFile(spec: Buffer, dir: Bytes): number {
  const path = toBuffer(joinBytes(dir, `.spec-${process.pid}` as Bytes));
  removeLeftover(path);
  const fd = openSync(path, 'wx+', 0o600);
  unlinkSync(path);
  // Written by position: the driver reads from the beginning.
  for (let done = 0; done < spec.length; ) done += writeSync(fd, spec, done, spec.length - done, done);
  return fd;
}

/** Of a supervisor of the same pid that was killed. `rmSync` takes half a millisecond to load. */
function removeLeftover(path: Buffer): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}

function cannotStart(cause: Error): AgentfwError {
  const errno = errnoOf(cause);
  const missing = errno === 'ENOENT';
  return new AgentfwError('AFW_DRIVER', missing ? 'The driver is not built.' : "Can't start the driver.", {
    status: 125,
    cause,
    hint: missing ? 'Build it: npm run build:driver' : errno === 'EAGAIN' ? 'You run too many processes: end some, or raise ulimit -u' : `Is ${PROGRAM} executable by you?`,
  });
}

function parseEvent(message: unknown): DriverEvent {
  const fields = objectField(message, 'the event');
  const event = textField(fields['event'], 'event');
  const number = (name: string): number => numberField(fields[name], name);
  const text = (name: string): string => textField(fields[name], name);
  switch (event) {
    case 'started':
      return { event, driver: number('driver'), init: number('init'), agent: number('agent') };
    case 'socket':
      return { event, socket: number('socket'), pid: number('pid'), what: text('what'), why: text('why') };
    case 'exec': {
      const textOrNull = (name: string): string | null => (fields[name] === null ? null : text(name));
      const argv = listField(fields['argv'], 'argv').map((word) => textField(word, 'argv'));
      return { event, pid: number('pid'), path: text('path'), exe: textOrNull('exe'), cwd: textOrNull('cwd'), argv, cut: flagField(fields['cut'], 'cut') };
    }
    case 'degraded':
      return { event, name: text('name'), why: text('why') };
    case 'error': {
      const exit = number('exit');
      const hint = fields['hint'];
      const ours = exit === 126 || exit === 127 ? exit : 125;
      return { event, exit: ours, code: text('code'), message: text('message'), hint: typeof hint === 'string' ? hint : null };
    }
    case 'exit':
      return fields['signal'] === undefined || fields['signal'] === null ? { event, code: number('code') } : { event, signal: number('signal') };
    case 'frozen':
      return { event, by: text('by') === 'group' ? 'group' : 'signals' };
    case 'stopped':
    case 'continued':
    case 'empty':
    case 'thawed':
      return { event };
    default:
      throw new Error(`the driver sent an unknown event ${JSON.stringify(event)}`);
  }
}

/** What a background supervisor tells the command that started it, once. */
export type Readiness =
  | { readonly ready: true; readonly tag: string }
  | { readonly ready: false; readonly status: number };

/**
 * Starts the same command line again in a session of its own, with `log` as
 * its output, and waits until it reports on its fd 3 or ends.
 */
export function startBackground(self: readonly string[], env: NodeJS.ProcessEnv, log: number): Promise<Readiness> {
  const [program = '', ...args] = self;
  const child = spawn(program, args, { detached: true, env, stdio: ['ignore', log, log, 'pipe'] });
  const report = child.stdio[3] as Socket;
  return new Promise<Readiness>((resolve, reject) => {
    report.on('data', frameReader((message) => {
      const tag = textField(objectField(message, 'the report')['tag'], 'tag');
      child.unref();
      report.destroy();
      resolve({ ready: true, tag });
    }));
    child.on('error', reject);
    child.on('close', (code) => resolve({ ready: false, status: code ?? 125 }));
  });
}

/** What a helper program of the user's own is started with. */
export interface ProgramStart {
  readonly input: string;
  readonly timeoutMs: number;
  /** it is ended when this says so */
  readonly signal: AbortSignal;
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
}

const MAX_OUTPUT = 64 * 1024;

/** Runs a program of the user's on the host, without a shell, in a session of its own, and returns what it printed. */
export function runProgram(argv: readonly string[], { input, timeoutMs, signal, cwd, env }: ProgramStart): Promise<string> {
  const [program = '', ...args] = argv;
  const child = spawn(program, args, { cwd, env, detached: true, stdio: ['pipe', 'pipe', 'ignore'] });
  return new Promise<string>((resolve, reject) => {
    let output = '';
    const fail = (why: string): void => {
      killGroup(child.pid);
      // What it left in a session of its own may hold the other ends.
      child.stdin.destroy();
      child.stdout.destroy();
      reject(new Error(`${program} ${why}`));
    };
    const timer = setTimeout(() => fail('took too long'), timeoutMs);
    const onAbort = (): void => fail('is not wanted any more');
    signal.addEventListener('abort', onAbort);
    const over = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    };
    child.on('error', (error) => {
      over();
      reject(error);
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8');
      if (output.length > MAX_OUTPUT) fail('said too much');
    });
    child.on('close', (code, ended) => {
      over();
      if (code === 0) resolve(output);
      else reject(new Error(`${program} ended with ${ended ?? code}`));
    });
  });
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // it has ended
  }
}
