import type { Bytes } from '../bytes.js';
import { fromText, isWithin, joinBytes, toText } from '../bytes.js';
import { errnoOf, AgentfwError, usageError } from '../errors.js';
import { AT_FDCWD } from '../kernel/kernel.js';
import type { SandboxRecord } from './sandbox.js';
import { hasSandbox, hintFor, listRecords, readRecord, type Store } from './store.js';
import { isTag } from './tag.js';

/** The words of `diff`, `commit`, …, before they are told apart. */
export interface Words {
  /** `--tag T` */
  readonly tag: string | null;
  /** words before `--`: a tag first, perhaps, then paths */
  readonly words: readonly Bytes[];
  /** words after `--`: paths */
  readonly after: readonly Bytes[];
}

/** What the words of a command line mean. */
export interface Resolved {
  readonly record: SandboxRecord;
  /** absolute, `.` and `..` resolved by words; may hold glob characters */
  readonly paths: readonly Bytes[];
  /** the first of the paths, where the word may have been meant as a tag: there is no such sandbox, and no such file either */
  readonly mistyped: { readonly tag: string; readonly path: Bytes; readonly hint: string } | null;
  /** as `sayTag` has it */
  readonly said: string;
}

/** Which sandboxes can be meant. */
export interface ResolveOptions {
  /** refuse when several sandboxes could be meant: `commit --yes` and `discard --yes` */
  readonly certain: boolean;
  /** without a tag, only those that run now are meant */
  readonly running?: boolean;
}

/** A directory that may not be searched shows no file. */
function isThere({ kernel }: Store, path: Bytes): boolean {
  try {
    return kernel.statOrNull(AT_FDCWD, path) !== null;
  } catch (error) {
    if (errnoOf(error) === 'EACCES') return false;
    throw error;
  }
}

/** The word or words that name the sandbox to `diff`, `commit`, `discard` and `export` in the current directory: a tag that is a file there too needs its flag. */
export function sayTag(store: Store, tag: string): string {
  try {
    return isThere(store, absolutePath(store.context.cwd, fromText(tag))) ? `--tag ${tag}` : tag;
  } catch {
    // Only a hint: a directory that can't be looked at fails nothing here.
    return tag;
  }
}

/**
 * Finds the sandbox and the paths. The first word is a tag if such a sandbox
 * exists, unless a file of that name exists too; without a tag it is the
 * newest undiscarded sandbox started here or in a directory above.
 */
export function resolveTag(store: Store, words: Words, options: ResolveOptions): Resolved {
  const { cwd } = store.context;
  if (words.tag !== null) return resolved(readRecord(store, words.tag), words.words, null);
  const [first, ...rest] = words.words;
  const isFile = first !== undefined && isTag(first) && isThere(store, absolutePath(cwd, first));
  if (first !== undefined && isTag(first) && hasSandbox(store, first)) {
    if (isFile) {
      throw usageError(
        `"${toText(first)}" is a sandbox and a file here.`,
        `Say which: --tag ${toText(first)} for the sandbox, -- ${toText(first)} for the file`,
      );
    }
    return resolved(readRecord(store, first), rest, null);
  }
  const mistyped = first !== undefined && isTag(first) && !isFile ? { tag: first, path: absolutePath(cwd, first), hint: hintFor(store, first) } : null;
  return resolved(newestFrom(store, options, mistyped?.tag), words.words, mistyped);

  function resolved(record: SandboxRecord, before: readonly Bytes[], mistyped: Resolved['mistyped']): Resolved {
    return { record, paths: [...before, ...words.after].map((path) => absolutePath(cwd, path)), mistyped, said: sayTag(store, record.tag) };
  }
}

/** A word that is neither a tag, nor a file, nor a change is no path without changes: to say nothing of it hides the mistake. */
export function refuseMistyped({ record, mistyped }: Resolved, unmatched: readonly Bytes[]): void {
  if (mistyped === null || !unmatched.includes(mistyped.path)) return;
  throw new AgentfwError('AFW_NO_SANDBOX', `There is no sandbox ${mistyped.tag}, and ${record.tag}, which was started here, has nothing of that name.`, { hint: mistyped.hint });
}

/** The same, where each word must name a change. */
export function refuseUnmatched(resolved: Resolved, unmatched: readonly Bytes[]): void {
  refuseMistyped(resolved, unmatched);
  const [first] = unmatched;
  if (first !== undefined) throw new AgentfwError('AFW_NO_CHANGE', `The sandbox has no change at ${toText(first)}`, { hint: `List them: agentfw diff ${resolved.said} --name-only` });
}

/** The sandbox of a command that takes only `[TAG]`. */
export function resolveOnly(store: Store, words: Words, options: ResolveOptions): SandboxRecord {
  const [first, ...rest] = words.tag === null ? words.words : [fromText(words.tag), ...words.words];
  if (rest.length > 0 || words.after.length > 0) throw usageError('Expected one tag.', 'List them: agentfw list');
  return first === undefined ? newestFrom(store, options) : readRecord(store, toText(first));
}

/** `mistyped` is a word that names no sandbox and no file. */
function newestFrom(store: Store, { certain, running = false }: ResolveOptions, mistyped?: string): SandboxRecord {
  const { cwd } = store.context;
  const { records } = listRecords(store);
  const here = records.filter((record) => (running ? record.state === 'running' : record.state !== 'discarded') && isWithin(cwd, record.cwd));
  const [newest] = here;
  if (newest === undefined) {
    const which = mistyped === undefined ? '' : `no sandbox ${mistyped}, and `;
    throw new AgentfwError('AFW_NO_SANDBOX', `There is ${which}no sandbox ${running ? 'that runs and was ' : ''}started in this directory.`, {
      hint: 'List them all: agentfw list',
    });
  }
  if (certain && here.length > 1) {
    const tags = here.map((record) => record.tag).join(', ');
    const several = `everal sandboxes ${running ? 'that run ' : ''}were started here: ${tags}`;
    throw usageError(mistyped === undefined ? `S${several}` : `There is no sandbox ${mistyped}, and s${several}`, 'Name the one you mean');
  }
  return newest;
}

/**
 * Absolute, without `.`, `..` and empty components; what lies on disk is not looked
 * at. An empty word is a variable that was not set: it doesn't mean all that is here.
 */
export function absolutePath(cwd: Bytes, path: Bytes): Bytes {
  if (path === '') throw usageError('A path is empty.', 'Is a variable empty? The directory you are in is .');
  const parts: string[] = [];
  for (const part of (path.startsWith('/') ? path : joinBytes(cwd, path)).split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}` as Bytes;
}

/** `NAME:PATH` of `show`, the path absolute: it is relative to the current directory. */
export function splitTagPath(cwd: Bytes, word: Bytes): { name: Bytes; path: Bytes } {
  const colon = word.indexOf(':');
  if (colon === -1) throw usageError('Expected TAG:PATH or COMMIT:PATH.', 'For example: agentfw show fix-login:src/main.c');
  return { name: word.slice(0, colon) as Bytes, path: absolutePath(cwd, word.slice(colon + 1) as Bytes) };
}
