import { createHash } from 'node:crypto';
import { closeSync, constants, existsSync, fstatSync, lstatSync, mkdirSync, openSync, readFileSync, realpathSync, renameSync, statSync, writeFileSync, type Stats } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LoadResult, PolicyDocument } from './document.js';
import { loadBytes } from './load.js';

/** Who may have written a policy file. */
export type Ownership =
  /** nobody but root, for the file and every directory up to `/` */
  | { readonly by: 'root'; readonly uid: number }
  /** the user or root, for the file and every directory up to `/` */
  | { readonly by: 'user'; readonly uid: number }
  /** anybody: the file is bound by its digest, or only tightens */
  | { readonly by: 'anybody' };

export interface ReadRequest {
  readonly file: string;
  readonly owner: Ownership;
  /** a link would make the file's place and its content two things */
  readonly follow: boolean;
  /** directory for parsed documents, or null */
  readonly cache: { readonly dir: string; readonly uid: number } | null;
}

const MAX_SIZE = 1024 * 1024;

/** Reads, checks and parses one policy file; the five results are told apart. */
export async function readPolicy(request: ReadRequest): Promise<LoadResult> {
  const { file } = request;
  const opened = readChecked(request);
  if (!('bytes' in opened)) return opened;
  const digest = createHash('sha256').update(opened.bytes).digest('hex');
  const cached = request.cache === null ? null : fromCache(request.cache, digest);
  if (cached !== null) return { kind: 'ok', file, digest, document: cached };
  const result = await loadBytes(file, opened.bytes, digest);
  if (result.kind === 'ok' && request.cache !== null) toCache(request.cache, digest, result.document);
  return result;
}

function readChecked({ file, owner, follow }: ReadRequest): LoadResult | { bytes: Buffer } {
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | (follow ? 0 : constants.O_NOFOLLOW));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return isDangling(file) ? unreadable(file, 'it is a link to nothing', null) : { kind: 'missing', file };
    if (code === 'ELOOP') return unreadable(file, 'it is a symbolic link', 'A project policy must be a file of its own.');
    return unreadable(file, message, null);
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) return unreadable(file, 'it is not a regular file', null);
    if (stat.size > MAX_SIZE) return unreadable(file, 'it is larger than 1 MiB', null);
    const bad = writableByOthers(file, stat, owner);
    return bad === null ? { bytes: readFileSync(fd) } : unreadable(file, bad.why, bad.hint);
  } catch (error) {
    return unreadable(file, (error as Error).message, null);
  } finally {
    closeSync(fd);
  }
}

/** A file that others may write, or move aside, is not the owner's word. */
function writableByOthers(file: string, stat: Stats, owner: Ownership): { why: string; hint: string } | null {
  if (owner.by === 'anybody') return null;
  let path = realpathSync(file);
  for (let at: Stats = stat; ; path = dirname(path), at = statSync(path)) {
    const who = owner.by === 'root' ? [owner.uid] : [owner.uid, 0];
    const sticky = at.isDirectory() && (at.mode & 0o1000) !== 0;
    if (!who.includes(at.uid)) return { why: `${path} belongs to uid ${at.uid}`, hint: `It must belong to ${owner.by === 'root' ? 'root' : 'you'}: chown it.` };
    if ((at.mode & 0o022) !== 0 && !sticky) return { why: `${path} is writable by others`, hint: `Run chmod go-w ${path}` };
    if (path === '/') return null;
  }
}

function isDangling(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false }) !== undefined;
}

function unreadable(file: string, why: string, hint: string | null): LoadResult {
  return { kind: 'unreadable', file, why, hint };
}

function fromCache({ dir, uid }: { dir: string; uid: number }, digest: string): PolicyDocument | null {
  try {
    const fd = openSync(join(dir, `${cacheKey(digest)}.json`), constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const stat = fstatSync(fd);
      if (stat.uid !== uid || (stat.mode & 0o022) !== 0) return null;
      return JSON.parse(readFileSync(fd, 'utf8')) as PolicyDocument;
    } finally {
      closeSync(fd);
    }
  } catch {
    return null; // a cache that can't be read is no cache
  }
}

function toCache({ dir }: { dir: string }, digest: string, document: PolicyDocument): void {
  try {
    // A store is claimed by the store alone: until then there is no cache.
    if (!existsSync(join(dir, '..', '..', 'format'))) return;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const file = join(dir, `${cacheKey(digest)}.json`);
    writeFileSync(`${file}.new`, JSON.stringify(document), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  } catch {
    // the next run parses again
  }
}

/** The text and the reader together decide the document: a changed reader must not find old results. */
function cacheKey(digest: string): string {
  readerStamp ??= ['main', 'yaml', 'schema', 'shape', 'normalise', 'examples', 'pattern', 'match', 'host', 'units'].map(stampOf).join();
  return createHash('sha256').update(`${readerStamp}\n${digest}`).digest('hex');
}
let readerStamp: string | null = null;

function stampOf(name: string): string {
  const self = fileURLToPath(import.meta.url);
  // In the bundle all of them are `main`.
  const stat = statSync(join(dirname(self), `${name}${extname(self)}`), { throwIfNoEntry: false });
  return `${name}:${stat?.size}:${stat?.mtimeMs}`;
}
