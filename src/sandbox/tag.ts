import type { Bytes } from '../bytes.js';
import { nameOf } from '../bytes.js';
import { AgentfwError } from '../errors.js';

const TAG = /^[a-z0-9][a-z0-9._-]{0,62}$/;
const LETTERS = 'abcdefghijklmnopqrstuvwxyz';

/** Words that begin a command, now or later: never a tag, so that `agentfw diff log` can't mean two things. */
const RESERVED: ReadonlySet<string> = new Set(
  ('run list status diff commit discard export undo recover prune kill exec shell show approvals approve deny ' +
    'log net freeze thaw policy selftest doctor help version blame attach fork checkpoint import').split(' '),
);

/** True for a name that a sandbox may have. */
export function isTag(word: string): boolean {
  return TAG.test(word) && !RESERVED.has(word);
}

/** Refuses a word that can't be a tag, and says why. */
export function checkTag(word: string): string {
  if (isTag(word)) return word;
  if (RESERVED.has(word)) {
    throw new AgentfwError('AFW_TAG', `"${word}" can't be a tag: it is a command.`, { status: 2, hint: `For example: --tag ${word}-1` });
  }
  throw new AgentfwError('AFW_TAG', 'A tag has 1 to 63 of a-z, 0-9, ".", "_", "-" and begins with a letter or digit.', {
    status: 2,
    hint: 'For example: --tag fix-login',
  });
}

/** The default tag: the agent's name and four random letters. */
export function tagFor(agent: Bytes, random: (bytes: number) => Buffer): string {
  const name = nameOf(agent)
    .toLowerCase()
    .replace(/\.(exe|js|mjs|cjs|py|sh)$/, '')
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, '')
    .slice(0, 40);
  return `${name === '' ? 'agent' : name}-${letters(random)}`;
}

/** Four letters; bytes that would favour some letters are drawn again. */
function letters(random: (bytes: number) => Buffer): string {
  let word = '';
  while (word.length < 4) {
    for (const byte of random(8)) {
      if (byte < 234 && word.length < 4) word += LETTERS[byte % 26];
    }
  }
  return word;
}
