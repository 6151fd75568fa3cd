import { constants, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { native } from '../../src/kernel/native.js';
import { b, openDir } from './temp.js';

export type Tree = Record<string, string | null>;

/** Paths to contents; a path that ends in `/` is a directory, `-> x` a symlink, null a whiteout. */
export function plant(root: string, tree: Tree): void {
  for (const [path, content] of Object.entries(tree)) {
    const full = join(root, path);
    mkdirSync(dirname(full), { recursive: true });
    if (path.endsWith('/')) mkdirSync(full, { recursive: true });
    else if (content === null) native.mknod(openDir(dirname(full)), b(path.split('/').pop() ?? ''), constants.S_IFCHR, 0);
    else if (content.startsWith('-> ')) symlinkSync(content.slice(3), full);
    else writeFileSync(full, content);
  }
}
