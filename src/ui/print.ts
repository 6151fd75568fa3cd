import { fstatSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { AgentfwError } from '../errors.js';
import { safeJson } from './escape.js';
import { pagingBy } from './paging.js';

/**
 * The only way out: `product` goes to stdout and may be piped, the rest goes
 * to stderr. A reader that goes away (EPIPE) is no error: the rest is said to
 * nobody or, where there is nothing to do but print, `Unread` ends the command.
 */
export interface Printer {
  /** the command's product */
  readonly product: (text: string | Uint8Array) => void;
  /** one object and a newline on stdout */
  readonly json: (value: unknown) => void;
  /** status for people */
  readonly say: (line: string) => void;
  readonly warn: (line: string) => void;
  /** replaces what stands on the terminal's current line */
  readonly overwrite: (text: string) => void;
  /** colour on stdout, and on stderr */
  readonly paint: Paint;
  readonly paintErr: Paint;
  /** columns of the terminal, else 80 */
  readonly columns: number;
  /** stdout is a terminal: what is printed there must not act on it */
  readonly screen: boolean;
  /** both ends of a question are a terminal */
  readonly interactive: boolean;
  /** From now on the product goes through the user's pager, where stdout is a terminal and there is one; what is said meanwhile is held back. */
  readonly page: () => Promise<void>;
  /** waits until the user has left the pager */
  readonly end: () => Promise<void>;
}

/** Nobody reads stdout any more. Thrown by a printer that was made with `endUnread`. */
export class Unread extends Error {}

/** What text is painted with. */
export type Colour = 'red' | 'green' | 'yellow' | 'cyan' | 'bold' | 'dim';
/** Wraps text in a colour, or not. */
export type Paint = (colour: Colour, text: string) => string;

/**
 * The printer of this process. Node's streams are never opened: that would
 * make the descriptors non-blocking for an agent that shares them, and takes
 * 8 ms. What is slow to load is loaded when a terminal wants it.
 */
export async function makePrinter(options: { readonly color: boolean; readonly endUnread?: boolean }): Promise<Printer> {
  const paintErr = await paintFor(2, options.color);
  const endUnread = options.endUnread === true;
  const paging = pagingBy((fd) => writer(fd, endUnread));
  const direct = writer(1, endUnread);
  const product = (text: string | Uint8Array): void => {
    if (!paging.write(text)) direct(text);
  };
  const unpaged = writer(2);
  const status = (text: string): void => {
    if (!paging.hold(text)) unpaged(text);
  };
  const say = (line: string): void => status(`${line}\n`);
  return {
    product,
    page: async () => {
      if (isTerminalDevice(1)) await paging.begin();
    },
    end: () => paging.end(unpaged),
    say,
    paintErr,
    json: (value) => product(`${safeJson(value)}\n`),
    warn: (line) => say(`${paintErr('yellow', 'Warning:')} ${line}`),
    overwrite: (text) => status(`\r\u001b[K${text}`),
    paint: await paintFor(1, options.color),
    get columns() {
      return Number(process.env['COLUMNS']) || (isTerminal(1) ? process.stdout.columns : 0) || 80;
    },
    get screen() {
      return isTerminal(1);
    },
    get interactive() {
      return isTerminal(0) && isTerminal(2);
    },
  };
}

/** Writes at once and whole; to nobody when nobody reads. `AFW_OUTPUT` where it can't, but not of stderr. */
export function writer(fd: number, endUnread = false): (text: string | Uint8Array) => void {
  let gone = false;
  return (text) => {
    const bytes = typeof text === 'string' ? Buffer.from(text) : text;
    for (let done = 0; done < bytes.length && !gone; ) {
      try {
        done += writeSync(fd, bytes, done);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        // Another process may have made the descriptor non-blocking: wait for the reader.
        if (code === 'EAGAIN') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
        else if (code === 'EPIPE' || (fd === 2 && code === 'EIO')) gone = true;
        // What is said beside the work, to a log on a full disk, doesn't stop it.
        else if (fd === 2) return;
        else throw new AgentfwError('AFW_OUTPUT', "Can't write the output.", { cause: error, hint: 'Send it to a file or a program that can take it' });
      }
    }
    if (gone && endUnread) throw new Unread();
  };
}

/** NO_COLOR and `--no-color` win, then FORCE_COLOR, then whether it is a terminal that can. */
async function paintFor(fd: number, wanted: boolean): Promise<Paint> {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
  const forced = FORCE_COLOR !== undefined && FORCE_COLOR !== '' && FORCE_COLOR !== '0';
  const on = wanted && (NO_COLOR === undefined || NO_COLOR === '') && (forced || (FORCE_COLOR !== '0' && TERM !== 'dumb' && isTerminalDevice(fd)));
  if (!on) return (_, text) => text;
  const { Chalk } = await import('chalk');
  const chalk = new Chalk({ level: 1 });
  return (colour, text) => chalk[colour](text);
}

const NONE = -1;
const MEMORY_DEVICES = 1;
/** Linux has eight of them for pseudo terminals, from this on. */
const PSEUDO_TERMINALS = 136;

/** For what only looks nicer on a terminal: one that is gone may count as one, and Node's tty and net (3 ms) are loaded for odd ones only. */
export function isTerminalDevice(fd: number): boolean {
  const major = characterMajor(fd);
  return (major >= PSEUDO_TERMINALS && major < PSEUDO_TERMINALS + 8) || isTerminal(fd);
}

/** `isatty`, without loading Node's tty and net for files, pipes and /dev/null. */
function isTerminal(fd: number): boolean {
  const major = characterMajor(fd);
  if (major === NONE || major === MEMORY_DEVICES) return false;
  const { isatty } = createRequire(import.meta.url)('node:tty') as { isatty: (fd: number) => boolean };
  return isatty(fd);
}

/** Which driver of the kernel is behind a character device. */
function characterMajor(fd: number): number {
  try {
    const stat = fstatSync(fd);
    return stat.isCharacterDevice() ? (stat.rdev >> 8) & 0xfff : NONE;
  } catch {
    return NONE;
  }
}
