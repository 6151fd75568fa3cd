import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { fromText, type Bytes } from '../../../src/bytes.js';
import type { Change, FileType } from '../../../src/changes/change.js';
import { removalNeeds, unfinishedIn, unfinishedNeeds } from '../../../src/changes/git/unfinished.js';
import { native } from '../../../src/kernel/native.js';
import { tempDir } from '../../kernel/temp.js';

test.each([
  ['/p/.git/MERGE_HEAD', '/p/.git'],
  ['/p/.git/AUTO_MERGE', '/p/.git'],
  ['/p/.git/CHERRY_PICK_HEAD', '/p/.git'],
  ['/p/.git/BISECT_LOG', '/p/.git'],
  ['/p/.git/rebase-merge/done', '/p/.git'],
  ['/p/bare.git/rebase-apply', '/p/bare.git'],
  ['/p/.git/modules/sub/sequencer/todo', '/p/.git/modules/sub'],
  ['/p/.git/worktrees/w/REBASE_HEAD', '/p/.git/worktrees/w'],
])('%s is part of what is unfinished in %s', (path, dir) => {
  expect(unfinishedIn(path as Bytes)).toBe(dir);
  expect(unfinishedNeeds([{ path: path as Bytes } as Change])).toEqual([[path, [`${dir}/index`, `${dir}/HEAD`]]]);
});
test.each(['/p/.git/HEAD', '/p/.git/refs/heads/MERGE_HEAD', '/p/src/MERGE_HEAD', '/p/.git/hooks/rebase-merge'])('%s is part of nothing unfinished', (path) => {
  expect(unfinishedIn(path as Bytes)).toBeNull();
});

const gone = (path: string, type: FileType = 'file'): Change => ({ path: fromText(path), kind: 'delete', type }) as Change;

/** The needs of what is deleted in a directory with these `.git` files of the host, by names relative to it. */
function needs(pointers: Readonly<Record<string, string>>, deleted: readonly string[], dirs: readonly string[] = []): Record<string, readonly string[]> {
  const top = tempDir();
  for (const [name, to] of Object.entries(pointers)) {
    mkdirSync(join(top, dirname(name)), { recursive: true });
    writeFileSync(join(top, name), `gitdir: ${to.replace('$TOP', top)}\n`);
  }
  const all = [...deleted.map((name) => gone(join(top, name))), ...dirs.map((name) => gone(join(top, name), 'dir'))];
  const named = (path: string): string => path.slice(top.length + 1);
  return Object.fromEntries(removalNeeds(all, native).map(([path, others]) => [named(path), others.map(named)]));
}

test.each([['a relative path', '../.git/modules/sub'], ['an absolute one', '$TOP/p/.git/modules/sub']])('the git directory of a submodule goes with the `.git` that leads to it, by %s', (_, to) => {
  const found = needs({ 'p/sub/.git': to }, ['p/sub/.git', 'p/.git/modules/sub/HEAD', 'p/.git/modules/sub/config', 'p/.git/modules/subway/HEAD', 'p/a']);

  expect(found).toEqual({ 'p/.git/modules/sub/HEAD': ['p/sub/.git'], 'p/.git/modules/sub/config': ['p/sub/.git'] });
});

test('that of a work tree goes whole: nothing of it without what makes it one', () => {
  const inside = ['commondir', 'HEAD', 'gitdir', 'index'].map((name) => `p/.git/worktrees/w/${name}`);
  const [common, head, dir, index] = inside as [string, string, string, string];

  expect(needs({ 'w/.git': '$TOP/p/.git/worktrees/w' }, ['w/.git', ...inside], ['p/.git/worktrees/w'])).toEqual({
    [common]: [head, dir, 'w/.git'], [head]: [common, dir, 'w/.git'], [dir]: [common, head, 'w/.git'], [index]: [common, head, dir, 'w/.git'],
  });
  expect(needs({}, [head, index])).toEqual({ [index]: [head] });
});
