import { constants } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import type { Stat } from '../../kernel/kernel.js';
import { nodeDisk, type Disk } from './disk.js';
import type { Draft, DraftLink } from '../plan/draft.js';
import type { Entry } from '../plan/tree-entries.js';
import { duplicate, landingMode, Moved, setMadeMeta, staysBehind } from './duplicate.js';
import { nearPlace, type Method, type Preparing } from './preparing.js';
import { makeDirsAbove, spotOf, statPlace } from './open-dirs.js';
import { below, identOf, isIdent, splitPath, type Covered, type Place } from '../plan/step.js';

/** What copies are made with, in the vault or beside their targets. */
export interface Staging extends Preparing {
  readonly disk?: Disk;
  /** copies of linked inodes, so that names which land together stay one file (E119) */
  readonly linked: Map<string, Place>;
  /** the directory that was looked into last: steps come directory by directory */
  reached: { readonly root: number; readonly dir: string } | null;
}

/** The link that a draft lands as; null where it must be a copy: the two names are on two filesystems. */
export function linkFor({ dirs }: Staging, { draft, vault }: Method): DraftLink | null {
  const { link, host, layer } = draft;
  if (link === undefined || link.ident === null) return null;
  const now = statPlace(dirs, link.at);
  if (!isIdent(now, link.now)) throw new Moved(`${link.at.path} changed`);
  // A directory that doesn't exist yet will be beside the layer or, copied, beside the directory that it lands in.
  const beside = link.inNew ? { root: 3 * layer + (vault ? 2 : 0), path: '' as Bytes } : { root: host.root, path: splitPath(host.path).dir };
  return statPlace(dirs, beside)?.dev === now?.dev ? link : null;
}

function stagedPlace(staging: Staging, method: Method): Place {
  return nearPlace(staging, method) ?? { root: 3 * method.draft.layer + 2, path: `new/${method.n}` as Bytes };
}

/** Where the new object of a step will be made, once it may be (I1). */
export function dirFor(staging: Staging, method: Method): Place {
  const to = stagedPlace(staging, method);
  if (staging.dirs.roots[to.root]?.role === 'vault') makeDirsAbove(staging.dirs, to);
  return to;
}

/** Makes the new object of a step where one rename can land it, and says where. */
export function stage(staging: Staging, method: Method): Place {
  const { draft } = method;
  const to = stagedPlace(staging, method);
  if (draft.composed !== null) compose(staging, draft, to);
  else if (draft.source === null || draft.fresh === null) throw new Moved('there is nothing to copy');
  else if (draft.entries === null) copyOne(staging, { from: draft.source, stat: draft.fresh, to, layer: draft.layer });
  else copyTree(staging, draft, to);
  return to;
}

interface Copy {
  readonly from: Place;
  readonly stat: Stat;
  readonly to: Place;
  readonly layer: number;
}

function copyOne(staging: Staging, { from, stat, to, layer }: Copy): void {
  const isLinked = stat.nlink > 1 && (stat.mode & constants.S_IFMT) !== constants.S_IFDIR;
  const key = `${layer} ${to.root} ${stat.ino}`;
  const twin = isLinked ? staging.linked.get(key) : undefined;
  if (twin === undefined) {
    duplicate(staging, from, to, identOf(stat));
    if (isLinked) staging.linked.set(key, to);
    return;
  }
  const { dirs } = staging;
  if (dirs.roots[to.root]?.role === 'vault') makeDirsAbove(dirs, to);
  const old = spotOf(dirs, twin);
  const target = spotOf(dirs, to);
  dirs.kernel.link(old.at, old.name, target.at, target.name);
}

/** Depth first by the sorted paths, without recursion; a directory's times last, as its entries change them. */
function copyTree(staging: Staging, draft: Draft, to: Place): void {
  const { source, fresh } = draft;
  if (source === null || fresh === null) return;
  duplicate(staging, source, to, identOf(fresh));
  for (const { path, stat } of draft.entries ?? []) {
    copyOne(staging, { from: below(source, path), stat, to: below(to, path), layer: draft.layer });
  }
  stampDirs(staging, to, draft.entries?.listed ?? []);
  const top = spotOf(staging.dirs, to);
  staging.dirs.kernel.utimes(top.at, top.name, fresh.atimeNs, fresh.mtimeNs);
}

function stampDirs({ dirs }: Staging, to: Place, entries: readonly Entry[]): void {
  for (let index = entries.length - 1; index >= 0; index -= 1) {
    const { path, type, stat } = entries[index] as Entry;
    if (type !== 'dir') continue;
    const spot = spotOf(dirs, below(to, path));
    dirs.kernel.utimes(spot.at, spot.name, stat.atimeNs, stat.mtimeNs);
  }
}

/** A file with content of ours, and the metadata of the agent's version or as told. */
function compose(staging: Staging, draft: Draft, to: Place): void {
  const { dirs, keepSpecial } = staging;
  const { kernel } = dirs;
  const { composed, source, fresh } = draft;
  if (composed === null || source === null || fresh === null) throw new Moved('there is nothing to compose');
  const origin = spotOf(dirs, source);
  if (!isIdent(kernel.statOrNull(origin.at, origin.name), identOf(fresh))) throw new Moved(`${source.path} changed`);
  if (dirs.roots[to.root]?.role === 'vault') makeDirsAbove(dirs, to);
  const target = spotOf(dirs, to);
  const fd = kernel.open(target.at, target.name, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    (staging.disk ?? nodeDisk).write(fd, composed.content, 0);
  } finally {
    kernel.close(fd);
  }
  const model = composed.meta === undefined ? origin : spotOf(dirs, draft.host);
  const { mode, uid, gid } = composed.meta ?? fresh;
  const xattrs = kernel.xattrs(model.at, model.name).filter(({ name }) => !staysBehind(name, keepSpecial));
  setMadeMeta(kernel, target, { mode: landingMode({ mode }, keepSpecial), uid, gid, xattrs });
}

/** Copies the old object where a rename can't take it, before anything happens to it (I7). */
export function keepCopy(staging: Staging, draft: Draft, to: Place): void {
  if (draft.old === null) return;
  const exact = { ...staging, keepSpecial: true };
  duplicate(exact, draft.host, to, identOf(draft.old));
  const covers: Covered[] = [...draft.covers].sort((a, b) => (a.path < b.path ? -1 : 1));
  for (const { path, ident } of covers) duplicate(exact, below(draft.host, path), below(to, path), ident);
  restamp(staging, draft, { to, covers });
}

function restamp({ dirs }: Staging, draft: Draft, copy: { readonly to: Place; readonly covers: readonly Covered[] }): void {
  for (const path of [...copy.covers.filter(({ ident }) => ident.fmt === constants.S_IFDIR).map((one) => one.path).reverse(), '' as Bytes]) {
    const stat = statPlace(dirs, below(draft.host, path));
    const spot = spotOf(dirs, below(copy.to, path));
    if (stat !== null) dirs.kernel.utimes(spot.at, spot.name, stat.atimeNs, stat.mtimeNs);
  }
}
