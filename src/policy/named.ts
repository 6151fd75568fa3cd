import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { settingsText } from './settings-text.js';

/** A file of the user's that stands for another: what is hidden there is hidden here too. */
export type Named = readonly [from: string, to: string];

const MOST_INCLUDED = 64;

/**
 * Where the user's own configuration says that a credential lies: keys that
 * ssh is told to use, and the file of git's `store` helper. Relative names and
 * those with ssh's tokens (but the home's) stand for no one file.
 */
export function namedCredentials(home: string): readonly Named[] {
  const keys = sshKeys(home, join(home, '.ssh/config'), 0);
  const stores = ['.gitconfig', '.config/git/config'].flatMap((name) => storesIn(settingsText(join(home, name)), home));
  return [
    ...keys.filter((path) => !path.endsWith('.pub')).map((path): Named => [join(home, '.ssh/id_rsa'), path]),
    ...stores.map((path): Named => [join(home, '.git-credentials'), path]),
  ];
}

function sshKeys(home: string, file: string, depth: number): string[] {
  const keys: string[] = [];
  for (const line of settingsText(file).split('\n')) {
    const [, word = '', rest = ''] = /^\s*(\w+)(?:\s*=\s*|\s+)(.*?)\s*$/.exec(line) ?? [];
    if (/^identityfile$/i.test(word)) keys.push(...pathIn(rest, home));
    if (!/^include$/i.test(word) || depth > 2) continue;
    for (const one of rest.split(/\s+/)) {
      const pattern = pathIn(one, home)[0] ?? (one.startsWith('/') || one.startsWith('~') ? null : join(home, '.ssh', one));
      if (pattern !== null) keys.push(...filesOf(pattern).flatMap((path) => sshKeys(home, path, depth + 1)));
    }
  }
  return keys;
}

/** What a pattern of `Include` means, with stars in the last name alone. */
function filesOf(pattern: string): string[] {
  if (!/[*?[]/.test(pattern)) return [pattern];
  const [before = '', ...after] = basename(pattern).split('*');
  try {
    return readdirSync(dirname(pattern)).filter((name) => name.startsWith(before) && name.endsWith(after.at(-1) ?? '')).slice(0, MOST_INCLUDED).map((name) => join(dirname(pattern), name));
  } catch {
    return [];
  }
}

function storesIn(text: string, home: string): string[] {
  return [...text.matchAll(/^\s*helper\s*=\s*"?(?:\S*git-credential-)?store\s.*--file[= ]\s*([^\s"]+)/gim)].flatMap(([, path = '']) => pathIn(path, home));
}

function pathIn(text: string, home: string): string[] {
  const bare = text.replace(/^"(.*)"$/, '$1').replace(/^(?:~|%d|\$\{HOME\}|\$HOME)(?=\/)/, home);
  return bare.startsWith('/') && !/[%$]/.test(bare) ? [bare] : [];
}
