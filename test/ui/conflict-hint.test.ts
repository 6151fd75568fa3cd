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

  expect(settlingHint('box', [refused], null)).toContain("git merge $(agentfw show 'box:/p/.git/refs/heads/$(id)\\x1b'); where");
});
