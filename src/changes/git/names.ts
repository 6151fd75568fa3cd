import { constants } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import { joinBytes } from '../../bytes.js';
import { errnoOf } from '../../errors.js';
import type { Stat } from '../../kernel/kernel.js';
import { fileTypeOf } from '../scan/filetype.js';
import { NAMING } from './dir.js';
import { spotOf, statPlace, type OpenDirs } from '../apply/open-dirs.js';
import { below, type Place } from '../plan/step.js';

/** A git directory of the host, to be read by `place`. */
export interface GitDir {
  /** absolute */
  readonly dir: Bytes;
  readonly place: Place;
}

/** A file that names objects. */
export interface Naming {
  /** absolute */
  readonly path: Bytes;
  readonly place: Place;
  readonly stat: Stat;
}

/** One of the files of a git directory that name objects is such; so it is taken for where they can't be seen. */
export function anyNaming(dirs: OpenDirs, { dir, place }: GitDir, test: (found: Naming) => boolean): boolean {
  try {
    for (const name of NAMING) {
      const at = { root: place.root, path: place.path === '' ? name : joinBytes(place.path, name) };
      const stat = statPlace(dirs, at);
      if (stat === null) continue;
      for (const found of filesIn(dirs, { place: at, path: joinBytes(dir, name), stat })) if (test(found)) return true;
    }
    return false;
  } catch (error) {
    if (errnoOf(error) === null) throw error;
    return true;
  }
}

/** What looks like a git directory is one. */
export function hasHead(dirs: OpenDirs, dir: Place): boolean {
  try {
    return statPlace(dirs, below(dir, 'HEAD' as Bytes)) !== null;
  } catch (error) {
    if (errnoOf(error) === null) throw error;
    return true;
  }
}

function* filesIn(dirs: OpenDirs, top: Naming): Generator<Naming> {
  if (fileTypeOf(top.stat) !== 'dir') return yield top;
  const { at, name } = spotOf(dirs, top.place);
  const fd = dirs.kernel.open(at, name, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    for (const { path, upper: stat } of dirs.kernel.walk(fd, null, { family: 'user', compare: false })) {
      if (fileTypeOf(stat) !== 'dir') yield { path: joinBytes(top.path, path), place: below(top.place, path), stat };
    }
  } finally {
    dirs.kernel.close(fd);
  }
}
