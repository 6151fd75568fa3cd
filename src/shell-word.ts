/** What a shell takes for itself and no more. */
const PLAIN = /^[\w@%+=:,./-]+$/;

/** One word of a command that a person may copy out of a hint: whoever named a path has no say in the rest of it. Pure. */
export function shellWord(word: string): string {
  return PLAIN.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
