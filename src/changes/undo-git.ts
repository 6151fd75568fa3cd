import { constants } from 'node:fs';
import type { Bytes } from '../bytes.js';
import { joinBytes } from '../bytes.js';
import { errnoOf } from '../errors.js';
import type { Stat } from '../kernel/kernel.js';
import { redraft, type Draft } from './draft.js';
import { fileTypeOf } from './filetype.js';
import { refused as refusedFor } from './refusal.js';
import type { Refused } from './result.js';
import { spotOf, statPlace, type Rooms } from './rooms.js';
import type { Place } from './step.js';

/** What an undo would do, and what it can't. */
export interface Undone {
  readonly drafts: readonly Draft[];
  readonly refused: readonly Refused[];
}

export interface Looking {
  readonly rooms: Rooms;
  /** the host changed it after the commit landed */
  readonly isNew: (path: Bytes, stat: Stat) => boolean;
}

/** `refs`: what is checked out, and the names of commits. `logs`: the names they had. */
type Part = 'objects' | 'refs' | 'logs';

interface Inside {
  readonly dir: Bytes;
  readonly part: Part;
}

interface Repository {
  readonly drafts: Map<Draft, Part>;
  readonly refused: Set<Part>;
}

const IN_GIT_DIR = /^(.*\/\.git(?:\/modules\/.+?)?)\/(objects|refs|reftable|worktrees|logs|HEAD|index|packed-refs)(?:\/|$)/s;
/** A repository without a work tree is known by its objects. */
const OBJECT = /^(.*)\/objects\/(?:[0-9a-f]{2}|pack|info)(?:\/|$)/s;
const MOVED_ON = 'the repository was used since, and may need it';
const NAMES = ['HEAD', 'index', 'packed-refs', 'refs', 'reftable', 'logs', 'worktrees'] as readonly string[] as readonly Bytes[];

/**
 * I19: of a repository an undo takes back what is checked out together with its
 * index and branches, or none of it; and no object that the host may have
 * come to need since. A branch of the host, a stash or the log of a reference
 * may lead to what the agent committed.
 */
export function keepRepositories({ drafts, refused }: Undone, looking: Looking): Undone {
  const repositories = repositoriesIn({ drafts, refused });
  const staying = new Set<Draft>();
  const groups = new Map<Draft, number>();
  for (const [dir, repository] of repositories) {
    const stays = stayingOf(dir, repository, looking);
    for (const [draft, part] of repository.drafts) {
      if (stays.has(part)) staying.add(draft);
      else groups.set(draft, repositories.size);
    }
  }
  if (staying.size + groups.size === 0) return { drafts, refused };
  return {
    drafts: drafts.filter((draft) => !staying.has(draft)).map((draft) => grouped(draft, groups)),
    refused: [...refused, ...[...staying].map((draft) => refusedFor(draft, 'conflict', { text: MOVED_ON, conflict: 'changed' }))],
  };
}

function grouped(draft: Draft, groups: ReadonlyMap<Draft, number>): Draft {
  const group = groups.get(draft);
  return group === undefined ? draft : redraft(draft, { group });
}

function repositoriesIn({ drafts, refused }: Undone): ReadonlyMap<Bytes, Repository> {
  const bare = new Set<Bytes>();
  for (const { path } of drafts) {
    const dir = IN_GIT_DIR.test(path) ? undefined : OBJECT.exec(path)?.[1];
    if (dir !== undefined) bare.add(dir as Bytes);
  }
  const found = new Map<Bytes, Repository>();
  const at = (dir: Bytes): Repository => {
    const known = found.get(dir) ?? { drafts: new Map<Draft, Part>(), refused: new Set<Part>() };
    found.set(dir, known);
    return known;
  };
  for (const draft of drafts) {
    const inside = insideOf(draft.path, bare);
    if (inside !== null) at(inside.dir).drafts.set(draft, inside.part);
  }
  for (const { path } of refused) {
    const inside = insideOf(path, bare);
    if (inside !== null) at(inside.dir).refused.add(inside.part);
  }
  return found;
}

function insideOf(path: Bytes, bare: ReadonlySet<Bytes>): Inside | null {
  const [, dir, name] = IN_GIT_DIR.exec(path) ?? inBare(path, bare) ?? [];
  if (dir === undefined || name === undefined) return null;
  return { dir: dir as Bytes, part: name === 'objects' || name === 'logs' ? name : 'refs' };
}

function inBare(path: Bytes, bare: ReadonlySet<Bytes>): readonly string[] | null {
  for (const dir of bare) {
    const name = path.startsWith(`${dir}/`) ? path.slice(dir.length + 1).split('/', 1)[0] : undefined;
    if (name !== undefined && (name === 'objects' || NAMES.includes(name as Bytes))) return [path, dir, name];
  }
  return null;
}

/** Which parts can't go back. */
function stayingOf(dir: Bytes, { drafts, refused }: Repository, looking: Looking): ReadonlySet<Part> {
  if (refused.has('refs')) return new Set<Part>(['refs', 'objects']);
  const objects = [...drafts].find(([, part]) => part === 'objects')?.[0];
  if (objects === undefined) return new Set();
  const known = new Set([...drafts.keys()].map(({ path }) => path));
  const isUsed = refused.has('logs') || refused.has('objects') || wasUsed(looking, { dir, known, place: placeOf(dir, objects) });
  return new Set<Part>(isUsed ? ['objects'] : []);
}

/** null: the layer's base is in the git directory itself. */
function placeOf(dir: Bytes, { host, path }: Draft): Place | null {
  const length = host.path.length - (path.length - dir.length);
  return length < 0 ? null : { root: host.root, path: host.path.slice(0, length) as Bytes };
}

interface Used {
  readonly dir: Bytes;
  readonly place: Place | null;
  /** looked at already */
  readonly known: ReadonlySet<Bytes>;
}

/** Since the commit the host wrote something that may name an object; so it is taken for where nothing can be seen. */
function wasUsed(looking: Looking, { dir, place, known }: Used): boolean {
  if (place === null) return true;
  const { rooms, isNew } = looking;
  try {
    for (const name of NAMES) {
      const at = { root: place.root, path: place.path === '' ? name : joinBytes(place.path, name) };
      const stat = statPlace(rooms, at);
      if (stat === null) continue;
      for (const [path, found] of filesIn(rooms, { place: at, path: joinBytes(dir, name), stat })) {
        if (!known.has(path) && isNew(path, found)) return true;
      }
    }
    return false;
  } catch (error) {
    if (errnoOf(error) === null) throw error;
    return true;
  }
}

interface Listed {
  readonly place: Place;
  readonly path: Bytes;
  readonly stat: Stat;
}

function* filesIn(rooms: Rooms, { place, path, stat }: Listed): Generator<readonly [Bytes, Stat]> {
  if (fileTypeOf(stat) !== 'dir') return yield [path, stat];
  const { at, name } = spotOf(rooms, place);
  const fd = rooms.kernel.open(at, name, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    for (const { path: below, upper } of rooms.kernel.walk(fd, null, { family: 'user', compare: false })) {
      if (fileTypeOf(upper) !== 'dir') yield [joinBytes(path, below), upper];
    }
  } finally {
    rooms.kernel.close(fd);
  }
}
