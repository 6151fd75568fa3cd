import { constants } from 'node:fs';
import { nameOf, type Bytes } from '../../bytes.js';
import { errnoOf } from '../../errors.js';
import { spotOf, statPlace, type OpenDirs } from '../apply/open-dirs.js';
import { absolute, below, type Place } from '../plan/step.js';

/** What git keeps for work trees and submodules, in a git directory: each has an index of its own. */
const KEPT = /\/\.git\/(?:worktrees|modules)(\/.+)?$/s;
/** Names of submodules are paths. */
const DEEPEST = 8;

/** Where a directory that landed as a whole may have git indexes, which host and agent go on writing. */
export function* newIndexes(dirs: OpenDirs, tree: Place): Generator<Place> {
  const path = absolute(dirs.roots, tree);
  const kept = KEPT.exec(path);
  if (kept !== null) return yield* kept[1] === undefined ? indexesBelow(dirs, tree) : indexesAt(dirs, tree);
  const git = nameOf(path) === '.git' ? tree : below(tree, '.git' as Bytes);
  if (isThere(dirs, git)) yield* indexesAt(dirs, git);
}

function* indexesAt(dirs: OpenDirs, git: Place, depth = 0): Generator<Place> {
  yield below(git, 'index' as Bytes);
  yield* indexesBelow(dirs, below(git, 'modules' as Bytes), depth);
}

function* indexesBelow(dirs: OpenDirs, dir: Place, depth = 0): Generator<Place> {
  if (depth > DEEPEST) return;
  for (const name of listed(dirs, dir)) {
    const git = below(dir, name);
    yield* isThere(dirs, below(git, 'HEAD' as Bytes)) ? indexesAt(dirs, git, depth + 1) : indexesBelow(dirs, git, depth + 1);
  }
}

function isThere(dirs: OpenDirs, place: Place): boolean {
  return quietly(() => statPlace(dirs, place) !== null, false);
}

/** Nothing for what is no directory. */
function listed(dirs: OpenDirs, dir: Place): readonly Bytes[] {
  return quietly(() => {
    const { at, name } = spotOf(dirs, dir);
    const fd = dirs.kernel.open(at, name, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    try {
      return dirs.kernel.list(fd);
    } finally {
      dirs.kernel.close(fd);
    }
  }, []);
}

/** Only to spare the user a conflict later: what can't be looked at has none. */
function quietly<T>(look: () => T, none: T): T {
  try {
    return look();
  } catch (error) {
    if (errnoOf(error) === null) throw error;
    return none;
  }
}
