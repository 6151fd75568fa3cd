import { expect, test } from 'vitest';
import { fromText } from '../../../src/bytes.js';
import { referenceOf } from '../../../src/changes/git/packed-ref.js';

test.each([
  ['/home/me/p/.git/refs/heads/main', '/home/me/p/.git/packed-refs', 'refs/heads/main'],
  // A directory called `refs` above the repository, a branch with one in its name.
  ['/home/me/refs/p/.git/refs/heads/main', '/home/me/refs/p/.git/packed-refs', 'refs/heads/main'],
  ['/home/me.github/refs/p/.git/refs/heads/x/refs/y', '/home/me.github/refs/p/.git/packed-refs', 'refs/heads/x/refs/y'],
  ['/srv/refs/p.git/refs/tags/v1', '/srv/refs/p.git/packed-refs', 'refs/tags/v1'],
  ['/p/.git/modules/sub/refs/heads/main', '/p/.git/modules/sub/packed-refs', 'refs/heads/main'],
])('%s is a reference that may be packed in %s', (path, file, name) => {
  expect(referenceOf(fromText(path))).toEqual({ file, name });
});
test.each(['/home/me/refs/p/file', '/p/.github/refs/heads/main', '/p/refs/heads/main', '/p/.git/refs'])('%s is none', (path) => {
  expect(referenceOf(fromText(path))).toBeNull();
});
