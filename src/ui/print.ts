import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { Chalk } from 'chalk';

/**
 * The only way out: `product` goes to stdout and may be piped, `say` and
 * `warn` go to stderr. A reader that goes away (EPIPE) is no error.
 */
export interface Printer {
  /** the command's product; resolves when the stream takes more */
  readonly product: (text: string | Uint8Array) => Promise<void>;
  /** one object and a newline on stdout */
  readonly json: (value: unknown) => Promise<void>;
  /** status for people, on stderr */
  readonly say: (line: string) => void;
  readonly warn: (line: string) => void;
  /** colour on stdout, and on stderr */
  readonly paint: Paint;
  readonly paintErr: Paint;
  /** columns of the terminal, else 80 */
  readonly columns: number;
  /** both ends of a question are a terminal */
  readonly interactive: boolean;
}

export type Colour = 'red' | 'green' | 'yellow' | 'cyan' | 'bold' | 'dim';
/** Wraps text in a colour, or not. */
export type Paint = (colour: Colour, text: string) => string;

/**
 * The printer of this process. `color: false` is `--no-color`. No stream of
 * Node's is opened before it is written to, because that makes the descriptor
 * non-blocking for an agent that shares it.
 */
export function makePrinter(options: { readonly color: boolean }): Printer {
  const paintErr = paintFor(2, options.color);
  const product = productWriter();
  const say = (line: string): void => writeLine(`${line}\n`);
  return {
    product,
    say,
    paintErr,
    json: (value) => product(`${JSON.stringify(value)}\n`),
    warn: (line) => say(`${paintErr('yellow', 'Warning:')} ${line}`),
    paint: paintFor(1, options.color),
    columns: Number(process.env['COLUMNS']) || (isatty(1) ? process.stdout.columns : 0) || 80,
    interactive: isatty(0) && isatty(2),
  };
}

function productWriter(): Printer['product'] {
  let gone = false;
  let opened = false;
  return async (text) => {
    if (gone || text.length === 0) return;
    if (!opened) {
      opened = true;
      process.stdout.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EPIPE') throw error;
        gone = true;
      });
    }
    if (!process.stdout.write(text)) await Promise.race([once(process.stdout, 'drain'), once(process.stdout, 'close')]);
  };
}

/** On stderr at once, whole; to nobody when nobody reads. */
function writeLine(line: string): void {
  const bytes = Buffer.from(line);
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(2, bytes, done);
    } catch (error) {
      // Another process may have made the descriptor non-blocking: wait for the reader.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
    }
  }
}

/** NO_COLOR and `--no-color` win, then FORCE_COLOR, then whether it is a terminal that can. */
function paintFor(fd: number, wanted: boolean): Paint {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
  const forced = FORCE_COLOR !== undefined && FORCE_COLOR !== '' && FORCE_COLOR !== '0';
  const able = isatty(fd) && TERM !== 'dumb' && FORCE_COLOR !== '0';
  const on = wanted && (NO_COLOR === undefined || NO_COLOR === '') && (forced || able);
  if (!on) return (_, text) => text;
  const chalk = new Chalk({ level: 1 });
  return (colour, text) => chalk[colour](text);
}
