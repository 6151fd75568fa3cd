import type { Bytes } from '../../bytes.js';
import { isWithin } from '../../bytes.js';
import { redraft, type Draft } from '../plan/draft.js';
import { bareIn, gitPartOf, type GitPart, type InGitDir } from './dir.js';
import { unfinishedIn } from './unfinished.js';
import { anyNaming, hasHead, type Naming } from './names.js';
import { refused as refusedFor } from '../plan/refusal.js';
import type { Refused } from '../result.js';
import { closeDirs, openDirs, type OpenDirs } from '../apply/open-dirs.js';
import { openQuietly } from '../conflict/judging.js';
import { readIndex } from '../capture/epoch.js';
import { mayBeIndex } from './touched-index.js';
import { below, relativeTo, type Place } from '../plan/step.js';

/** What an undo would do, and what it can't. */
export interface Undone {
  readonly drafts: readonly Draft[];
  readonly refused: readonly Refused[];
}

/** What an undo may ask of the host and of the sandboxes. */
export interface Looking {
  readonly dirs: OpenDirs;
  /** the host changed it after the commit landed */
  readonly isNew: (found: Naming) => boolean;
  /** of all sandboxes that there are */
  readonly layers: readonly Layered[];
}

/** A layer and the directory that it lies over. */
export interface Layered {
  readonly base: Bytes;
  readonly upper: Bytes;
}

interface Repository {
  readonly drafts: Map<Draft, GitPart>;
  readonly refused: Set<GitPart>;
}

const MOVED_ON = 'the repository was used since, and may need it';

/**
 * I19: of a repository an undo takes back what is checked out together with its
 * index and branches, or none of it; and no object that the host may have
 * come to need since. A branch of the host, a stash or the log of a reference
 * may lead to what the agent committed, and so may those of a sandbox.
 */
export function keepRepositories({ drafts, refused }: Undone, looking: Looking): Undone {
  const bare = bareIn(drafts, (dir, draft) => isRepository(looking.dirs, placeOf(dir, draft)));
  const repositories = repositoriesIn({ drafts, refused }, bare);
  const staying = new Set<Draft>();
  const groups = new Map<Draft, number>();
  for (const [number, [dir, repository]] of [...repositories].entries()) {
    const stays = stayingOf(dir, repository, looking);
    for (const [draft, part] of repository.drafts) {
      // What a commit deleted is needed again by the references that go back.
      if (stays.has(part) && (draft.act !== 'place' || stays.has('refs'))) staying.add(draft);
      else groups.set(draft, number + 1);
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

function isRepository(dirs: OpenDirs, place: Place | null): boolean {
  return place === null || hasHead(dirs, place);
}

/** Of what is checked out is also a merge or rebase that is open: beside another index and branch it would begin from what isn't there. */
function partOf(path: Bytes, bare: ReadonlySet<Bytes>): InGitDir | null {
  const named = gitPartOf(path, bare);
  const dir = named === null ? unfinishedIn(path) : null;
  return dir === null ? named : { dir, part: 'refs' };
}

function repositoriesIn({ drafts, refused }: Undone, bare: ReadonlySet<Bytes>): ReadonlyMap<Bytes, Repository> {
  const found = new Map<Bytes, Repository>();
  const at = (dir: Bytes): Repository => {
    const known = found.get(dir) ?? { drafts: new Map<Draft, GitPart>(), refused: new Set<GitPart>() };
    found.set(dir, known);
    return known;
  };
  for (const draft of drafts) {
    const inside = partOf(draft.path, bare);
    if (inside !== null) at(inside.dir).drafts.set(draft, inside.part);
  }
  for (const { path } of refused) {
    const inside = partOf(path, bare);
    if (inside !== null) at(inside.dir).refused.add(inside.part);
  }
  return found;
}

/** Which parts can't go back. */
function stayingOf(dir: Bytes, { drafts, refused }: Repository, looking: Looking): ReadonlySet<GitPart> {
  if (refused.has('refs')) return new Set<GitPart>(['refs', 'objects']);
  const objects = [...drafts].find(([, part]) => part === 'objects')?.[0];
  if (objects === undefined) return new Set();
  const known = new Set([...drafts.keys()].map(({ path }) => path));
  const used = { dir, known, place: placeOf(dir, objects) };
  const isUsed = refused.has('logs') || refused.has('objects') || wasUsed(looking, used) || isUsedInside(looking, used);
  return new Set<GitPart>(isUsed ? ['objects'] : []);
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
function wasUsed({ dirs, isNew }: Looking, { dir, place, known }: Used): boolean {
  return place === null || anyNaming(dirs, { dir, place }, (found) => !known.has(found.path) && isNew(found));
}

/** A sandbox has something that may name an object of its base. */
function isUsedInside({ dirs: host, layers }: Looking, { dir, place, known }: Used): boolean {
  return layers.some(({ base, upper }) => {
    if (!isWithin(dir, base)) return false;
    const dirs = openDirs(host.kernel, [{ role: 'layer', dir: upper, family: 'user' }]);
    try {
      return anyNaming(dirs, { dir, place: { root: 0, path: relativeTo(base, dir) } }, (found) => {
        const own = place === null ? null : below(place, relativeTo(dir, found.path));
        return own === null || !(isOnlyRenewed(dirs, found, host, own) || (!known.has(found.path) && isAlike(dirs, found, host, own)));
      });
    } finally {
      closeDirs(dirs);
    }
  });
}

/** Any git command inside leaves an index in the layer that says what the host's does; that one is looked at itself. */
function isOnlyRenewed(layer: OpenDirs, { path, place }: Naming, host: OpenDirs, own: Place): boolean {
  const inside = mayBeIndex(path) ? readIndex(layer, place) : null;
  return inside !== null && inside.meaning === readIndex(host, own)?.meaning;
}

/** A `git rebase` inside leaves a `HEAD` in the layer that is the host's, byte by byte: what that leads to is looked at itself. */
function isAlike(layer: OpenDirs, { place }: Naming, host: OpenDirs, own: Place): boolean {
  const [inside, outside] = [openQuietly(layer, place), openQuietly(host, own)];
  try {
    return inside !== null && outside !== null && host.kernel.sameBytes(inside, outside);
  } finally {
    for (const fd of [inside, outside]) if (fd !== null) host.kernel.close(fd);
  }
}
