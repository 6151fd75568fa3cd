import { constants } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import { joinBytes, toText } from '../../bytes.js';
import { AgentfwError, isShortage } from '../../errors.js';
import { bytesField, FieldError, numberField, objectField, textField, wordField, type Fields } from '../../fields.js';
import { readWhole, replaceFile } from '../../kernel/files.js';
import { AT_FDCWD, type Kernel } from '../../kernel/kernel.js';
import type { Leftover } from '../../kernel/remove.js';
import { Away, isAway } from '../../sandbox/foreign.js';
import { withCommitLock } from '../journal/commit-lock.js';
import { RESULT } from '../journal/unfinished.js';
import type { Meanings } from '../capture/epoch.js';
import { JOURNAL, readHeader } from '../journal/journal.js';
import type { Counts } from '../result.js';
import type { StoreContext } from '../store-context.js';
import type { Root } from '../plan/step.js';
import { commitDir, commitsDir, removeIn, removeVault, vaultDirs } from './vault.js';

/** One commit as lists tell of it. */
export interface CommitInfo {
  readonly id: string;
  readonly tag: string;
  /** ISO 8601 */
  readonly created: string;
  readonly note: string | null;
  readonly counts: Counts;
  /** how many changes left the sandbox without landing; of an undo: came back to it, or left it again */
  readonly dropped: number;
  readonly digest: string;
  /** the commit that this one took back */
  readonly undoes: string | null;
  /** the commit that took this one back, unless that one was taken back itself */
  readonly undoneBy: string | null;
  /** what that one could not take back; an undo may try it again */
  readonly left: readonly Bytes[];
  /** `pruned`: listed, but can't be undone any more */
  readonly state: 'landed' | 'rolled-back' | 'unfinished' | 'pruned';
  /** disk use of what it keeps */
  readonly bytes: number;
}

/** `kept`: the size when it is known without a look */
type Plain = Omit<CommitInfo, 'undoneBy' | 'left' | 'bytes'> & { readonly kept: number | null; readonly refused: readonly Bytes[] };

/** A commit that can't be read, and why: nobody knows what it did. */
export interface BrokenCommit {
  readonly id: Bytes;
  readonly error: unknown;
}

/** Those that can be read, newest first, and those that can't. */
export interface Survey<T> {
  readonly commits: readonly T[];
  readonly broken: readonly BrokenCommit[];
}

type Info = Omit<CommitInfo, 'bytes'> & { readonly kept: number | null };

/** All commits of the store. What the machine lacks (memory, descriptors) is thrown. */
export function surveyCommits(ctx: StoreContext): Survey<CommitInfo> {
  const { commits: infos, broken } = surveyInfos(ctx);
  const { found: commits, broken: unsized } = eachOrBroken(infos, ({ id }) => id as Bytes, (info) => withBytes(ctx, info));
  return { commits, broken: [...broken, ...unsized] };
}

/** The same without the sizes, which may take a walk. */
export function surveyInfos(ctx: StoreContext): Survey<Info> {
  const { found: read, broken } = eachOrBroken(commitIds(ctx), (id) => id, (id) => infoOf(ctx, id));
  const found = read.filter((info) => info !== null);
  found.sort((a, b) => (a.created !== b.created ? (a.created < b.created ? 1 : -1) : a.id < b.id ? 1 : -1));
  const undone = undoneBy(found);
  const commits = found.map(({ refused: _, ...info }) => {
    const by = undone.get(info.id);
    return { ...info, undoneBy: by?.id ?? null, left: by?.refused ?? [] };
  });
  return { commits, broken };
}

function eachOrBroken<T, R>(all: readonly T[], idOf: (one: T) => Bytes, read: (one: T) => R): { readonly found: R[]; readonly broken: BrokenCommit[] } {
  const broken: BrokenCommit[] = [];
  const found = all.flatMap((one) => {
    try {
      return [read(one)];
    } catch (error) {
      if (isShortage(error)) throw error;
      broken.push({ id: idOf(one), error });
      return [];
    }
  });
  return { found, broken };
}

function withBytes(ctx: StoreContext, { kept, ...info }: Info): CommitInfo {
  return { ...info, bytes: info.state === 'pruned' ? 0 : (kept ?? bytesOf(ctx, info.id)) };
}

function commitIds({ kernel, stateDir }: StoreContext): Bytes[] {
  const dir = commitsDir(stateDir);
  if (kernel.statOrNull(AT_FDCWD, dir) === null) return [];
  const fd = kernel.open(AT_FDCWD, dir, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return kernel.list(fd).filter((name) => !name.startsWith('.'));
  } finally {
    kernel.close(fd);
  }
}

/** Who has what a commit replaced: once an undo of it was taken back, that is what took it back. */
export function holderOf<T extends Pick<CommitInfo, 'id' | 'undoes' | 'undoneBy' | 'state'>>(newestFirst: readonly T[], commit: T): T {
  const last = newestFirst.find(({ undoes, state }) => undoes === commit.id && state !== 'rolled-back');
  const again = newestFirst.find(({ id }) => id === last?.undoneBy);
  return again === undefined ? commit : holderOf(newestFirst, again);
}

/** An undo that was undone leaves its commit landed. */
function undoneBy(newestFirst: readonly Plain[]): Map<string, Plain> {
  const undone = new Map<string, Plain>();
  for (const info of newestFirst) {
    const { id, undoes, state } = info;
    // The first of several undos of one commit is the newest: what it refused is what is left.
    if (undoes !== null && state !== 'rolled-back' && !undone.has(id) && !undone.has(undoes)) undone.set(undoes, info);
  }
  return undone;
}

/** A damaged result is no loss: the journal has the same, but for what was refused, which an undo finds out by itself. */
function infoOf(ctx: StoreContext, id: Bytes): Plain | null {
  const dir = commitDir(ctx.stateDir, id);
  const text = readWhole(ctx.kernel, joinBytes(dir, RESULT));
  const info = text === null ? null : sound(() => resultInfo(resultFields(text)));
  if (info?.id === id) return info;
  const header = readHeader(ctx.kernel, dir);
  if (header === null) {
    if (text === null) return null;
    throw new AgentfwError('AFW_COMMIT_BROKEN', `The record of commit ${id} can't be read, nor can its journal.`, { hint: `Move ${toText(dir)} away: what it replaced is in there` });
  }
  const { tag, created, note, counts, digest, undoes } = header;
  return { id, tag, created, note, counts, dropped: 0, digest, undoes, state: text === null ? 'unfinished' : 'landed', kept: null, refused: [] };
}

/** Null for what is damaged. */
function sound<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof FieldError || error instanceof SyntaxError) return null;
    throw error;
  }
}

function resultFields(text: Buffer): Fields {
  return objectField(JSON.parse(text.toString('utf8')), 'result');
}

const KINDS = ['add', 'modify', 'delete', 'type', 'metadata'] as const;

function countsField(value: unknown): Counts {
  const fields = objectField(value, 'counts');
  return Object.fromEntries(KINDS.map((kind) => [kind, numberField(fields[kind], kind)])) as unknown as Counts;
}

function resultInfo(fields: Fields): Plain {
  return {
    id: textField(fields['id'], 'id'),
    tag: textField(fields['tag'], 'tag'),
    created: textField(fields['created'], 'created'),
    note: fields['note'] === null ? null : textField(fields['note'], 'note'),
    counts: countsField(fields['counts']),
    // Earlier builds didn't count them.
    dropped: fields['dropped'] === undefined ? 0 : numberField(fields['dropped'], 'dropped'),
    digest: textField(fields['digest'], 'digest'),
    undoes: fields['undoes'] === null ? null : textField(fields['undoes'], 'undoes'),
    state: fields['pruned'] === true ? 'pruned' : wordField(fields['state'], 'state', ['landed', 'rolled-back']),
    refused: Array.isArray(fields['refused']) ? fields['refused'].map((one) => bytesField(objectField(one, 'refused')['path'], 'path')) : [],
    kept: typeof fields['kept'] === 'number' ? fields['kept'] : null,
  };
}

/** What the git indexes that a commit landed say; none of an older store's. */
export function meaningsOf({ kernel, stateDir }: StoreContext, id: string): Meanings {
  const text = readWhole(kernel, joinBytes(commitDir(stateDir, id as Bytes), RESULT));
  return (text === null ? null : sound(() => indexesIn(resultFields(text)))) ?? new Map<Bytes, string>();
}

function indexesIn({ indexes }: Fields): Meanings {
  const meanings: Meanings = new Map();
  for (const one of Array.isArray(indexes) ? indexes : []) {
    const fields = objectField(one, 'index');
    meanings.set(bytesField(fields['path'], 'path'), textField(fields['says'], 'says'));
  }
  return meanings;
}

function vaultsOf(ctx: StoreContext, id: string): ReadonlySet<Bytes> {
  const main = commitDir(ctx.stateDir, id);
  const roots: readonly Root[] = readHeader(ctx.kernel, main)?.roots ?? [];
  return new Set([main, ...vaultDirs(roots)]);
}

function bytesOf(ctx: StoreContext, id: string): number {
  let bytes = 0;
  for (const dir of vaultsOf(ctx, id)) bytes += blocksIn(ctx.kernel, dir);
  return bytes;
}

function blocksIn(kernel: Kernel, dir: Bytes): number {
  if (kernel.statOrNull(AT_FDCWD, dir) === null) return 0;
  const fd = kernel.open(AT_FDCWD, dir, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  let blocks = 0;
  try {
    for (const { upper } of kernel.walk(fd, null, { family: 'user', compare: false, unreadable: 'unlock' })) blocks += upper.blocks;
  } finally {
    kernel.close(fd);
  }
  return blocks * 512;
}

/** What is dropped of kept commits; both bounds hold. */
export interface PruneOptions {
  /** prune what is older; null: age doesn't matter */
  readonly olderThanMs: number | null;
  /** prune the oldest until no more than this is kept; null: size doesn't matter */
  readonly maxBytes: number | null;
  readonly dryRun: boolean;
  /** a commit that stays whatever its size */
  readonly spare?: string;
  /** what was shown: others stay, whatever landed since */
  readonly only?: ReadonlySet<string>;
  /** told of what of a commit's directory could not be removed */
  readonly onLeft?: (dir: Bytes, left: Leftover) => void;
  /** told of each commit that can't be read */
  readonly onBroken?: (broken: BrokenCommit) => void;
}

/** What was (or would be) pruned, oldest first. The record of a commit stays; what it kept goes. One that can't be read stays whole. */
export function pruneCommits(ctx: StoreContext, options: PruneOptions): readonly CommitInfo[] {
  const { commits, broken } = surveyCommits(ctx);
  for (const one of broken) options.onBroken?.(one);
  const chosen = chooseOld(commits, options, ctx.now().getTime());
  if (options.dryRun || chosen.length === 0) return chosen;
  return withCommitLock(ctx, {}, () => {
    for (const { id } of chosen) for (const left of pruneOne(ctx, id)) options.onLeft?.(commitDir(ctx.stateDir, id), left);
    return chosen;
  });
}

function chooseOld(newestFirst: readonly CommitInfo[], options: PruneOptions, now: number): CommitInfo[] {
  const kept = newestFirst.filter(({ state }) => state === 'landed' || state === 'rolled-back');
  let bytes = kept.reduce((sum, info) => sum + info.bytes, 0);
  const chosen: CommitInfo[] = [];
  for (const info of kept.reverse()) {
    const old = options.olderThanMs !== null && now - Date.parse(info.created) > options.olderThanMs;
    if (info.id === options.spare || options.only?.has(info.id) === false) continue;
    if (!old && (options.maxBytes === null || bytes <= options.maxBytes)) continue;
    chosen.push(info);
    bytes -= info.bytes;
  }
  return chosen;
}

/** First the record says so, so that no crash leaves half of an undo store that looks whole. */
function pruneOne(ctx: StoreContext, id: string): readonly Leftover[] {
  const { kernel, stateDir } = ctx;
  const main = commitDir(stateDir, id);
  const text = readWhole(kernel, joinBytes(main, RESULT));
  if (text === null) return [];
  const away = [...vaultsOf(ctx, id)].find((dir) => isAway(kernel, dir));
  if (away !== undefined) return [{ count: 1, first: new Away(away, main) }];
  const fields = sound(() => (resultInfo(resultFields(text)).id === id ? resultFields(text) : null)) ?? { version: 1, error: null, ...infoOf(ctx, id as Bytes) };
  replaceFile(kernel, joinBytes(main, RESULT), `${JSON.stringify({ ...fields, pruned: true })}\n`);
  const outside = [...vaultsOf(ctx, id)].flatMap((dir) => (dir === main ? [] : (removeVault(kernel, dir) ?? [])));
  const inside = removeIn(kernel, main, (name) => name !== RESULT && name !== JOURNAL);
  return [...outside, ...inside, ...removeIn(kernel, main, (name) => name === JOURNAL)];
}
