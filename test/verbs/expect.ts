/** What must hold between the trees before a verb and after it. All return what does not hold, one line each. */
import type { Entry, Tree } from './server.js';

/** A change, by paths below the tree. */
export interface Told {
  readonly kind: string;
  readonly at: string;
  readonly from: string | null;
  readonly link: boolean;
  readonly opaque: boolean;
}

/** In the view a base file and its further name keep two inode numbers: names are grouped on the host only. */
export function text(entry: Entry | undefined): string {
  if (entry === undefined) return 'nothing';
  const { links: _, ...rest } = entry;
  return JSON.stringify(rest);
}

export function pathsOf(...trees: readonly Tree[]): readonly string[] {
  return [...new Set(trees.flatMap((tree) => Object.keys(tree)))].sort();
}

export function differing(a: Tree, b: Tree): readonly string[] {
  return pathsOf(a, b).filter((path) => text(a[path]) !== text(b[path]));
}

type IsHosts = (path: string, seen: string) => boolean;

/** `diff` tells exactly what differs, as what it is. `isHosts`: the view has what the host had before it changed that: the agent did nothing to it. */
export function diffTells(host: Tree, view: Tree, changes: ReadonlyMap<string, Told>, isHosts: IsHosts = () => false): readonly string[] {
  const bad: string[] = [];
  for (const path of differing(host, view)) {
    const told = changes.get(path)?.kind ?? 'nothing';
    const kind = kindOf(host[path], view[path]);
    if (told === 'nothing' && isHosts(path, text(view[path]))) continue;
    if (told !== kind && told !== 'rename' && !(kind === 'metadata' && changes.get(path)?.opaque === true) && !movedWithParent(path, changes) && !(told === 'nothing' && isConflated(path, { host, view }, changes))) bad.push(`diff tells ${told} of ${show(path)}, which is ${kind}: host ${text(host[path])}, view ${text(view[path])}`);
  }
  for (const [path, change] of changes) {
    if (!change.link && change.kind !== 'rename' && text(host[path]) === text(view[path])) bad.push(`diff tells ${change.kind} of ${show(path)}, which is the same on both sides`);
  }
  return bad;
}

function kindOf(host: Entry | undefined, view: Entry | undefined): string {
  if (host === undefined) return 'add';
  if (view === undefined) return 'delete';
  if (host['type'] !== view['type']) return 'type';
  return host['sha'] !== view['sha'] || host['target'] !== view['target'] ? 'modify' : 'metadata';
}

/** The kernel takes a base file that the host renamed for the copy that the agent changed under the old name (root mode). */
function isConflated(path: string, { host, view }: Trees, changes: ReadonlyMap<string, Told>): boolean {
  const sha = view[path]?.['sha'];
  return host[path] !== undefined && sha !== undefined && [...changes.keys()].some((other) => view[other]?.['sha'] === sha);
}

/** A renamed directory takes along what is in it. */
function movedWithParent(path: string, changes: ReadonlyMap<string, Told>): boolean {
  return [...changes.values()].some(({ kind, at, from }) => kind === 'rename' && [at, from].some((top) => top !== null && isBelow(path, new Set([top]))));
}

export interface Trees {
  readonly host: Tree;
  readonly view: Tree;
}

export interface Verb {
  readonly before: Trees;
  readonly after: Trees;
}

export interface Landing {
  /** what was to land; what may have come along is in it too */
  readonly selected: ReadonlySet<string>;
  /** of these, where the host's version was taken */
  readonly dropped: ReadonlySet<string>;
  readonly refused: ReadonlySet<string>;
  /** chosen hunks and merges: something between */
  readonly composed: ReadonlySet<string>;
  /** directories that the agent renamed (root mode), by both names: the host's entries move along */
  readonly moved: ReadonlySet<string>;
  /** the agent did nothing to what the view has there: it may leave the layer, and then the view has what the host has */
  readonly isHosts: IsHosts | undefined;
}

/** The host gets the agent's version of what was selected and not refused; the view stays. */
export function landed({ before, after }: Verb, { selected, dropped, refused, composed, moved, isHosts }: Landing, done = true): readonly string[] {
  const bad: string[] = [];
  const isNamed = (path: string, of: ReadonlySet<string>): boolean => of.has(path) || (before.host[path]?.['links'] as string[] | undefined)?.some((name) => of.has(name)) === true;
  for (const path of pathsOf(before.host, before.view, after.host, after.view)) {
    const [host, view, now, seen] = [before.host[path], before.view[path], after.host[path], after.view[path]].map(text);
    if (composed.has(path) || isBelow(path, moved)) continue;
    const chosen = isNamed(path, selected) && !dropped.has(path);
    const wanted = !chosen || refused.has(path) ? [host] : done && refused.size === 0 && selected.has(path) ? [view] : [host, view];
    if (!wanted.includes(now) && !isNamed(path, selected)) bad.push(`host ${show(path)} is ${now} instead of ${wanted.join(' or ')} (${chosen ? 'chosen' : 'not chosen'}, view ${view})`);
    else if (!wanted.includes(now) && selected.has(path)) bad.push(`host ${show(path)} is ${now} instead of ${wanted.join(' or ')} (${refused.has(path) ? 'refused' : 'chosen'})`);
    const kept = dropped.has(path) ? (refused.size === 0 && done ? [host] : [host, view]) : isNamed(path, selected) ? [view, now] : [view];
    if (seen === host && isHosts?.(path, view ?? '') === true) continue;
    if (!kept.includes(seen) && !isNamed(path, selected)) bad.push(`view ${show(path)} is ${seen} instead of ${kept.join(' or ')}`);
    else if (!kept.includes(seen) && selected.has(path)) bad.push(`view ${show(path)} is ${seen} instead of ${kept.join(' or ')} (selected)`);
  }
  return bad;
}

/** What the host changed itself is not written over. `edited`: what the agent knows, of paths that somebody else wrote. */
export function lostUpdates({ before, after }: Verb, edited: ReadonlyMap<string, string>, settled: ReadonlySet<string>): readonly string[] {
  // A side that was chosen for one name of a file holds for all of them.
  const isSettled = (path: string): boolean => [path, ...((before.host[path]?.['links'] as string[] | undefined) ?? [])].some((name) => isBelow(name, settled));
  return [...edited.keys()]
    .filter((path) => !isSettled(path) && text(before.host[path]) !== edited.get(path) && before.host[path] !== undefined && text(before.host[path]) !== text(after.host[path]))
    .map((path) => `host ${show(path)} was edited by its user and is lost: ${text(before.host[path])} became ${text(after.host[path])}`);
}

export function isBelow(path: string, tops: ReadonlySet<string>): boolean {
  return tops.has(path) || (path.includes('/') && isBelow(path.slice(0, path.lastIndexOf('/')), tops));
}

/** Host as before the commit where it still was as after it; what changed since stays. */
export function takenBack({ before, after }: Verb, commit: Verb, isWhole: boolean): readonly string[] {
  const bad: string[] = [];
  for (const path of pathsOf(before.host, after.host, commit.before.host, commit.after.host)) {
    // What became another type is gone as a whole, with a mode that the host gave it.
    const types = [commit.before, commit.after].map(({ host }) => host[path]?.['type']);
    if (!types.includes(undefined) && types[0] !== types[1]) continue;
    const [was, did, now, got] = [commit.before.host[path], commit.after.host[path], before.host[path], after.host[path]].map(text);
    const wanted = now !== did ? [now] : isWhole ? [was] : [now, was];
    if (!wanted.includes(got)) bad.push(`host ${show(path)} is ${got} instead of ${wanted.join(' or ')}`);
  }
  return bad;
}

export function show(path: string): string {
  return JSON.stringify(path);
}
