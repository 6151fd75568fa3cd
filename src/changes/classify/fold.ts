import { toText, type Bytes } from '../../bytes.js';

/** Such names are folded char by char, so a path may be taken apart before. */
const PLAIN = /^[\x20-\x7e]*$/;
/** What NTFS and FAT take for `.git` too, as git has it: its short name, dots and spaces after it, a stream of it. */
const ALIAS = /(?<=^|\/)(?:\.git|git~1)[. ]*(?::[^/]*)?(?=\/|$)/g;
/** The last names that `ALIAS` may be, for the walk. */
export const GIT_ALIASES: readonly string[] = ['.git*', 'git~1*'];
/** Zero-width, bidi and other characters that show nothing. */
const INVISIBLE = /\p{Default_Ignorable_Code_Point}|\p{Cf}/gu;

/**
 * The name that others may take this path for: a case-insensitive filesystem, a
 * reader of a screen, a tool that normalises. Rules that protect names compare
 * folded ones, so a look-alike counts as the name.
 */
export function foldPath(path: Bytes): string {
  if (PLAIN.test(path)) return withoutAlias(path.toLowerCase());
  // Lower case alone keeps ß from ss, and can decompose (İ), hence the second round.
  return withoutAlias(toText(path).replace(INVISIBLE, '').normalize('NFKC').toLowerCase().toUpperCase().toLowerCase().normalize('NFKC').replace(INVISIBLE, ''));
}

function withoutAlias(path: string): string {
  return path.includes('git') ? path.replace(ALIAS, '.git') : path;
}

/** ASCII without control characters. */
export function isPlain(path: Bytes): boolean {
  return PLAIN.test(path);
}
