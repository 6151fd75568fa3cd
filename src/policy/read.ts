import { createHash } from 'node:crypto';
import { accessSync, closeSync, constants, fstatSync, lstatSync, openSync, readFileSync, readlinkSync, realpathSync, statSync, type Stats } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { AgentfwError } from '../errors.js';
import { fromCache, toCache, type Cache } from './cache.js';
import type { LoadResult, PolicyDocument } from './document.js';
import { loadBytes } from './load.js';
import { shippedDocument } from './shipped.js';
import { shellWord } from '../shell-word.js';

/** Who may have written a policy file. */
export type Ownership =
  /** nobody but root, for the file and every directory up to `/` */
  | { readonly by: 'root'; readonly uid: number }
  /** the user or root, for the file and every directory up to `/` */
  | { readonly by: 'user'; readonly uid: number }
  /** anybody: the file is bound by its digest, or only tightens */
  | { readonly by: 'anybody' };

/** A policy file, and who may have written it. */
export interface ReadRequest {
  readonly file: string;
  readonly owner: Ownership;
  /** false of a project's file: a link would make the file's place and its content two things */
  readonly follow: boolean;
  /** directory for parsed documents, or null */
  readonly cache: Cache | null;
}

const MAX_SIZE = 1024 * 1024;

/** Reads, checks and parses one policy file; the five results are told apart. */
export async function readPolicy(request: ReadRequest): Promise<LoadResult> {
  const { file } = request;
  const opened = readChecked(request);
  if (!('bytes' in opened)) return opened;
  const digest = createHash('sha256').update(opened.bytes).digest('hex');
  const known = shippedDocument(digest) ?? (request.cache === null ? null : fromCache<PolicyDocument>(request.cache, digest));
  if (known !== null) return { kind: 'ok', file, digest, document: known };
  const result = await loadBytes(file, opened.bytes, digest);
  if (result.kind === 'ok' && request.cache !== null) toCache(request.cache, digest, result.document);
  return result;
}

/** Of a file that is named on the command line: it may be any, and stays where it is. */
export const NAME_ANOTHER = 'Name a file of text that you can read';

/** A small file that the user names, whole: a FIFO is not waited for, a device not read to its end. */
export function readNamed(file: string): Buffer {
  const result = readChecked({ file, owner: { by: 'anybody' }, follow: true });
  if ('bytes' in result) return result.bytes;
  const why = result.kind === 'unreadable' ? result.why : 'there is no such file';
  throw new AgentfwError('AFW_POLICY_UNREADABLE', `Can't use ${file}: ${why}.`, { hint: NAME_ANOTHER });
}

function readChecked({ file, owner, follow }: Omit<ReadRequest, 'cache'>): LoadResult | { bytes: Buffer } {
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | (follow ? 0 : constants.O_NOFOLLOW));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return isDangling(file) ? unreadable(file, 'it is a link to nothing', `Remove it: rm ${file}`) : { kind: 'missing', file };
    if (code === 'ELOOP') return unreadable(file, 'it is a symbolic link', 'A project policy must be a file of its own.');
    if (code === 'ENXIO') return irregular(file);
    return code === 'EACCES' ? forbidden(file, follow) : unreadable(file, message, null);
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) return irregular(file);
    if (stat.size > MAX_SIZE) return unreadable(file, 'it is larger than 1 MiB', `Is it a policy at all? Move it away: mv ${shellWord(file)} ${shellWord(`${file}.old`)}`);
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
  // A link can be replaced where it stands, whatever it leads to.
  for (const link of linksOn(file)) {
    const bad = writableUpwards(realpathSync(dirname(link)), statSync(dirname(link)), owner);
    if (bad !== null) return bad;
  }
  return writableUpwards(realpathSync(file), stat, owner);
}

/** The links that lead from a path to its file, one after the other. */
function linksOn(file: string): string[] {
  const links: string[] = [];
  for (let at = file; lstatSync(at).isSymbolicLink() && links.length < 40; at = resolve(dirname(at), readlinkSync(at))) links.push(at);
  return links;
}

function writableUpwards(start: string, stat: Stats, owner: Exclude<Ownership, { readonly by: 'anybody' }>): { why: string; hint: string } | null {
  let path = start;
  for (let at: Stats = stat; ; path = dirname(path), at = statSync(path)) {
    const who = owner.by === 'root' ? [owner.uid] : [owner.uid, 0];
    const sticky = at.isDirectory() && (at.mode & 0o1000) !== 0;
    if (!who.includes(at.uid)) return { why: `${path} belongs to uid ${at.uid}`, hint: `It must belong to ${owner.by === 'root' ? 'root' : 'you'}: chown it.` };
    if ((at.mode & 0o022) !== 0 && !sticky) return { why: `${path} is writable by others`, hint: `Run chmod go-w ${shellWord(path)}` };
    if (path === '/') return null;
  }
}

function irregular(file: string): LoadResult {
  return unreadable(file, 'it is not a regular file', `Move it away: mv ${shellWord(file)} ${shellWord(`${file}.old`)}`);
}

function forbidden(file: string, follow: boolean): LoadResult {
  const dir = closedAbove(file);
  try {
    accessSync(dir, constants.X_OK);
    return unreadable(file, 'you may not read it', `${opening(file, 'u+r')}, or move it away`);
  } catch {
    return unreadable(file, `you may not enter ${dir}`, `${opening(dir, 'u+x')}${follow ? '' : ', or cd elsewhere'}`);
  }
}

/** Its directory, or what is above it and lets us not even see that one. */
function closedAbove(file: string): string {
  let dir = dirname(file);
  while (ownerOf(dir) === null && dir !== '/') dir = dirname(dir);
  return dir;
}

/** What opens it to us: sudo may have left it to root. */
function opening(path: string, mode: string): string {
  const uid = ownerOf(path);
  return uid === null || uid === process.getuid?.() ? `Run chmod ${mode} ${shellWord(path)}` : `It belongs to uid ${uid}: have it chowned to you`;
}

function ownerOf(path: string): number | null {
  try {
    return lstatSync(path).uid;
  } catch {
    return null; // nor may we look at it
  }
}

function isDangling(file: string): boolean {
  try {
    return lstatSync(file, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false; // below a file
  }
}

function unreadable(file: string, why: string, hint: string | null): LoadResult {
  return { kind: 'unreadable', file, why, hint };
}
