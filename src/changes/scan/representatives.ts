import { parentOf, type Bytes } from '../../bytes.js';
import type { CompiledPolicy } from '../../policy/compiled.js';
import { judgesAlike } from '../../policy/judge.js';
import type { Change } from '../change.js';
import { isAllOrdinary, type ClassifyInput } from '../classify.js';
import type { Bases } from '../base.js';
import type { Known } from '../conflict.js';
import { pathAt, sizeAt, type Crowd } from './crowd.js';
import { representativeOf, memberOf, membersOf } from './crowding.js';
import { isPaged } from '../database/database.js';
import { hasLanded } from '../capture/epoch.js';
import type { Blindness } from '../classify/hidden.js';
import { commonSizes, fileSizeOf, MOST_TO_COMPARE, NO_PAIRS, type RenameLimits } from './rename.js';

/** What makes members of one crowd different from each other. */
export interface Apart {
  readonly input: ClassifyInput;
  readonly policy: CompiledPolicy | null;
  readonly blindness: Blindness;
  readonly known: Known;
}

interface Represented {
  readonly changes: Change[];
  /** for the search for renames among them */
  readonly limits: RenameLimits;
}

/**
 * Crowds as changes: one stands for all that are alike whatever will be decided
 * of it, and what may be decided differently stands for itself.
 */
export function withRepresentatives(changes: Change[], crowds: readonly Crowd[], by: Apart): Represented {
  if (crowds.length === 0) return { changes, limits: MOST_TO_COMPARE };
  const all = changes.slice();
  const alike: Crowd[] = [];
  const within = { ...by, told: toldDirs(by.known) };
  const isSure = !takesObjects(changes, crowds);
  for (const crowd of crowds) {
    if (isSure && isAlike(crowd.dir, by)) alike.push(withoutDatabases(withoutKnown(crowd, within, all), all));
    else push(all, membersOf(crowd));
  }
  const limits = pickRenamed(alike, all, by.known.bases);
  return { changes: all, limits };
}

function push(all: Change[], more: readonly Change[]): void {
  for (const change of more) all.push(change);
}

/** A reference of git is judged by what it says, and so may be what else is in a repository. */
const OF_GIT = /\.git|\/(?:objects|refs)(?:\/|$)/;

/** What git still needs of its objects depends on every other change in the repository. */
function takesObjects(changes: readonly Change[], crowds: readonly Crowd[]): boolean {
  const isObject = (path: string): boolean => path.includes('/objects/');
  return changes.some(({ kind, path }) => kind === 'delete' && isObject(path)) || crowds.some(({ kind, dir }) => kind === 'delete' && isObject(`${dir}/`));
}

/** Class, verdict and what is hidden are the directory's. */
function isAlike(dir: Bytes, { input, policy, blindness }: Apart): boolean {
  return !OF_GIT.test(dir) && isAllOrdinary(dir, input) && !blindness.hidesIn(dir) && (policy === null || judgesAlike(policy, dir));
}

/** New to the host, and yet the host had something there: it may have been deleted meanwhile. */
function withoutKnown(crowd: Crowd, { known: { bases, epochs }, told }: Apart & Told, all: Change[]): Crowd {
  if (crowd.kind !== 'add' || !told.has(crowd.dir)) return crowd;
  return without(crowd, (at) => {
    const path = pathAt(crowd, at);
    return (bases.get(path)?.state ?? 'absent') !== 'absent' || hasLanded(epochs, path);
  }, all);
}

/** What the host has beside a database may speak against it. */
function withoutDatabases(crowd: Crowd, all: Change[]): Crowd {
  return crowd.kind === 'add' ? crowd : without(crowd, (at) => isPaged(sizeAt(crowd, at)), all);
}

interface Told {
  /** directories of which the store tells something: a base that was captured, or what landed before */
  readonly told: ReadonlySet<Bytes>;
}

function toldDirs({ bases, epochs }: Known): ReadonlySet<Bytes> {
  const dirs = new Set<Bytes>();
  let last = '' as Bytes;
  for (const paths of [bases.keys(), epochs.byPath.keys()]) {
    for (const path of paths) {
      // They come directory by directory, or nearly so.
      if (path.lastIndexOf('/') === last.length && path.startsWith(last)) continue;
      last = parentOf(path);
      dirs.add(last);
    }
  }
  return dirs;
}

/** Takes out some members, which stand for themselves. */
function without(crowd: Crowd, isOut: (at: number) => boolean, all: Change[]): Crowd {
  const out = crowd.at.filter(isOut);
  if (out.length === 0) return crowd;
  for (const at of out) all.push(memberOf(crowd, at));
  return { ...crowd, at: crowd.at.filter((at) => !isOut(at)) };
}

/** Adds the representatives, and apart from them what may be one end of a rename. */
function pickRenamed(crowds: readonly Crowd[], all: Change[], bases: Bases): RenameLimits {
  const sizes = sizesOf(all, crowds, bases);
  if (sizes === 'trees') {
    for (const crowd of crowds) push(all, membersOf(crowd));
    return MOST_TO_COMPARE;
  }
  const few = sizes !== 'many' && sizes.size > 0 ? sizes : null;
  for (const crowd of crowds) {
    const representative = representativeOf(few === null || crowd.kind === 'modify' ? crowd : without(crowd, (at) => few.has(sizeAt(crowd, at)), all));
    if (representative !== null) all.push(representative);
  }
  // With fewer to compare than there are, a pair may seem the only one.
  return sizes === 'many' ? NO_PAIRS : MOST_TO_COMPARE;
}

type Kinds = 'add' | 'delete';

/** Sizes that files have which came and files which went, see `commonSizes`. `trees`: whole directories may have moved. */
function sizesOf(changes: readonly Change[], crowds: readonly Crowd[], bases: Bases): ReadonlySet<number> | 'trees' | 'many' {
  const isTree = (kind: Kinds): boolean => changes.some((change) => change.kind === kind && change.type === 'dir');
  if (isTree('delete') && isTree('add')) return 'trees';
  return commonSizes(sizesGone(changes, crowds, bases), sizesIn('add', changes, crowds), MOST_TO_COMPARE);
}

/** Also as the agent saw it, where the host has another one by now. */
function* sizesGone(changes: readonly Change[], crowds: readonly Crowd[], bases: Bases): Generator<number> {
  yield* sizesIn('delete', changes, crowds);
  for (const change of changes) {
    const seen = change.kind === 'delete' && change.type === 'file' ? bases.get(change.basePath ?? change.path) : undefined;
    if (seen?.state === 'file' && seen.size !== change.base?.size) yield seen.size;
  }
}

function* sizesIn(kind: Kinds, changes: readonly Change[], crowds: readonly Crowd[]): Generator<number> {
  for (const change of changes) if (change.kind === kind) yield fileSizeOf(change);
  for (const crowd of crowds) {
    if (crowd.kind === kind) for (const at of crowd.at) yield sizeAt(crowd, at);
  }
}
