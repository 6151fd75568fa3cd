import type { Printer } from './print.js';

/** A line on the terminal that says how far something is. */
export interface Progress {
  readonly step: (done: number, total: number) => void;
  readonly end: () => void;
}

const QUIET_MS = 300;
const EVERY_MS = 100;

/** A count and a rate on one line of the terminal, only once something takes longer than 300 ms. */
export function progressOn(printer: Printer, what: string, now: () => number = () => performance.now()): Progress {
  const start = now();
  let last = start + QUIET_MS - EVERY_MS;
  let shown = false;
  return {
    step: (done, total) => {
      const time = now();
      if (!printer.interactive || time - last < EVERY_MS) return;
      last = time;
      shown = true;
      const rate = Math.round(done / Math.max((time - start) / 1000, 0.001));
      printer.overwrite(`${what} ${done} of ${total} (${rate}/s)`);
    },
    end: () => {
      if (shown) printer.overwrite('');
    },
  };
}
