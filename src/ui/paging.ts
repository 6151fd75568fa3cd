import type { Pager } from '../kernel/pager.js';

type Write = (text: string | Uint8Array) => void;

/** A printer's way through a pager, which starts with the first word of the product: an error has the terminal for itself. */
export interface Paging {
  /** from now on there is one, if the user has one */
  readonly begin: () => Promise<void>;
  /** false: there is none */
  readonly write: (text: string | Uint8Array) => boolean;
  /** false: the terminal is not the pager's */
  readonly hold: (text: string) => boolean;
  /** waits until the user has left it, and says what was held. Throws what `Pager.end` does. */
  readonly end: (say: (text: string) => void) => Promise<void>;
}

/** `writerTo` makes what writes to a descriptor. */
export function pagingBy(writerTo: (fd: number) => Write): Paging {
  let start: (() => Pager) | null = null;
  let pager: Pager | null = null;
  let into: Write | null = null;
  const held: string[] = [];
  return {
    begin: async () => {
      const { pagerIn, startPager } = await import('../kernel/pager.js');
      const command = pagerIn(process.env);
      if (command !== null) start = () => startPager(command, process.env);
    },
    write: (text) => {
      if (start === null) return false;
      pager ??= start();
      into ??= writerTo(pager.fd);
      into(text);
      return true;
    },
    hold: (text) => pager !== null && held.push(text) > 0,
    end: async (say) => {
      try {
        await pager?.end();
      } finally {
        [start, pager] = [null, null];
        held.splice(0).forEach(say);
      }
    },
  };
}
