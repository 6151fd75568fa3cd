/** Host trees, layers over them and what is committed of them: between them all kinds of steps. */
import { chmodSync, linkSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromText, type Bytes } from '../../src/bytes.js';
import { native } from '../../src/kernel/native.js';
import { AT_FDCWD } from '../../src/kernel/kernel.js';
import { at, judgedIn, planOf, type Some, type World } from '../changes/world.js';
import type { Plan } from '../../src/changes/plan/draft.js';

export const SCENES = ['whole', 'part', 'live', 'composed', 'dropped'] as const;
export type Scene = (typeof SCENES)[number];

/** Old times, so that a restored mtime can't be an accident. */
const THEN = 1_000_000_000;

export function build(world: World): void {
  const { host: h, upper: u } = world;
  const file = (path: string, text: string, mode = 0o644): void => {
    writeFileSync(path, text);
    chmodSync(path, mode);
    utimesSync(path, THEN, THEN + text.length);
  };
  const dir = (path: string, mode = 0o755): void => {
    mkdirSync(path, { recursive: true });
    chmodSync(path, mode);
  };
  for (const path of ['d/e', 'gone/sub', 'opaque', 'todir-not', 'tofile/x', 'many', 'noise']) dir(join(h, path));
  file(join(h, 'modified'), 'old\n');
  file(join(h, 'd/modified'), 'old in d\n');
  file(join(h, 'deleted'), 'bye\n');
  file(join(h, 'd/e/deleted'), 'bye too\n');
  file(join(h, 'gone/g'), 'g\n');
  file(join(h, 'gone/sub/s'), 's\n');
  file(join(h, 'opaque/hidden'), 'hidden\n');
  file(join(h, 'opaque/kept'), 'kept\n');
  file(join(h, 'todir'), 'a file\n');
  file(join(h, 'tofile/x/y'), 'y\n');
  file(join(h, 'meta'), 'meta\n');
  file(join(h, 'name1'), 'linked\n');
  linkSync(join(h, 'name1'), join(h, 'name2'));
  file(join(h, 'moved-from'), 'moved content\n');
  symlinkSync('modified', join(h, 'link'));

  for (const path of ['d/e', 'opaque', 'todir', 'new/deep/er', 'new/empty', 'many', 'noise', 'half/in']) dir(join(u, path));
  file(join(u, 'modified'), 'new\n');
  mark(join(u, 'modified'), 'origin', '');
  file(join(u, 'd/modified'), 'new in d\n');
  mark(join(u, 'd/modified'), 'origin', '');
  whiteout(join(u, 'deleted'));
  whiteout(join(u, 'd/e/deleted'));
  whiteout(join(u, 'gone'));
  file(join(u, 'opaque/kept'), 'kept anew\n');
  file(join(u, 'opaque/fresh'), 'fresh\n');
  mark(join(u, 'opaque'), 'opaque', 'y');
  file(join(u, 'todir/inside'), 'inside\n');
  file(join(u, 'tofile'), 'now a file\n');
  file(join(u, 'meta'), 'meta\n', 0o600);
  mark(join(u, 'meta'), 'origin', '');
  utimesSync(join(u, 'meta'), THEN, THEN + 5);
  file(join(u, 'name1'), 'linked, but changed\n');
  mark(join(u, 'name1'), 'origin', '');
  whiteout(join(u, 'moved-from'));
  file(join(u, 'moved-to'), 'moved content\n');
  symlinkSync('elsewhere', join(u, 'link'));
  file(join(u, 'new/deep/er/f'), 'f\n');
  file(join(u, 'new/setuid'), 'suid\n', 0o4755);
  file(join(u, 'new/copied'), 'copied up before it was moved here\n');
  mark(join(u, 'new/copied'), 'origin', '');
  symlinkSync('../modified', join(u, 'new/link'));
  mark(join(u, 'new'), 'opaque', 'y');
  file(join(u, 'half/in/a'), 'a\n');
  file(join(u, 'half/in/b'), 'b\n');
  file(join(u, 'pair1'), 'pair\n');
  linkSync(join(u, 'pair1'), join(u, 'pair2'));
  for (let n = 0; n < 5; n += 1) file(join(u, `many/${n}`), `${n}\n`);
  buildLinks(world, file, dir);
  chmodSync(join(u, 'd'), 0o700);
  mark(join(u, 'd'), 'origin', '');
}

/** New names of files of the host: unchanged, with other metadata, changed through all names; in a new directory, and in place of another file. */
function buildLinks({ host: h, upper: u }: World, file: (path: string, text: string) => void, dir: (path: string) => void): void {
  for (const path of ['linked', 'relinked']) file(join(h, path), `${path}\n`);
  file(join(u, 'linked'), 'linked\n');
  mark(join(u, 'linked'), 'origin', '');
  dir(join(u, 'links'));
  file(join(u, 'links/own'), 'own\n');
  for (const path of ['linked-too', 'links/linked', 'relinked']) linkSync(join(u, 'linked'), join(u, path));
  linkSync(join(u, 'meta'), join(u, 'meta-too'));
  linkSync(join(u, 'name1'), join(u, 'name3'));
}

function mark(path: string, name: string, value: string): void {
  native.setXattr(AT_FDCWD, fromText(path), fromText(`user.overlay.${name}`), Buffer.from(value));
}

function whiteout(path: string): void {
  native.mknod(AT_FDCWD, fromText(path), 0o020000, 0);
}

/** What is committed, and how. */
export function planFor(world: World, scene: Scene): Plan {
  if (scene === 'dropped') return dropPlan(world);
  const renames = new Map<Bytes, Bytes>([[at(world, 'moved-from'), at(world, 'moved-to')]]);
  if (scene === 'whole') return planOf(world, { renames });
  if (scene === 'live') return planOf(world, { renames, live: true });
  const changes = judgedIn(world);
  // Left out: one of a linked pair, part of a new and of an opaque directory, a plain file.
  const left = ['pair2', 'half/in/b', 'opaque', 'opaque/fresh', 'many/3'].map((path) => at(world, path));
  const only = changes.map(({ path }) => path).filter((path) => !left.includes(path)).map((path) => path.slice(world.host.length + 1));
  const some: Some = { renames, only };
  if (scene === 'part') return planOf(world, some, changes);
  const composed = new Map([
    [at(world, 'modified'), { content: Buffer.from('merged\n'), consume: true }],
    [at(world, 'd/modified'), { content: Buffer.from('hunk\n'), consume: false }],
  ]);
  const take = new Map([[at(world, 'many/1'), 'host' as const]]);
  return planOf(world, { ...some, composed, take }, changes);
}

/** A file, a new directory, a deletion and one of linked names leave the layer; of the host only one file changes. */
function dropPlan(world: World): Plan {
  const dropped = ['modified', 'new', 'deleted', 'd/e/deleted', 'gone', 'pair1', 'todir', 'half/in/a'];
  const changes = judgedIn(world);
  const only = changes.map(({ path }) => path.slice(world.host.length + 1)).filter((path) => path === 'tofile' || path.startsWith('tofile/') || dropped.some((top) => path === top || path.startsWith(`${top}/`)));
  return planOf(world, { only, take: new Map(dropped.map((path) => [at(world, path), 'host' as const])) }, changes);
}
