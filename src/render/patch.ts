import { createHash } from 'node:crypto';
import { isWithin, type Bytes } from '../bytes.js';
import type { Change, FileType } from '../changes/change.js';
import type { Stat } from '../kernel/kernel.js';
import { binaryPatch, isBinary } from './git-binary.js';
import { heldPlaces } from './held-places.js';
import { loneDirs } from './lone-dirs.js';
import { fileLinePath, quotePath } from './quote.js';
import type { ContentSource, Omitted } from './source.js';
import { hunkText, textDiff, wholeText } from './text-diff.js';

/** What a patch is made of. */
export interface PatchOptions {
  /** names in the patch are relative to it; what lies outside is omitted */
  readonly root: Bytes;
  readonly contents: ContentSource;
  /** what the renames of `detectRenames` stand for */
  readonly parts?: ReadonlyMap<Change, readonly Change[]>;
  /** the changes are some of several, and what is in their directories is not known */
  readonly partial?: boolean;
  /** files beyond this many bytes are omitted */
  readonly limit?: number;
}

const LIMIT = 64 * 1024 * 1024;
const NO_OBJECT = '0'.repeat(40);
const NO_CONTENT = Buffer.alloc(0);
const NO_DIRS: ReadonlyMap<Bytes, string> = new Map();

/** A regular file or symlink as git knows it. */
interface Blob {
  readonly mode: '100644' | '100755' | '120000';
  readonly content: Buffer;
}

/** One name of the patch. */
interface Section {
  readonly path: Bytes;
  readonly from: Bytes | null;
  readonly before: Blob | null;
  readonly after: Blob | null;
}

/**
 * A patch that `git apply --binary` takes, change by change. Returns what git
 * has no words for: owners, xattrs, special files, modes of directories.
 */
export function* renderPatch(changes: readonly Change[], options: PatchOptions): Generator<Buffer, Omitted[]> {
  const omitted: Omitted[] = [];
  const held = heldPlaces(changes);
  const lone = options.partial === true ? NO_DIRS : loneDirs(changes, options.parts);
  for (const change of expand(changes, options.parts)) {
    if (!isWithin(change.path, options.root) || !isWithin(basePathOf(change), options.root)) {
      omitted.push({ path: change.path, why: 'outside the directory of the patch' });
      continue;
    }
    if (held.has(change.path) && change.kind === 'type') {
      omitted.push({ path: change.path, why: 'git apply leaves directories without files standing in its place' });
      continue;
    }
    const why = lone.get(change.path);
    if (why !== undefined && ![...held].some((top) => isWithin(change.path, top))) omitted.push({ path: change.path, why });
    const sections = sectionsOf(change, options);
    if (typeof sections === 'string') {
      if (sections !== '') omitted.push({ path: change.path, why: sections });
      continue;
    }
    for (const section of sections) yield Buffer.from(sectionText(section), 'latin1');
  }
  return omitted;
}

/** A renamed tree is one change to people, and one rename per file to git: the directories in it come with these. */
function* expand(changes: Iterable<Change>, parts: PatchOptions['parts']): Generator<Change> {
  for (const change of changes) {
    const tree = change.kind === 'rename' && change.type === 'dir' ? parts?.get(change) : undefined;
    if (tree === undefined) {
      yield change;
      continue;
    }
    const gone = new Map(tree.filter((part) => part.kind === 'delete').map((part) => [part.path as string, part]));
    for (const part of gone.values()) if (part.type === 'dir') yield part;
    for (const part of tree.filter((one) => one.kind === 'add')) {
      const from = `${change.from ?? ''}${part.path.slice(change.path.length)}` as Bytes;
      const old = gone.get(from);
      if (part.type === 'dir') yield part;
      else yield { ...part, kind: 'rename', from, base: old?.base ?? null, basePath: old?.basePath ?? from };
    }
  }
}

/** Sections, or why there are none ('' when that is no loss). */
function sectionsOf(change: Change, options: PatchOptions): Section[] | string {
  const [beforeType, afterType] = typesOf(change);
  if (isDirectory(beforeType) && isDirectory(afterType)) return change.meta.length > 0 ? 'metadata of a directory' : '';
  const special = [beforeType, afterType].find((type) => type !== null && type !== 'file' && type !== 'symlink' && type !== 'dir');
  if (special !== undefined && special !== null) return `a patch can't hold a ${special}`;
  const before = blobOf(change, 'base', beforeType, options);
  const after = blobOf(change, 'upper', afterType, options);
  if (typeof before === 'string') return before;
  if (typeof after === 'string') return after;
  const name = relative(change.path, options.root);
  const old = relative(basePathOf(change), options.root);
  if (after === null) return [{ path: old, from: null, before, after }];
  if (before !== null && (before.mode === '120000') !== (after.mode === '120000')) {
    return [{ path: old, from: null, before, after: null }, { path: name, from: null, before: null, after }];
  }
  const from = before === null || old === name ? null : old;
  const same = before !== null && before.mode === after.mode && before.content.equals(after.content);
  if (same && from === null) return change.meta.length === 0 ? 'the contents are alike' : `only metadata differ (${change.meta.join(', ')})`;
  return [{ path: name, from, before, after }];
}

/** Where the host has it: elsewhere for a rename, and for all below a renamed directory. */
function basePathOf(change: Change): Bytes {
  return change.from ?? change.basePath ?? change.path;
}

/** Types before and after; null where nothing was or is. */
function typesOf(change: Change): readonly [FileType | null, FileType | null] {
  switch (change.kind) {
    case 'add':
      return [null, change.type];
    case 'delete':
      return [change.type, null];
    case 'type':
      return [change.oldType, change.type];
    default:
      return [change.type, change.type];
  }
}

function isDirectory(type: FileType | null): boolean {
  return type === null || type === 'dir';
}

function blobOf(change: Change, side: 'upper' | 'base', type: FileType | null, options: PatchOptions): Blob | null | string {
  if (type === null || type === 'dir') return null;
  const stat = side === 'upper' ? change.upper : change.base;
  const content = options.contents.read(change, side, options.limit ?? LIMIT);
  if (content !== null && stat !== null) return { mode: modeOf(type, stat), content };
  return (stat?.size ?? 0) > (options.limit ?? LIMIT) ? 'too large for a patch' : "content can't be read";
}

function modeOf(type: FileType, stat: Stat): Blob['mode'] {
  if (type === 'symlink') return '120000';
  return (stat.mode & 0o100) === 0 ? '100644' : '100755';
}

function relative(path: Bytes, root: Bytes): Bytes {
  return path.slice(root === '/' ? 1 : root.length + 1) as Bytes;
}

function sectionText(section: Section): string {
  const { path, from, before, after } = section;
  const old = `a/${from ?? path}` as Bytes;
  const fresh = `b/${path}` as Bytes;
  const same = before !== null && after !== null && before.content.equals(after.content);
  return [`diff --git ${quotePath(old)} ${quotePath(fresh)}\n`, headText(section, same), same ? '' : bodyText(section, old, fresh)].join('');
}

function headText({ path, from, before, after }: Section, same: boolean): string {
  const lines: string[] = [];
  if (before === null) lines.push(`new file mode ${after?.mode ?? ''}`);
  else if (after === null) lines.push(`deleted file mode ${before.mode}`);
  else if (before.mode !== after.mode) lines.push(`old mode ${before.mode}`, `new mode ${after.mode}`);
  if (from !== null) {
    if (same) lines.push('similarity index 100%');
    lines.push(`rename from ${quotePath(from)}`, `rename to ${quotePath(path)}`);
  }
  if (!same) {
    const mode = before !== null && after !== null && before.mode === after.mode ? ` ${after.mode}` : '';
    lines.push(`index ${objectId(before)}..${objectId(after)}${mode}`);
  }
  return lines.map((line) => `${line}\n`).join('');
}

/** Full ids: `git apply` wants them for binary content. */
function objectId(blob: Blob | null): string {
  if (blob === null) return NO_OBJECT;
  return createHash('sha1').update(`blob ${blob.content.length}\0`).update(blob.content).digest('hex');
}

function bodyText({ before, after }: Section, old: Bytes, fresh: Bytes): string {
  const [was, is] = [before?.content ?? NO_CONTENT, after?.content ?? NO_CONTENT];
  if (isBinary(was) || isBinary(is)) return binaryPatch(was, is);
  const hunks = hunksText(was.toString('latin1'), is.toString('latin1'));
  if (hunks === '') return '';
  const names = [before === null ? '/dev/null' : fileLinePath(old), after === null ? '/dev/null' : fileLinePath(fresh)];
  return `--- ${names[0] ?? ''}\n+++ ${names[1] ?? ''}\n${hunks}`;
}

function hunksText(was: string, is: string): string {
  if (was === '') return wholeText(is, '+');
  return is === '' ? wholeText(was, '-') : textDiff(was, is).map(hunkText).join('');
}
