import { closeSync, constants, openSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { AgentfwError, errnoOf } from '../errors.js';
import { objectField, textField, wordField, type Fields } from '../fields.js';
import { encodeFrame, frameReader } from '../kernel/frames.js';
import type { Answer, Question } from './ask.js';

/** What other terminals of the same user may ask of a running sandbox. */
export type ControlRequest =
  | { readonly do: 'state' }
  | ({ readonly do: 'answer' } & Answer)
  | { readonly do: 'net'; readonly op: 'allow' | 'deny' | 'revoke'; readonly rule: string };

/** What other terminals may see of a run. */
export interface ControlState {
  readonly questions: readonly Question[];
  readonly rules: readonly { readonly rule: string; readonly verdict: string; readonly by: string }[];
  readonly wouldAsk: readonly { readonly rule: string; readonly count: number }[];
  readonly connections: readonly { readonly id: number; readonly host: string; readonly port: number; readonly state: string; readonly exe: string | null }[];
  readonly doors: readonly { readonly addr: string; readonly port: number; readonly inside: number }[];
  readonly rung: string | null;
  /** `host:port` of the proxy that leads out */
  readonly upstream: string | null;
}

/** One reply to one request; docs/gate-protocol.md. */
export type ControlReply =
  | { readonly ok: true; readonly state: ControlState }
  | { readonly ok: true; readonly result: string; readonly cut: number }
  /** `mend`: what opens it all the same */
  | { readonly ok: false; readonly why: string; readonly mend?: string };

/** Who answers requests of other terminals. */
export interface ControlHandler {
  readonly state: () => ControlState;
  readonly answer: (answer: Answer) => ControlReply;
  readonly net: (op: 'allow' | 'deny' | 'revoke', rule: string) => ControlReply;
}

/** The socket `control.sock`, while it is there. */
export interface ControlServer {
  readonly close: () => void;
}

const NAME = 'control.sock';
const MAX_CLIENTS = 32;
/** Thousands of questions, each with who asks: what the agent can make of them fits. */
const STATE_LIMIT = { max: 64 << 20 };

/**
 * Listens in the sandbox's directory, which only its user can enter and no
 * sandbox can see. The path goes through a descriptor: a socket's own may
 * have 107 bytes only.
 */
export async function serveControl(dir: string, handler: ControlHandler): Promise<ControlServer> {
  const fd = openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY);
  const clients = new Set<Socket>();
  const server = createServer((socket) => {
    if (clients.size >= MAX_CLIENTS) return void socket.destroy();
    clients.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => clients.delete(socket));
    return onClient(socket, handler);
  });
  const path = `/proc/self/fd/${fd}/${NAME}`;
  rmSync(path, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  server.unref();
  return {
    close: () => {
      for (const socket of clients) socket.destroy();
      server.close();
      rmSync(path, { force: true });
      closeSync(fd);
    },
  };
}

function onClient(socket: Socket, handler: ControlHandler): void {
  const read = frameReader((value) => reply(socket, handle(parseRequest(value), handler)));
  socket.on('data', (chunk: Buffer) => {
    try {
      read(chunk);
    } catch (error) {
      reply(socket, { ok: false, why: (error as Error).message });
      socket.end();
    }
  });
}

function handle(request: ControlRequest, handler: ControlHandler): ControlReply {
  switch (request.do) {
    case 'state':
      return { ok: true, state: handler.state() };
    case 'answer':
      return handler.answer(request);
    case 'net':
      return handler.net(request.op, request.rule);
  }
}

function reply(socket: Socket, message: ControlReply): void {
  // A client that does not read is dropped, not waited for.
  if (socket.writableLength > 4 << 20) socket.destroy();
  else if (socket.writable) socket.write(encodeFrame(message, STATE_LIMIT));
}

function parseRequest(value: unknown): ControlRequest {
  const fields: Fields = objectField(value, 'the request');
  const word = wordField(fields['do'], 'do', ['state', 'answer', 'net']);
  const text = (name: string): string => textField(fields[name], name);
  if (word === 'answer') {
    return {
      ...{ do: word, id: text('id'), rule: text('rule'), by: text('by') },
      verdict: wordField(fields['verdict'], 'verdict', ['allow', 'deny']),
      scope: wordField(fields['scope'], 'scope', ['once', 'session', 'project']),
    };
  }
  if (word === 'net') return { do: word, op: wordField(fields['op'], 'op', ['allow', 'deny', 'revoke']), rule: text('rule') };
  return { do: word };
}

/** A supervisor that does other things answers sooner. */
const PATIENCE_MS = 5000;

/** One request to a running sandbox; null when none runs there. Throws AFW_CONTROL where it doesn't answer, or not in words of ours. */
export async function askSandbox(dir: string, request: ControlRequest, patienceMs = PATIENCE_MS): Promise<ControlReply | null> {
  const fd = openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY);
  const socket = connect(`/proc/self/fd/${fd}/${NAME}`);
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise<ControlReply | null>((resolve, reject) => {
      // The kernel takes connections for a process that is stopped.
      timer = setTimeout(() => reject(silent()), patienceMs);
      const read = frameReader((value) => resolve(value as ControlReply), STATE_LIMIT);
      socket.on('connect', () => socket.write(encodeFrame(request)));
      socket.on('data', (chunk: Buffer) => {
        try {
          read(chunk);
        } catch (error) {
          reject(failed(error as Error));
        }
      });
      socket.on('error', (error) => (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ECONNREFUSED' ? resolve(null) : reject(failed(error))));
      socket.on('close', () => resolve(null));
    });
  } finally {
    clearTimeout(timer);
    socket.destroy();
    closeSync(fd);
  }
}

function silent(): AgentfwError {
  return new AgentfwError('AFW_CONTROL', 'The running sandbox does not answer.', { hint: 'Ctrl-Z stops what looks after it, too: let it go on where it was started, with fg' });
}

function failed(cause: Error): AgentfwError {
  return new AgentfwError('AFW_CONTROL', "Can't talk to the running sandbox.", { cause });
}
