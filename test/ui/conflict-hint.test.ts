/** The hint of a commit is copied into a shell. */
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import { shellWord } from '../../src/shell-word.js';
import { settlingHint } from '../../src/ui/conflict-hint.js';

test.each(['plain/x-1.0', 'sp ace', "it's", '$(touch x)', '`id`', 'a;b|c&d', '"', '\\', '*', '~', '', '-x', 'new\nline', 'é€'])('a shell takes %j as one word', (word) => {
  expect(execFileSync('sh', ['-c', `printf '%s|' ${shellWord(word)}`], { encoding: 'utf8', cwd: '/' })).toBe(`${word}|`);
});

test('the name of a branch does nothing there', () => {
  const refused = { path: fromText('/p/.git/refs/heads/$(id)\u001b'), why: 'conflict', conflict: 'changed', code: null, text: '' } as never;

  expect(settlingHint({ tag: 'box', said: 'box' }, [refused], { selected: [], merges: null })).toContain("git merge $(agentfw show 'box:/p/.git/refs/heads/$(id)\\x1b'); where");
});

test.each([
  ['an edit', { kind: 'modify', type: 'file', content: true }, true],
  ['a deletion', { kind: 'delete', type: 'file', content: false }, false],
  ['another target of a symlink', { kind: 'modify', type: 'symlink', content: true }, false],
  ['another mode', { kind: 'metadata', type: 'file', content: false }, false],
  ['a file that became a directory', { kind: 'type', type: 'dir', content: false }, false],
])('--merge is offered for what may merge: %s', (_, change, offered) => {
  const path = fromText('/p/a');
  const refused = { path, why: 'conflict', conflict: 'changed', code: null, text: '' } as never;

  const hint = settlingHint({ tag: 'box', said: 'box' }, [refused], { selected: [{ path, ...change } as never], merges: null });

  expect(hint).toContain('--take sandbox PATH or --take host PATH chooses a side');
  expect(hint?.includes('--merge')).toBe(offered);
});
