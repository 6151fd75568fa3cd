import picomatch from 'picomatch';

/**
 * Path patterns: `~/x`, `./x` (below the project), `/x`, a leading `**` (at any depth).
 * `*` and `?` stay within a name, `**` is any number of directories, `{a,b}`
 * are alternatives, `dir/**` is the directory and everything in it.
 */
export interface PathPattern {
  /** as written in the policy */
  readonly text: string;
  /** literal absolute directory or file that the pattern starts with */
  readonly base: string;
  /** what follows `base`, '' when the pattern is literal */
  readonly glob: string;
  /** written with a final `/**`: everything below too */
  readonly tree: boolean;
}

/** Where a pattern begins: at `~`, `./` or `/`, or at any depth. */
export type PatternRoot = 'home' | 'project' | 'absolute' | 'anywhere';

interface Alternative {
  readonly root: PatternRoot;
  /** relative to the root, no braces */
  readonly rel: string;
  readonly tree: boolean;
}

/** A pattern, or why it is none. */
export type PatternResult =
  | { readonly ok: true; readonly alternatives: readonly Alternative[] }
  | { readonly ok: false; readonly why: string; readonly hint: string | null };

/** What `~` and `./` stand for; `moves` are directories moved by a variable, old → new, both absolute. */
export interface PatternRoots {
  readonly home: string;
  /** more home directories that `~` stands for */
  readonly homes?: readonly string[];
  readonly project: string;
  readonly moves?: readonly (readonly [from: string, to: string])[];
}

const MAX_LENGTH = 1024;
const MAX_ALTERNATIVES = 256;
const GLOB = /[*?[]/;
const INVISIBLE = /[\u0000-\u001f\u007f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/;
const SPECIAL = /[~*?[\]{}()!\\\u0000-\u001f\u007f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;
const ESCAPED = new RegExp(`\\\\${SPECIAL.source}`, 'g');

/** The pattern that stands for exactly this path. */
export function literalPattern(path: string): string {
  return path.replace(SPECIAL, '\\$&');
}

/** Checks a pattern's text and takes it apart. */
export function parsePattern(text: string): PatternResult {
  const refused = refusal(text);
  if (refused !== null) return { ok: false, ...refused };
  const texts = expandBraces(text);
  if (texts === null) return { ok: false, why: `\`${text}\` has unbalanced or too many braces`, hint: 'Escape a literal brace with a backslash.' };
  const alternatives: Alternative[] = [];
  for (const one of texts) {
    const parsed = parseOne(one);
    if ('why' in parsed) return { ok: false, ...parsed };
    alternatives.push(parsed);
  }
  return { ok: true, alternatives };
}

/** The absolute patterns that a text stands for. The text must have passed `parsePattern`. */
export function expandPattern(text: string, roots: PatternRoots, withholds: boolean): PathPattern[] {
  const parsed = parsePattern(text);
  if (!parsed.ok) throw new Error(`pattern was not checked: ${parsed.why}`);
  const homes = roots.homes ?? [];
  const elsewhere = parsed.alternatives.flatMap((alternative) => (alternative.root === 'home' ? homes.map((home) => absolute(text, alternative, { ...roots, home })) : []));
  const here = parsed.alternatives.flatMap((alternative) => {
    const pattern = absolute(text, alternative, roots);
    const moved = (roots.moves ?? []).flatMap((move) => movedPattern(pattern, move));
    // What withholds holds at both places; what grants follows the move.
    return moved.length === 0 ? [pattern] : withholds ? [pattern, ...moved] : moved;
  });
  return [...here, ...elsewhere];
}

/** A regular expression source for a glob without braces, relative and with `/` between names. */
export function globSource(glob: string): string {
  const escaped = glob.replace(/\\[^]|\[!|[()|+@$^{}"']/g, (found) => (found === '[!' ? '[^' : found.length === 2 ? found : `\\${found}`));
  const source = picomatch.makeRe(escaped, {
    dot: true, nobrace: true, noextglob: true, nonegate: true, fastpaths: false, strictSlashes: true, flags: 's',
  }).source;
  return source.slice(1, -1);
}

/** Without wildcards; escaped ones are none. */
export function isLiteral(text: string): boolean {
  return !GLOB.test(text.replace(/\\[^]/g, ''));
}

function refusal(text: string): { why: string; hint: string | null } | null {
  if (text === '') return { why: 'a pattern is empty', hint: null };
  if (text.length > MAX_LENGTH) return { why: 'a pattern is longer than 1,024 characters', hint: null };
  const bare = text.replace(ESCAPED, '');
  if (INVISIBLE.test(bare)) {
    return { why: 'a pattern has control or invisible characters', hint: null };
  }
  if (text.startsWith('!')) return { why: `\`${text}\`: patterns are not negated with \`!\``, hint: 'Put the exception under `except:` of the rule.' };
  if (text.startsWith('$')) return { why: `\`${text}\`: variables are not expanded in paths`, hint: 'Write ~/… or an absolute path.' };
  if (bare.includes('\\')) return { why: `\`${text}\` has a backslash that escapes nothing`, hint: 'Paths are separated by `/`.' };
  return null;
}

function parseOne(text: string): Alternative | { why: string; hint: string | null } {
  const { root, rest } = rootOf(text);
  if (root === null) {
    const astray = text.startsWith('~') || text.split('/').includes('..');
    const hint = astray ? 'Write the path it leads to, from `/` or `~/` on.' : `Write \`./${text}\` (in the project) or \`**/${text}\` (anywhere).`;
    return { why: `\`${text}\` is neither absolute nor anchored`, hint };
  }
  const parts = rest.split('/').filter((part) => part !== '' && part !== '.');
  const bad = parts.map((part) => badComponent(part, text)).find((why) => why !== null);
  if (bad !== undefined) return bad;
  let tree = text.endsWith('/') && text !== '/';
  while (parts.at(-1) === '**' && parts.length > (root === 'anywhere' ? 1 : 0)) {
    parts.pop();
    tree = true;
  }
  return { root, rel: parts.join('/'), tree };
}

function rootOf(text: string): { root: PatternRoot | null; rest: string } {
  if (text === '~' || text.startsWith('~/')) return { root: 'home', rest: text.slice(1) };
  if (text === '.' || text.startsWith('./')) return { root: 'project', rest: text.slice(1) };
  if (text === '**' || text.startsWith('**/')) return { root: 'anywhere', rest: text };
  if (text.startsWith('/')) return { root: 'absolute', rest: text };
  return { root: null, rest: text };
}

function badComponent(part: string, text: string): { why: string; hint: string | null } | null {
  if (part === '..') return { why: `\`${text}\` has a \`..\``, hint: 'Write the path it leads to.' };
  if (part.startsWith('~')) return { why: `\`${text}\`: \`~\` stands only at the start`, hint: null };
  if (part !== '**' && part.includes('**')) return { why: `\`${text}\`: \`**\` must stand alone between slashes`, hint: 'Use `*` within a name.' };
  const bare = part.replace(/\\[^]/g, '');
  if ((bare.match(/\*/g)?.length ?? 0) > 4) return { why: `\`${text}\` has more than four \`*\` in one name`, hint: null };
  const brackets = bare.replace(/\[[!^]?\]?[^\]]*\]/g, '');
  if (/[[\]]/.test(brackets)) return { why: `\`${text}\` has an unbalanced bracket`, hint: 'Escape a literal bracket with a backslash.' };
  if (/\[[^\]]*[^\u0000-\u007f][^\]]*\]/.test(bare)) return { why: `\`${text}\` has non-ASCII characters in brackets`, hint: 'Write the alternatives in braces.' };
  return null;
}

/** `a{b,c}d` → `abd`, `acd`; nested; null when unbalanced or too many. */
function expandBraces(text: string): string[] | null {
  const open = findUnescaped(text, '{', 0);
  if (open < 0) return findUnescaped(text, '}', 0) < 0 ? [text] : null;
  const parts: string[] = [];
  let depth = 0;
  let from = open + 1;
  for (let i = open; i < text.length; i++) {
    const char = text[i];
    if (char === '\\') i++;
    else if (char === '{') depth++;
    else if (char === ',' && depth === 1) [parts[parts.length], from] = [text.slice(from, i), i + 1];
    else if (char === '}' && --depth === 0) {
      parts.push(text.slice(from, i));
      return joinedAlternatives(parts.map((part) => text.slice(0, open) + part + text.slice(i + 1)));
    }
  }
  return null;
}

/** Ends with the first that is too much: each further group doubles the work. */
function joinedAlternatives(texts: readonly string[]): string[] | null {
  const all: string[] = [];
  for (const text of texts) {
    const some = expandBraces(text);
    if (some === null || all.length + some.length > MAX_ALTERNATIVES) return null;
    all.push(...some);
  }
  return all;
}

function findUnescaped(text: string, char: string, from: number): number {
  for (let i = from; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === char) return i;
  }
  return -1;
}

function absolute(text: string, { root, rel, tree }: Alternative, roots: PatternRoots): PathPattern {
  const start = root === 'home' ? roots.home : root === 'project' ? roots.project : '/';
  const parts = rel === '' ? [] : rel.split('/');
  const literal = parts.findIndex((part) => !isLiteral(part));
  const names = (literal < 0 ? parts : parts.slice(0, literal)).map(unescapeLiteral);
  const base = [start === '/' ? '' : start, ...names].join('/');
  return { text, base: base === '' ? '/' : base, glob: literal < 0 ? '' : parts.slice(literal).join('/'), tree };
}

function unescapeLiteral(part: string): string {
  return part.replace(/\\([^])/g, '$1');
}

function movedPattern(pattern: PathPattern, [from, to]: readonly [string, string]): PathPattern[] {
  if (pattern.base !== from && !pattern.base.startsWith(`${from}/`)) return [];
  return [{ ...pattern, base: to + pattern.base.slice(from.length) }];
}
