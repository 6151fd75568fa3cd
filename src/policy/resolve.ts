import { accessSync, constants, lstatSync, readdirSync, realpathSync, type BigIntStats } from 'node:fs';
import { fromBuffer, fromText, isWithin, joinBytes, nameOf, parentOf, toBuffer, type Bytes } from '../bytes.js';
import type { CompiledPolicy, CompiledRule } from './compiled.js';
import { findNames } from '../kernel/native.js';
import { engineOf, type Engine } from './engine.js';
import { floatingName, fold, nameFilter, nameMatcher } from './match.js';
import type { PathPattern } from './pattern.js';
import { isGone, walk, whyIncomplete, type EntryKind } from './walk.js';

/** A path that must not be seen. `absent` ones don't exist now, but would be hidden if they came. */
export interface Hide {
  readonly path: Bytes;
  readonly kind: 'dir' | 'file' | 'symlink' | 'other' | 'absent';
  readonly rule: string;
  /** identity, for aliases of the same inode; null when absent */
  readonly dev: bigint | null;
  readonly ino: bigint | null;
}

/** The hidden paths of this machine, now. */
export interface ResolvedHides {
  /** sorted by path, none below another */
  readonly hides: readonly Hide[];
  /** hidden files that have more names than were found, and links to where nothing is hidden */
  readonly leaks: readonly { readonly path: Bytes; readonly why: string }[];
  /** why the search for `**` hides did not see everything, or null */
  readonly incomplete: string | null;
  readonly entries: number;
}

/** How far the search for hidden files goes; `limit` in entries. */
export interface ResolveOptions {
  /** more trees to search for any-depth hides, beside home and project */
  readonly roots?: readonly Bytes[];
  /** directories not entered, such as agentfw's own store */
  readonly avoid?: readonly Bytes[];
  /** mount points of other machines: looking through them may take minutes, so only what is a tree itself is searched there */
  readonly remote?: readonly Bytes[];
  readonly limit?: number;
}

interface Search {
  readonly engine: Engine;
  readonly found: Map<Bytes, Hide>;
  readonly stats: Map<Bytes, BigIntStats>;
  /** where directories really are: many rules name the same ones */
  readonly real: Map<Bytes, Bytes | null>;
  /** what is in directories: many rules with wildcards look into the same ones */
  readonly lists: Map<Bytes, readonly Bytes[]>;
  /** the same, folded */
  readonly folded: Map<Bytes, ReadonlySet<string>>;
  readonly leaks: { path: Bytes; why: string }[];
  readonly trees: readonly Bytes[];
  /** directories that are there and could not be listed; grows */
  readonly unread: Bytes[];
}

/**
 * The hide rules as paths of this machine, now: literal paths by look-up,
 * any-depth ones by one bounded walk of the user's trees that keeps out of
 * heavy directories (`files.skip`).
 */
export async function resolveHides(policy: CompiledPolicy, options: ResolveOptions = {}): Promise<ResolvedHides> {
  const engine = engineOf(policy);
  const rules = engine.rules(['files.hide']);
  const patterns = rules.flatMap((rule) => rule.subjects.paths.map((pattern): [PathPattern, CompiledRule] => [pattern, rule]));
  const skip = new Set(engine.rules(['files.skip']).flatMap((rule) => rule.subjects.names));
  const remote = options.remote ?? [];
  const avoid = new Set([...(options.avoid ?? []), ...remote]);
  const trees = topmost([fromText(policy.home), ...(policy.homes ?? []).map(fromText), fromText(policy.project), ...(options.roots ?? []), ...deepBases(patterns)], { skip, avoid });
  const search: Search = { engine, found: new Map(), stats: new Map(), real: new Map(), lists: new Map(), folded: new Map(), leaks: [], trees, unread: [] };
  lookUp(search, patterns.flatMap(([pattern, rule]) => soughtIn(search, pattern, rule)));
  const deep = patterns.flatMap(([pattern, rule]) => lastNameOf(pattern, rule));
  const request = { roots: trees, skip, avoid, limit: options.limit ?? 3_000_000 };
  const { entries, unread } = deep.length === 0 ? NOTHING_SOUGHT : findDeep(search, deep, request);
  await addHardLinks(search, request);
  const passed = remote.filter((point) => !search.found.has(point) && !isBelow(search.found, point) && trees.some((tree) => point !== tree && leadsTo(tree, parentOf(point), request)) && !trees.includes(point));
  return { hides: outermost(search.found), leaks: search.leaks, incomplete: whyIncomplete(entries, request.limit, [...new Set([...unread, ...search.unread])], passed), entries };
}

interface Trees {
  readonly roots: readonly Bytes[];
  readonly skip: ReadonlySet<string>;
  readonly avoid: ReadonlySet<Bytes>;
  readonly limit: number;
}

const NOTHING_SOUGHT = { entries: 0, unread: [] };

/** One search of the trees for the names of any-depth patterns. What is hidden already is not entered. */
function findDeep(search: Search, deep: readonly (readonly [PathPattern, CompiledRule])[], { roots, skip, avoid, limit }: Trees): { readonly entries: number; readonly unread: readonly Bytes[] } {
  const names = nameMatcher(deep);
  const { paths, closed, entries, unread } = findNames({
    ...{ roots, skip: [...skip].map(fromText), avoid: [...avoid, ...search.found.keys()], limit },
    filter: nameFilter(deep.map(([pattern]) => pattern)),
  });
  for (const path of paths) {
    if (names.named(nameOf(path)).length > 0 && !isBelow(search.found, path)) consider(search, path);
  }
  const unseen = closed.filter((path) => isSearchable(path) || roots.some((root) => isWithin(root, path)));
  for (const path of closed) {
    if (!unseen.includes(path)) hideClosed(search, path);
    else for (const name of plainNames(deep)) consider(search, joinBytes(path, name));
  }
  return { entries, unread: [...unread, ...unseen] };
}

/** Of these any-depth patterns, those that are one name without wildcards. */
function plainNames(deep: readonly (readonly [PathPattern, CompiledRule])[]): Bytes[] {
  return deep.flatMap(([pattern]) => floatingName(pattern) ?? []).filter((name) => !/[*?[\\]/.test(name)).map(fromText);
}

/** Who knows a name in it can use it: the agent must be able to as well. */
function isSearchable(dir: Bytes): boolean {
  try {
    accessSync(toBuffer(dir), constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What is in it can't be known, and an agent, who is the same user, could open it in its layer. */
function hideClosed({ found, stats }: Search, path: Bytes): void {
  const stat = statOf(path);
  if (stat === null || found.has(path)) return;
  found.set(path, { path, kind: 'dir', rule: 'agentfw.closed', dev: stat.dev, ino: stat.ino });
  stats.set(path, stat);
}

/** Literal paths, and those with wildcards in single names, looked up on disk: each directory is read once for all patterns. */
function lookUp(search: Search, patterns: readonly Sought[]): void {
  const byDir = new Map<Bytes, Sought[]>();
  for (const one of patterns) {
    const some = byDir.get(one.base);
    if (one.parts.length > 0 && some !== undefined) some.push(one);
    else if (one.parts.length > 0) byDir.set(one.base, [one]);
    else found(search, one, statIn(search, one.base) !== null);
  }
  for (const [dir, some] of byDir) {
    const names = nameMatcher(some.map((one) => [{ text: '', base: '/', glob: `**/${one.parts[0] ?? ''}`, tree: false }, one]));
    const deeper = listOf(search, dir).flatMap((name) => names.named(name).map(({ parts, ...one }) => ({ ...one, base: joinBytes(dir, name), parts: parts.slice(1) })));
    if (deeper.length > 0) lookUp(search, deeper);
  }
}

/** A pattern below a directory that is at hand: what is left of it, by names. */
interface Sought {
  readonly base: Bytes;
  readonly parts: readonly string[];
  readonly rule: CompiledRule;
  /** also where a link gave it another spelling, by which no rule knows it */
  readonly holds: boolean;
}

/** None where the directory to look in isn't there: most rules are about programs that are not used here. */
function soughtIn(search: Search, { base: text, glob }: PathPattern, rule: CompiledRule): Sought[] {
  const base = fromText(text);
  const above = base === '/' ? base : realDir(search, parentOf(base));
  if (above === null) return [];
  const path = base === '/' ? base : joinBytes(above, nameOf(base));
  if (glob === '') return [{ base: path, parts: NO_PARTS, rule, holds: path !== base && holdsFor(search, rule, base) }];
  if (realDir(search, path) === null) return [];
  const parts = glob.split('/');
  return parts.includes('**') ? [] : [{ base: path, parts, rule, holds: rule.except.paths.length === 0 }];
}

/** No exception is about this path or what is in it. */
function holdsFor({ engine }: Search, rule: CompiledRule, path: Bytes): boolean {
  return rule.except.paths.length === 0 || (engine.paths(['files.hide'], path).includes(rule) && !engine.holdsException(rule, path));
}

const NO_PARTS: readonly string[] = [];

function found(search: Search, { base: path, rule, holds }: Sought, exists: boolean): void {
  if (search.found.has(path)) return;
  if (!exists) search.found.set(path, { path, kind: 'absent', rule: rule.id, dev: null, ino: null });
  else consider(search, path, holds ? rule : null);
}

/** By its directory's list, as many rules name the same ones; a directory that can't be listed may still be entered. */
function statIn(search: Search, path: Bytes): BigIntStats | null {
  const dir = parentOf(path);
  const known = search.folded.get(dir) ?? new Set(listOf(search, dir).map(fold));
  search.folded.set(dir, known);
  return known.size === 0 || known.has(fold(nameOf(path))) ? statOf(path) : null;
}

/** Where a directory really lies, from what is known of the one above: each look of the kernel's own goes from the root down. */
function realDir(search: Search, dir: Bytes): Bytes | null {
  if (dir === '/') return dir;
  const known = search.real.get(dir);
  if (known !== undefined) return known;
  const above = realDir(search, parentOf(dir));
  const path = above === null ? null : joinBytes(above, nameOf(dir));
  // By itself, not by the list above it: an automount that nobody entered yet is in none.
  const stat = path === null ? null : statOf(path);
  const found = path === null || stat === null ? null : stat.isSymbolicLink() ? realPath(path) : path;
  search.real.set(dir, found);
  return found;
}

/**
 * Hides a path that a rule holds for; where an exception may lie below, its
 * children one by one. `asked` holds for the path by another spelling, through a link.
 */
function consider(search: Search, path: Bytes, asked: CompiledRule | null = null): void {
  if (search.found.has(path)) return;
  const rules = search.engine.paths(['files.hide'], path);
  if (rules.length === 0 && asked !== null) rules.push(asked);
  if (rules.length === 0) return;
  const stat = statOf(path);
  if (stat === null) return;
  const whole = rules.find((rule) => !stat.isDirectory() || !search.engine.holdsException(rule, path));
  if (whole !== undefined) hide(search, path, stat, whole);
  else for (const name of listOf(search, path)) consider(search, joinBytes(path, name));
}

function hide(search: Search, path: Bytes, stat: BigIntStats, rule: CompiledRule): void {
  const kind = stat.isDirectory() ? 'dir' : stat.isFile() ? 'file' : stat.isSymbolicLink() ? 'symlink' : 'other';
  search.found.set(path, { path, kind, rule: rule.id, dev: stat.dev, ino: stat.ino });
  search.stats.set(path, stat);
  if (kind === 'symlink') hideTarget(search, path, rule);
}

/** Hiding a link alone would leave what it leads to. */
function hideTarget(search: Search, path: Bytes, rule: CompiledRule): void {
  const target = realPath(path);
  const stat = target === null ? null : statOf(target);
  if (target === null || stat === null || search.found.has(target)) return;
  const ours = search.trees.some((tree) => isWithin(target, tree) && !isWithin(tree, target));
  // Not what is everybody's: a project may bring a link to the system's own, which would be gone then.
  const closed = (stat.isFile() || stat.isDirectory()) && (stat.mode & 0o4n) === 0n && !search.trees.some((tree) => isWithin(tree, target));
  if (ours || closed) hide(search, target, stat, rule);
  // `~/.bash_history` is often a link to /dev/null, which tells nobody anything.
  else if (stat.isFile() || stat.isDirectory()) search.leaks.push({ path: target, why: `the hidden link ${path} leads to it` });
}

/** Other names of hidden files: searched only when there are any. */
async function addHardLinks(search: Search, request: Trees): Promise<void> {
  const wanted = new Map<string, { hide: Hide; missing: number }>();
  const keyOf = (stat: BigIntStats): string => `${stat.dev}:${stat.ino}`;
  for (const one of [...search.found.values()]) {
    const stat = search.stats.get(one.path);
    if (stat === undefined || !stat.isFile() || stat.nlink < 2n) continue;
    const known = wanted.get(keyOf(stat));
    wanted.set(keyOf(stat), { hide: one, missing: (known?.missing ?? Number(stat.nlink)) - 1 });
  }
  if ([...wanted.values()].every(({ missing }) => missing <= 0)) return;
  const visit = (dir: Bytes, name: Bytes, kind: EntryKind): boolean => {
    const path = joinBytes(dir, name);
    if (search.found.has(path) || kind !== 'file') return !search.found.has(path);
    const stat = statOf(path);
    const link = stat === null || stat.nlink < 2n ? undefined : wanted.get(keyOf(stat));
    if (link !== undefined && stat !== null) {
      link.missing -= 1;
      search.found.set(path, { ...link.hide, path });
    }
    return true;
  };
  await walk({ ...request, visit });
  for (const { hide: one, missing } of wanted.values()) {
    if (missing > 0) search.leaks.push({ path: one.path, why: `it has ${missing} other name${missing === 1 ? '' : 's'} outside the searched trees` });
  }
}

/** The name that must be seen for an any-depth pattern to match. */
function lastNameOf(pattern: PathPattern, rule: CompiledRule): [PathPattern, CompiledRule][] {
  const parts = pattern.glob.split('/');
  const last = parts.at(-1) ?? '';
  if (!parts.includes('**') || last === '') return [];
  return [[{ text: pattern.text, base: '/', glob: `**/${last === '**' ? '*' : last}`, tree: false }, rule]];
}

/** Directories that any-depth patterns start from, other than `/`: they are searched too. */
function deepBases(patterns: readonly (readonly [PathPattern, CompiledRule])[]): Bytes[] {
  return patterns.filter(([pattern]) => pattern.base !== '/' && pattern.glob.split('/').includes('**')).map(([pattern]) => fromText(pattern.base));
}

/** Without those that a search of another one comes to. */
function topmost(paths: readonly Bytes[], barred: Pick<Trees, 'skip' | 'avoid'>): Bytes[] {
  return [...new Set(paths)].filter((path) => !paths.some((other) => other !== path && leadsTo(other, path, barred)));
}

/** A search of `tree` comes to that directory: it lies in it, and not behind one that is not entered. */
function leadsTo(tree: Bytes, dir: Bytes, { skip, avoid }: Pick<Trees, 'skip' | 'avoid'>): boolean {
  if (!isWithin(dir, tree)) return false;
  for (let at = dir; at !== tree; at = parentOf(at)) if (avoid.has(at) || skip.has(nameOf(at))) return false;
  return true;
}

function outermost(found: ReadonlyMap<Bytes, Hide>): Hide[] {
  return [...found.values()].filter(({ path }) => !isBelow(found, path)).sort((a, b) => (a.path < b.path ? -1 : 1));
}

function isBelow(found: ReadonlyMap<Bytes, Hide>, path: Bytes): boolean {
  for (let at = path; at !== '/'; ) if (found.has((at = parentOf(at)))) return true;
  return false;
}

function statOf(path: Bytes): BigIntStats | null {
  try {
    return lstatSync(toBuffer(path), { bigint: true, throwIfNoEntry: false }) ?? null;
  } catch {
    return null; // below a file, or in a directory that can't be searched
  }
}

function listOf(search: Search, dir: Bytes): readonly Bytes[] {
  const known = search.lists.get(dir);
  if (known !== undefined) return known;
  const names = namesIn(dir);
  search.lists.set(dir, names ?? []);
  if (names === null) search.unread.push(dir);
  return names ?? [];
}

/** Null where it is there, but the disk or a limit keeps it from being read. */
function namesIn(dir: Bytes): Bytes[] | null {
  try {
    return readdirSync(toBuffer(dir), { encoding: 'buffer' }).map(fromBuffer);
  } catch (error) {
    return isGone(error as NodeJS.ErrnoException) ? [] : null;
  }
}

function realPath(path: Bytes): Bytes | null {
  try {
    return fromBuffer(realpathSync.native(toBuffer(path), { encoding: 'buffer' }));
  } catch {
    return null;
  }
}
