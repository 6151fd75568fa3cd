import type { Offer } from '../changes/offer.js';
import type { Refused } from '../changes/result.js';
import { toText } from '../bytes.js';
import { shellWord } from '../shell-word.js';
import { escapeForTerminal } from './escape.js';

/**
 * The one thing to do next about what can't land as it is; null where nothing
 * of it is the user's to decide here (a permission, an error of the kernel).
 *
 * @param said how a command names the sandbox, see `sayTag`
 * @param merges what came of `--merge`; null when it wasn't asked for
 */
export function settlingHint({ tag, said }: { readonly tag: string; readonly said: string }, refused: readonly Refused[], { selected, merges }: { readonly selected: Offer['selected']; readonly merges: Offer['merges'] | null }): string | null {
  const conflicts = refused.filter(({ why }) => why === 'conflict');
  const commit = `agentfw commit ${said}`;
  if (conflicts.length === 0) return null;
  const branch = conflicts.find(({ path }) => /\/\.git\/refs\/heads\//.test(path))?.path;
  if (branch !== undefined) {
    const objects = toText(branch).replace(/(.*\/\.git)\/refs\/heads\/.*/s, '$1/objects');
    return `both sides committed in git: agentfw undo what landed beside that, then git merge $(agentfw show ${named(`${tag}:${toText(branch)}`)}); where git lacks that commit, ${commit} -- ${named(objects)} first`;
  }
  const choice = '--take sandbox PATH or --take host PATH chooses a side';
  if (merges === null && maybeMerged(conflicts, selected)) return `${commit} --merge merges text that both sides changed; ${choice}`;
  if (merges?.some(({ outcome }) => outcome === 'conflicts') === true) return `${commit} --merge=markers writes both sides into the file; ${choice}`;
  return `${commit} with ${choice}`;
}

/** Edits of files on both sides: nothing else merges. */
function maybeMerged(conflicts: readonly Refused[], selected: Offer['selected']): boolean {
  const changed = new Set(conflicts.filter(({ conflict }) => conflict === 'changed').map(({ path }) => path));
  return changed.size > 0 && selected.some(({ path, kind, type, content }) => kind === 'modify' && type === 'file' && content && changed.has(path));
}

/** An agent can name a branch `$(…)`. */
function named(word: string): string {
  return escapeForTerminal(shellWord(word));
}
