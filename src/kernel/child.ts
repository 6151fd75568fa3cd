import { Socket } from 'node:net';
import { childStatus, native, socketPair, spawnProgram } from './native.js';

/** A program of ours that runs, with channels to it. */
export interface Child {
  readonly pid: number;
  readonly channels: readonly Socket[];
  /** settles when it has ended and its channels are closed: its status, or 128+n for a signal */
  readonly ended: Promise<number>;
}

/** What it is started with: on our own terminal, with `input` as its fd 3 and its channels from fd 4 on. */
export interface ChildStart {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly input: number;
  readonly channels: number;
}

/**
 * As `spawn` of `node:child_process` does it, but without a fork, which copies
 * Node's page tables first. Throws when it can't be started.
 */
export function startChild(program: string, { argv, env, input, channels }: ChildStart): Child {
  const pairs = Array.from({ length: channels }, socketPair);
  let pid: number;
  try {
    const words = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    pid = spawnProgram(program, argv, words, [0, 1, 2, input, ...pairs.map(([, theirs]) => theirs)]);
  } catch (error) {
    for (const [ours] of pairs) native.close(ours);
    throw error;
  } finally {
    for (const [, theirs] of pairs) native.close(theirs);
  }
  const sockets = pairs.map(([ours]) => new Socket({ fd: ours, readable: true, writable: true }));
  return { pid, channels: sockets, ended: endOf(pid, sockets) };
}

/** The first channel is one that is read; another may have nobody who does by then. */
async function endOf(pid: number, [events, ...others]: readonly Socket[]): Promise<number> {
  if (events !== undefined) await closed(events);
  const status = await statusOf(pid);
  for (const other of others) {
    if (!other.destroyed && other.readableFlowing !== true) other.resume();
    await closed(other);
  }
  const signal = status & 0x7f;
  return signal === 0 ? (status >> 8) & 0xff : 128 + signal;
}

function closed(socket: Socket): Promise<void> {
  return socket.closed ? Promise.resolve() : new Promise((resolve) => socket.once('close', () => resolve()));
}

/** It closes its channels in the last moment of its life. */
async function statusOf(pid: number): Promise<number> {
  for (;;) {
    const status = childStatus(pid);
    if (status !== null) return status;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
