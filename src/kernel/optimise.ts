import { createRequire } from 'node:module';
import { setFlagsFromString } from 'node:v8';

/** Four times the default of Node 20's V8: the first 9,000 records of an exec audit take a third less. */
const LATER = '--interrupt-budget=300000';
const LATE = '--interrupt-budget=3000000';

/**
 * Many changes are judged by code that runs some ten thousand times, which V8
 * would optimise: but a command is over before optimised code has paid for its
 * making, which alone is a quarter of a large diff. Called once all is loaded,
 * as V8 refuses code that was cached under other flags. Newer versions than that
 * of Node 20 have no such flag, and complain on stderr of each that they don't know.
 */
export function optimiseLate(): void {
  if (knowsBudget()) setFlagsFromString(LATE);
}

/**
 * The same for the start of an agent, which takes a tenth less of the processor
 * without; returns what puts an end to it, as the supervisor may run for days.
 * What of Node is needed until then is loaded now, while V8 takes its cached code.
 */
export function optimiseLater(): () => void {
  const require = createRequire(import.meta.url);
  for (const name of ['node:child_process', 'node:crypto', 'node:net']) require(name);
  if (!knowsBudget()) return () => undefined;
  setFlagsFromString(LATE);
  return () => setFlagsFromString(LATER);
}

function knowsBudget(): boolean {
  return process.versions.v8.startsWith('11.');
}

/**
 * V8 lets a heap grow to a multiple of what is in use before it looks for what
 * isn't any more. With very many changes that is memory which others want, and
 * looking more often costs next to nothing beside what is done with each.
 */
export function growSlowly(): void {
  setFlagsFromString('--heap-growing-percent=30');
}

/** Versions of V8 that know how fast the young generation grows, as far as they were tried. */
const KNOWN = Number(process.versions.v8.split('.')[0]) <= 13;

/**
 * A supervisor waits for most of its life, and for as long as a person thinks.
 * What it does before would make the young generation as large as it may be,
 * 16 MB that nothing is in. Called once all is loaded, as above.
 */
export function staySmall(): void {
  if (KNOWN) setFlagsFromString('--semi-space-growth-factor=1');
}

/** As V8 would have it: for the changes of an agent, which may be many. */
export function growAgain(): void {
  if (KNOWN) setFlagsFromString('--semi-space-growth-factor=2');
}
