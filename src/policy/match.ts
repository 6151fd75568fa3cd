import { fromText, isText, toText, type Bytes } from '../bytes.js';
import type { NameFilter } from '../kernel/kernel.js';
import { globSource, type PathPattern } from './pattern.js';
import { hasManyStars, segmentTest } from './segments.js';

/**
 * Finds the rules that name a path without trying every rule: literal paths by
 * hash, `any-depth NAME` rules by name, the few others by expression.
 *
 * `exact` matches bytes, for grants. `covering` also matches everything below
 * what a pattern names, and takes names alike that a case-folding filesystem
 * takes alike: what withholds is never dodged by `.SSH` or a full-width dot.
 */
export type MatchMode = 'exact' | 'covering';

/** Many patterns, matched at once. */
export interface PathMatcher<T> {
  /** values of all patterns that match, each once, in no particular order */
  all(path: Bytes): T[];
  /** those of each path in `dir` whose name is none of `namesIn`; null where that depends on the path */
  within(dir: Bytes): readonly T[] | null;
}

/** The patterns that go by a name alone. */
export interface NameMatcher<T> {
  /** values of the `any-depth NAME` patterns that match one name */
  named(name: Bytes): readonly T[];
}

interface Compiled<T> {
  readonly value: T;
  /** first looks for a part that a match must have: most expressions are never made */
  readonly test: (text: string) => boolean;
  /** it is about one name below its directory, and all that is in what has it if `tree` */
  readonly single: boolean;
  readonly tree: boolean;
}

interface Tables<T> {
  /** literal → whole subtree, and literal → itself only */
  readonly trees: Map<string, T[]>;
  readonly leaves: Map<string, T[]>;
  /** `any-depth NAME` */
  readonly names: NameTable<T>;
  readonly treeNames: NameTable<T>;
  /** any-depth patterns of several names, by the first: `.git` of a floating `.git/hooks` */
  readonly led: Map<string, Compiled<T>[]>;
  /** expressions on the rest of the path, by the literal directory they start from */
  readonly globs: Map<string, Compiled<T>[]>;
  last: Below<T>;
  /** the directories above `last`, from `/` on, and itself */
  readonly chain: Below<T>[];
}

/** Each pattern with a value of the caller's. The search costs by the depth of the path, not by the number of patterns. */
export function pathMatcher<T>(entries: readonly (readonly [PathPattern, T])[], mode: MatchMode): PathMatcher<T> {
  const covering = mode === 'covering';
  const tables = tablesOf(entries, covering, covering ? fold : (text) => text);
  // Folded, `[!a]` would lose `A`, and `?` two bytes: such patterns are tried as written too.
  const exacting = covering ? entries.filter(([{ glob }]) => /\[[!^]|\?/.test(glob)) : [];
  const asWritten = exacting.length === 0 ? null : tablesOf(exacting, true, (text) => text);
  return {
    all(path) {
      const found = new Set<T>();
      search(tables, covering ? fold(path) : path, found);
      if (asWritten !== null) search(asWritten, path, found);
      return [...found];
    },
    within(dir) {
      const found = new Set<T>();
      if (!addWithin(tables, covering ? fold(dir) : dir, found)) return null;
      return asWritten === null || addWithin(asWritten, dir, found) ? [...found] : null;
    },
  };
}

/** The `any-depth NAME` patterns of a list alone, for walking directories. */
export function nameMatcher<T>(entries: readonly (readonly [PathPattern, T])[]): NameMatcher<T> {
  const table = nameTable<T>();
  for (const [pattern, value] of entries) {
    const name = floatingName(pattern);
    if (name !== null) addName(table, fold(fromText(name)), value);
  }
  return { named: (name) => lookUp(table, fold(name)) };
}

/** For a fast search of names that these any-depth patterns match. */
export function nameFilter(patterns: readonly PathPattern[]): NameFilter {
  return filterOf(patterns.flatMap((pattern) => floatingName(pattern) ?? []).map((name) => fold(fromText(name))));
}

/** The last names that these patterns speak of: with any other, a path is matched as its directory is. */
export function namesIn(patterns: readonly PathPattern[]): NameFilter {
  return filterOf(patterns.flatMap((pattern) => {
    const name = floatingName(pattern) ?? leadOf(pattern);
    const base = pattern.base.slice(pattern.base.lastIndexOf('/') + 1);
    return [name ?? base].map((one) => fold(fromText(one)));
  }));
}

/** `NAME` of a `any-depth NAME` pattern, else null. */
export function floatingName(pattern: PathPattern): string | null {
  if (pattern.base !== '/' || !pattern.glob.startsWith('**/')) return null;
  const name = pattern.glob.slice(3);
  return name.includes('/') ? null : name;
}

const PLAIN = /^[\u0000-\u007f]*$/;

/** One spelling for all that a case-folding filesystem may take for the same name; the number of components stays. */
export function fold(path: Bytes): string {
  if (PLAIN.test(path)) return path.toLowerCase();
  if (!isText(path)) return path.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
  return toText(path).split('/').map(foldName).join('/');
}

/** Upper case in between, for what lower case alone keeps apart: ß and ss, σ and ς. */
function foldName(name: string): string {
  const folded = name.normalize('NFKC').replace(/\p{Default_Ignorable_Code_Point}/gu, '').toLowerCase().toUpperCase().toLowerCase().normalize('NFKC');
  return folded.replaceAll('/', '\u2215');
}

function tablesOf<T>(entries: readonly (readonly [PathPattern, T])[], covering: boolean, spelling: (text: Bytes) => string): Tables<T> {
  const tables: Tables<T> = {
    trees: new Map(), leaves: new Map(), names: nameTable(), treeNames: nameTable(), led: new Map(), globs: new Map(), last: { dir: '', values: [], globs: [] }, chain: [],
  };
  const spell = (text: string): string => spelling(fromText(text));
  for (const [pattern, value] of entries) {
    const tree = covering || pattern.tree;
    const name = floatingName(pattern);
    if (pattern.glob === '') push(tree ? tables.trees : tables.leaves, spell(pattern.base), value);
    else if (name !== null) addName(tree ? tables.treeNames : tables.names, spell(name), value);
    else if (leadOf(pattern) !== null) push(tables.led, spell(leadOf(pattern) ?? ''), compiledOf(value, spell(pattern.glob), tree));
    else push(tables.globs, spell(pattern.base), compiledOf(value, spell(pattern.glob), tree));
  }
  return tables;
}

/** What holds for all that lies in a directory, and the expressions to try on the paths there. */
interface Below<T> {
  readonly dir: string;
  readonly values: readonly T[];
  readonly globs: readonly Tried<T>[];
}

interface Tried<T> extends Compiled<T> {
  readonly from: number;
  /** the way to the directory decided it: it matches all that is there */
  readonly settled: boolean;
}

function search<T>(tables: Tables<T>, path: string, found: Set<T>): void {
  for (const value of tables.leaves.get(path) ?? []) found.add(value);
  for (const value of tables.trees.get(path) ?? []) found.add(value);
  for (const { test, value } of tables.globs.get(path) ?? []) if (test('')) found.add(value);
  const slash = path.lastIndexOf('/');
  if (path !== '/') addBelow(tables, slash <= 0 ? '/' : path.slice(0, slash), path, found);
  const name = path.slice(slash + 1);
  for (const value of lookUp(tables.treeNames, name)) found.add(value);
  for (const { test, value } of tables.led.get(name) ?? []) if (!found.has(value) && test(path.slice(1))) found.add(value);
  for (const value of lookUp(tables.names, name)) found.add(value);
}

/** Paths come directory by directory, so that what their directory says is kept. */
function addBelow<T>(tables: Tables<T>, dir: string, path: string, found: Set<T>): void {
  if (tables.last.dir !== dir) tables.last = belowOf(tables, dir);
  for (const value of tables.last.values) found.add(value);
  for (const { test, value, from, settled } of tables.last.globs) if (!found.has(value) && (settled || test(path.slice(from)))) found.add(value);
}

/** False where an expression decides on each path. */
function addWithin<T>(tables: Tables<T>, dir: string, found: Set<T>): boolean {
  if (tables.last.dir !== dir) tables.last = belowOf(tables, dir);
  const { values, globs } = tables.last;
  if (globs.some(({ settled }) => !settled)) return false;
  for (const value of values) found.add(value);
  for (const { value } of globs) found.add(value);
  return true;
}

/** From what is known of the directories above: a tree may be thousands deep, and each path as long as that. */
function belowOf<T>(tables: Tables<T>, dir: string): Below<T> {
  const { chain } = tables;
  while (chain.length > 1 && !isBelow(dir, chain.at(-1)?.dir ?? '')) chain.pop();
  let top = chain[0] ?? joined(tables, { dir: '', values: [], globs: [] }, '/');
  if (chain.length === 0) chain.push(top);
  top = chain.at(-1) ?? top;
  while (top.dir !== dir) {
    const slash = dir.indexOf('/', top.dir.length + 1);
    top = joined(tables, top, slash < 0 ? dir : dir.slice(0, slash));
    chain.push(top);
  }
  return top;
}

function isBelow(dir: string, top: string): boolean {
  return dir === top || (dir.startsWith(top) && dir[top.length] === '/');
}

/** What is said of a directory beside what is said of the one above it: mostly nothing. */
function joined<T>({ trees, globs, treeNames, led }: Tables<T>, above: Below<T>, dir: string): Below<T> {
  const name = dir.slice(dir.lastIndexOf('/') + 1);
  const values = [...(trees.get(dir) ?? NONE), ...(name === '' ? NONE : lookUp(treeNames, name))].filter((value) => !above.values.includes(value));
  const own = (globs.get(dir) ?? NONE).map((one) => ({ ...one, from: dir === '/' ? 1 : dir.length + 1, settled: false }));
  const fromTop = (name === '' ? NONE : (led.get(name) ?? NONE)).filter(({ test }) => !above.globs.some((one) => one.test === test)).map((one) => ({ ...one, from: 1, settled: false }));
  const left = settledBy(above.globs, name);
  return {
    dir,
    values: values.length === 0 ? above.values : [...above.values, ...values],
    globs: own.length + fromTop.length === 0 ? left : [...left, ...own, ...fromTop],
  };
}

/** An expression for one name has found it, or never will, in the directory below its own. */
function settledBy<T>(globs: readonly Tried<T>[], name: string): readonly Tried<T>[] {
  if (!globs.some(({ single, settled }) => single && !settled)) return globs;
  return globs.flatMap((one) => {
    if (!one.single || one.settled) return [one];
    return one.tree && one.test(name) ? [{ ...one, settled: true }] : [];
  });
}

/** The first name of an any-depth pattern of several names, when it has no wildcard. */
function leadOf(pattern: PathPattern): string | null {
  if (pattern.base !== '/' || !pattern.glob.startsWith('**/')) return null;
  const [, first = ''] = pattern.glob.split('/');
  return /[*?[\\]/.test(first) ? null : first;
}

/** Letters, digits and what is often between them: no slash, nor a range or a complement that has one. */
const CLASS_IN_NAME = /\[-?(?:[a-z]-[a-z]|[A-Z]-[A-Z]|\d-\d|[\w.~ ,(])+-?\]/g;

/** In most classes a slash can hide, so that such a pattern may be about more than one name. */
function isSingle(glob: string): boolean {
  return !/[/[]|\*\*/.test(glob.replace(CLASS_IN_NAME, ''));
}

function compiledOf<T>(value: T, glob: string, tree: boolean): Compiled<T> {
  let test: ((text: string) => boolean) | null = null;
  const piece = glob.includes('**') ? '' : pieceOf(glob);
  return { value, test: (text) => text.includes(piece) && (test ??= globTest(glob, tree))(text), single: isSingle(glob), tree };
}

function globTest(glob: string, tree: boolean): (text: string) => boolean {
  if (hasManyStars(glob)) return segmentTest(glob, tree);
  const regex = new RegExp(`^${globSource(glob)}${tree ? '(?:/.*)?' : ''}$`, 's');
  return (text) => regex.test(text);
}

interface NameTable<T> {
  readonly literal: Map<string, T[]>;
  /** `*.pem`, by `.pem` */
  readonly endings: Map<string, T[]>;
  readonly globs: Compiled<T>[];
}

function nameTable<T>(): NameTable<T> {
  return { literal: new Map(), endings: new Map(), globs: [] };
}

function addName<T>(table: NameTable<T>, name: string, value: T): void {
  if (!/[*?[\\]/.test(name)) push(table.literal, name, value);
  else if (/^\*\.[^.*?[\\]+$/.test(name)) push(table.endings, name.slice(1), value);
  else table.globs.push(compiledOf(value, name, false));
}

/** Names and patterns for one name each, folded. Of a pattern with wildcards the longest part that a name must have; none at all matches everything. */
export function filterOf(names: readonly string[]): NameFilter {
  const [literals, endings, pieces] = [new Set<string>(), new Set<string>(), new Set<string>()];
  for (const name of names) {
    if (!/[*?[{\\]/.test(name)) literals.add(name);
    else if (/^\*\.[^.*?[{\\]+$/.test(name)) endings.add(name.slice(1));
    else pieces.add(pieceOf(name));
  }
  return { literals: [...literals], endings: [...endings], pieces: [...pieces] };
}

/** The longest part that every match has. What follows a class or an alternative is hard to tell from it. */
function pieceOf(name: string): string {
  return (name.split(/[[{]/)[0] ?? '').split(/[*?\\]/).reduce((a, b) => (b.length > a.length ? b : a), '');
}

function lookUp<T>(table: NameTable<T>, name: string): readonly T[] {
  const literal = table.literal.get(name);
  const ending = table.endings.size === 0 ? undefined : table.endings.get(name.slice(name.lastIndexOf('.')));
  const plain = ending === undefined ? (literal ?? NONE) : [...(literal ?? NONE), ...ending];
  if (table.globs.length === 0) return plain;
  const matched = table.globs.filter(({ test }) => test(name));
  return matched.length === 0 ? plain : [...plain, ...matched.map(({ value }) => value)];
}

const NONE: readonly never[] = [];

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
