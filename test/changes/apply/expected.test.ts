/** I16: of a new directory only what was shown lands. */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Bytes } from '../../../src/bytes.js';
import { Expected } from '../../../src/changes/apply/expected.js';
import { TreeEntries, type Entry } from '../../../src/changes/plan/tree-entries.js';
import type { Crowd } from '../../../src/changes/scan/crowd.js';
import type { WalkPiece } from '../../../src/kernel/kernel.js';
import { native } from '../../../src/kernel/native.js';
import { openDir, tempDir } from '../../kernel/temp.js';

const FILES = ['a', 'b', 'c', 'sub/x', 'sub/y'];

function plant(): string {
  const dir = tempDir();
  mkdirSync(join(dir, 'sub'));
  for (const name of FILES) writeFileSync(join(dir, name), 'shown');
  return dir;
}

/** Each entry below a directory, as a walk meets it. */
function entriesIn(dir: string): { readonly piece: WalkPiece; readonly at: number; readonly path: Bytes }[] {
  const met: { piece: WalkPiece; at: number; path: Bytes }[] = [];
  for (const piece of native.walkPieces(openDir(dir), null, { family: 'user', compare: false })) {
    for (let at = 0; at < piece.end; at = piece.after(at)) if (piece.name(at) !== '') met.push({ piece, at, path: piece.path(at) });
  }
  return met;
}

/** What is shown of it: the files of the top packed, each in a crowd of its own, or everything listed. */
function shown(dir: string, packs: boolean): TreeEntries {
  const all = entriesIn(dir);
  const isPacked = (path: Bytes): boolean => packs && !path.startsWith('sub');
  const listed = all.filter(({ path }) => !isPacked(path)).map(({ piece, at, path }): Entry => ({ path, type: path === 'sub' ? 'dir' : 'file', stat: piece.upper(at), target: null }));
  return new TreeEntries(listed, all.filter(({ path }) => isPacked(path)).map(({ piece, at }) => ({ dir: '' as Bytes, crowd: { piece, at: [at] } as unknown as Crowd })));
}

/** What of the directory as it is now was not shown, and whether all that was is there. */
function heldAgainst(entries: TreeEntries, dir: string): { readonly strange: readonly string[]; readonly isWhole: boolean } {
  const expected = new Expected(entries);
  const strange = entriesIn(dir).filter(({ piece, at }) => !expected.meet(piece, at)).map(({ path }) => path);
  return { strange, isWhole: expected.isWhole };
}

for (const packs of [false, true]) {
  const how = packs ? 'packed' : 'listed';

  test(`${how}: what is as it was shown is whole`, () => {
    const dir = plant();
    const entries = shown(dir, packs);

    expect(entries.length).toBe(6);
    expect(heldAgainst(entries, dir)).toEqual({ strange: [], isWhole: true });
  });

  test.each<[string, (dir: string) => void, string[]]>([
    ['other content', (dir) => writeFileSync(join(dir, 'b'), 'other content'), ['b']],
    ['another object of the same content', (dir) => { writeFileSync(join(dir, 'sub/new'), 'shown'); renameSync(join(dir, 'sub/new'), join(dir, 'sub/x')); }, ['sub/x']],
    ['a new name', (dir) => writeFileSync(join(dir, 'd'), 'new'), ['d']],
    ['another directory', (dir) => { renameSync(join(dir, 'sub'), join(dir, 'old')); mkdirSync(join(dir, 'sub')); rmSync(join(dir, 'old'), { recursive: true }); }, ['sub']],
  ])(`${how}: %s was not shown`, (_, change, strange) => {
    const dir = plant();
    const entries = shown(dir, packs);
    change(dir);

    expect(heldAgainst(entries, dir).strange).toEqual(expect.arrayContaining(strange));
  });

  test(`${how}: what is gone is missed`, () => {
    const dir = plant();
    const entries = shown(dir, packs);
    rmSync(join(dir, 'c'));

    expect(heldAgainst(entries, dir)).toEqual({ strange: [], isWhole: false });
  });
}
