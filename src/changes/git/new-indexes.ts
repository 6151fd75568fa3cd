import { constants } from 'node:fs';
import { nameOf, type Bytes } from '../../bytes.js';
import { errnoOf } from '../../errors.js';
import { spotOf, statPlace, type Rooms } from '../apply/rooms.js';
import { absolute, below, type Place } from '../plan/step.js';

/** What git keeps for work trees and submodules, in a git directory: each has an index of its own. */
const KEPT = /\/\.git\/(?:worktrees|modules)(\/.+)?$/s;
/** Names of submodules are paths. */
const DEEPEST = 8;

/** Where a directory that landed as a whole may have git indexes, which host and agent go on writing. */
export function* newIndexes(rooms: Rooms, tree: Place): Generator<Place> {
  const path = absolute(rooms.roots, tree);
  const kept = KEPT.exec(path);
  if (kept !== null) return yield* kept[1] === undefined ? indexesBelow(rooms, tree) : indexesAt(rooms, tree);
  const git = nameOf(path) === '.git' ? tree : below(tree, '.git' as Bytes);
  if (isThere(rooms, git)) yield* indexesAt(rooms, git);
}

function* indexesAt(rooms: Rooms, git: Place, depth = 0): Generator<Place> {
  yield below(git, 'index' as Bytes);
  yield* indexesBelow(rooms, below(git, 'modules' as Bytes), depth);
}

function* indexesBelow(rooms: Rooms, dir: Place, depth = 0): Generator<Place> {
  if (depth > DEEPEST) return;
  for (const name of listed(rooms, dir)) {
    const git = below(dir, name);
    yield* isThere(rooms, below(git, 'HEAD' as Bytes)) ? indexesAt(rooms, git, depth + 1) : indexesBelow(rooms, git, depth + 1);
  }
}

function isThere(rooms: Rooms, place: Place): boolean {
  return quietly(() => statPlace(rooms, place) !== null, false);
}

/** Nothing for what is no directory. */
function listed(rooms: Rooms, dir: Place): readonly Bytes[] {
  return quietly(() => {
    const { at, name } = spotOf(rooms, dir);
    const fd = rooms.kernel.open(at, name, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    try {
      return rooms.kernel.list(fd);
    } finally {
      rooms.kernel.close(fd);
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
