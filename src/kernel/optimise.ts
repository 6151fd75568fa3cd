import { setFlagsFromString } from 'node:v8';

/**
 * Many changes are judged by code that runs some ten thousand times, which V8
 * would optimise: but a command is over before optimised code has paid for its
 * making, which alone is a quarter of a large diff. Called once all is loaded,
 * as V8 refuses code that was cached under other flags. Newer versions than that
 * of Node 20 have no such flag, and complain on stderr of each that they don't know.
 */
export function optimiseLate(): void {
  if (process.versions.v8.startsWith('11.')) setFlagsFromString('--interrupt-budget=3000000');
}

/**
 * V8 lets a heap grow to a multiple of what is in use before it looks for what
 * isn't any more. With very many changes that is memory which others want, and
 * looking more often costs next to nothing beside what is done with each.
 */
export function growSlowly(): void {
  setFlagsFromString('--heap-growing-percent=30');
}
