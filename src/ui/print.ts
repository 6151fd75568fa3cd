import { once } from 'node:events';
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

/** The printer of this process. `color: false` is `--no-color`. */
export function makePrinter(options: { readonly color: boolean }): Printer {
  let gone = false;
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      if (stream === process.stdout) gone = true;
    });
  }
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const product = async (text: string | Uint8Array): Promise<void> => {
    if (gone || text.length === 0) return;
    if (!process.stdout.write(text)) await Promise.race([once(process.stdout, 'drain'), once(process.stdout, 'close')]);
  };
  const paintErr = paintFor(process.stderr, options.color);
  return {
    product,
    say,
    paintErr,
    json: (value) => product(`${JSON.stringify(value)}\n`),
    warn: (line) => say(`${paintErr('yellow', 'Warning:')} ${line}`),
    paint: paintFor(process.stdout, options.color),
    columns: process.stdout.columns ?? (Number(process.env['COLUMNS']) || 80),
    interactive: process.stdin.isTTY === true && process.stderr.isTTY === true,
  };
}

/** NO_COLOR and `--no-color` win, then FORCE_COLOR, then whether it is a terminal that can. */
function paintFor(stream: NodeJS.WriteStream, wanted: boolean): Paint {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
  const forced = FORCE_COLOR !== undefined && FORCE_COLOR !== '' && FORCE_COLOR !== '0';
  const able = stream.isTTY === true && TERM !== 'dumb' && FORCE_COLOR !== '0';
  const on = wanted && (NO_COLOR === undefined || NO_COLOR === '') && (forced || able);
  if (!on) return (_, text) => text;
  const chalk = new Chalk({ level: 1 });
  return (colour, text) => chalk[colour](text);
}
