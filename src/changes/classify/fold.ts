import { toText, type Bytes } from '../../bytes.js';

/** Such names are folded char by char, so a path may be taken apart before. */
const PLAIN = /^[\x20-\x7e]*$/;
/** Zero-width, bidi and other characters that show nothing. */
const INVISIBLE = /\p{Default_Ignorable_Code_Point}|\p{Cf}/gu;

/**
 * The name that others may take this path for: a case-insensitive filesystem, a
 * reader of a screen, a tool that normalises. Rules that protect names compare
 * folded ones, so a look-alike counts as the name.
 */
export function foldPath(path: Bytes): string {
  if (PLAIN.test(path)) return path.toLowerCase();
  // Lower case can decompose (İ), hence the second round.
  return toText(path).replace(INVISIBLE, '').normalize('NFKC').toLowerCase().normalize('NFKC').replace(INVISIBLE, '');
}

/** ASCII without control characters. */
export function isPlain(path: Bytes): boolean {
  return PLAIN.test(path);
}
