import { AgentfwError, usageError } from '../../errors.js';
import type { CommitInfo, Survey } from './commits.js';

/** As in git; any fewer are as good as none, since ids begin with their time. */
const SHORTEST = 4;
const MOST_LISTED = 5;

/**
 * The id that a word means: itself, or the only one that it begins, also of a
 * commit that can't be read. Null where there is none. Throws a usage error
 * that names the commits where it begins several.
 */
export function idNamed<T extends Pick<CommitInfo, 'id' | 'tag'>>({ commits, broken }: Survey<T>, word: string): string | null {
  const all = [...commits, ...broken.map(({ id }) => ({ id, tag: null }))];
  if (all.some(({ id }) => id === word)) return word;
  const found = word.length < SHORTEST ? [] : all.filter(({ id }) => id.startsWith(word));
  if (found.length > 1) throw several(word, found);
  return found[0]?.id ?? null;
}

/** There is none of that name. */
export function noCommit(word: string): AgentfwError {
  return new AgentfwError('AFW_NO_COMMIT', `There is no commit ${word}`, { hint: 'List them: agentfw log --commits' });
}

function several(word: string, found: readonly { readonly id: string; readonly tag: string | null }[]): AgentfwError {
  const listed = found.slice(0, MOST_LISTED).map(({ id, tag }) => (tag === null ? id : `${id} of ${tag}`)).join(', ');
  const more = found.length > MOST_LISTED ? ` and ${found.length - MOST_LISTED} more` : '';
  return usageError(`Several commits begin with ${word}: ${listed}${more}`, 'Write more of the id; agentfw log --commits lists all');
}
