import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import { judgePath, resolveHides } from '../../src/policy/index.js';
import { namedCredentials } from '../../src/policy/named.js';
import { compileIn, tempHome } from './temp.js';

describe('credentials that the user’s configuration names', () => {
  test.each([
    ['IdentityFile ~/keys/work', ['keys/work']],
    ['Host a\n\tidentityfile = "~/my keys/b"\nHost c\n IdentityFile %d/keys/c', ['my keys/b', 'keys/c']],
    ['Include more.d/*.conf\nInclude ~/.ssh/gone', ['keys/included']],
    ['IdentityFile ~/.ssh/yubi.pub\nIdentityFile keys/relative\nIdentityFile ~/keys/%h\n# IdentityFile ~/no\nInclude config', []],
  ])('CR08 keys of ssh: %j', (config, expected) => {
    const home = tempHome({ '.ssh/config': config, '.ssh/more.d/a.conf': 'IdentityFile ~/keys/included', '.ssh/more.d/b.bak': 'IdentityFile ~/keys/old' });

    expect(namedCredentials(home)).toEqual(expected.map((name) => [join(home, '.ssh/id_rsa'), join(home, name)]));
  });

  test.each([
    ['.gitconfig', '[credential]\n\thelper = store --file ~/creds/git\n'],
    ['.config/git/config', '[credential "https://x.example"]\n\thelper = "store --timeout 1 --file=~/creds/git"\n'],
  ])('CR08 the file of git’s `store` helper: %s', (file, text) => {
    const home = tempHome({ [file]: text });

    expect(namedCredentials(home)).toEqual([[join(home, '.git-credentials'), join(home, 'creds/git')]]);
  });

  test('CR08 they are hidden, and what names them is not; a home is never one', async () => {
    const home = tempHome({ '.ssh/config': 'IdentityFile ~/keys/work\nIdentityFile ~/\n', '.gitconfig': '[credential]\nhelper = store --file ~/creds/git\n' });
    const { policy } = await compileIn(home);
    const verdict = (name: string): string => judgePath(policy, fromText(join(home, name)), 'read').verdict;

    expect(['keys/work', 'creds/git'].map(verdict)).toEqual(['deny', 'deny']);
    expect(['keys/other', 'creds', '.gitconfig', '.ssh/config', 'app/a.ts'].map(verdict)).toEqual(['allow', 'allow', 'allow', 'allow', 'allow']);
  });

  test('CR08 one that lies behind a linked directory is hidden where it is', async () => {
    const home = tempHome({ '.ssh/config': 'IdentityFile ~/keys/work\nIdentityFile ~/keys/config\n', 'disk/work': '', 'disk/config': '', 'disk/notes': '' });
    symlinkSync('disk', join(home, 'keys'));
    const { policy } = await compileIn(home);
    const { hides } = await resolveHides(policy);

    expect(hides.filter(({ kind, path }) => kind !== 'absent' && path.startsWith(home)).map(({ path }) => path.slice(home.length + 1))).toEqual(['disk/config', 'disk/work']);
  });
});
