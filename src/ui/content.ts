import type { Bytes } from '../bytes.js';
import { fromBuffer } from '../bytes.js';
import { showLine } from './escape.js';
import type { Printer } from './print.js';

/** Takes what an agent wrote, piece by piece. */
export interface ContentPrinter {
  readonly write: (piece: Uint8Array) => void;
  /** what was held back for want of its end of line */
  readonly end: () => void;
}

/** A line that is longer is shown in parts. */
const LONGEST = 64 * 1024;
/** The beginning of a character whose end may be in the next piece. */
const SPLIT = /[\xc0-\xff][\x80-\xbf]{0,2}$/;

/**
 * The content of files on stdout: byte for byte, unless that is a terminal, which
 * must not do what an agent has written into a file.
 */
export function contentPrinter({ screen, product }: Pick<Printer, 'screen' | 'product'>): ContentPrinter {
  if (!screen) return { write: product, end: () => undefined };
  let rest = '';
  const show = (length: number): void => {
    if (length > 0) product(rest.slice(0, length).split('\n').map((line) => showLine(line as Bytes)).join('\n'));
    rest = rest.slice(length);
  };
  return {
    write: (piece) => {
      rest += fromBuffer(piece);
      show(rest.lastIndexOf('\n') + 1);
      if (rest.length > LONGEST) show(SPLIT.exec(rest)?.index ?? rest.length);
    },
    end: () => show(rest.length),
  };
}
