import { constants } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import { joinBytes, toText } from '../../bytes.js';
import { AgentfwError } from '../../errors.js';
import { bytesField, encodeBytes, FieldError, listField, numberField, objectField, textField, wordField, type JsonBytes } from '../../fields.js';
import { openOwn } from '../../kernel/files.js';
import { AT_FDCWD, type Fd, type Kernel } from '../../kernel/kernel.js';
import { nodeDisk, type Disk } from '../apply/disk.js';
import { frameOf, framesIn, writeFrame, writeList, type FrameWriter } from './frames.js';
import type { Emptied, Header, Journal } from './form.js';
import { decodeSteps, encodeStep } from './step.js';
import { StepTable } from './step-table.js';
import { inPlace } from './moved.js';
import { isVersion0, readVersion0 } from './v0.js';
import type { Lend } from '../apply/locked.js';
import type { Counts, Refused } from '../result.js';
import type { Place, Root, Steps, Unmark } from '../plan/step.js';

export const JOURNAL = 'plan' as Bytes;
const VERSION = 1;
/** Kept free behind the commit record, so that an abort can be written on a full disk. */
const RESERVE = 4096;

export type { Emptied, Header, Journal } from './form.js';

/** Throws `KernelError`: EEXIST where the directory has one. The caller ends with `closeJournal`. */
export function createJournal(kernel: Kernel, dir: Bytes, disk: Disk | undefined): FrameWriter {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  return { fd: kernel.open(AT_FDCWD, joinBytes(dir, JOURNAL), flags, 0o600), disk: disk ?? nodeDisk, at: 0 };
}

/** Goes on in a journal that was read. */
export function reopenJournal(
  kernel: Kernel,
  dir: Bytes,
  { disk, end }: { readonly disk: Disk | undefined; readonly end: number },
): FrameWriter {
  const fd = openOwn(kernel, joinBytes(dir, JOURNAL), constants.O_RDWR);
  return { fd, disk: disk ?? nodeDisk, at: end };
}

/** The first record: without it nothing in the file counts. */
export function writeHeader(writer: FrameWriter, header: Header): void {
  const roots = header.roots.map(({ dir, as, ...root }) => ({ ...root, dir: encodeBytes(dir), ...(as === undefined ? {} : { as: encodeBytes(as) }) }));
  writeFrame(writer, 'H', Buffer.from(JSON.stringify({ ...header, roots }), 'utf8').toString('latin1'));
}

/** A whole journal's content: what the commit point made sure of. */
export interface Settled {
  readonly steps: Steps;
  readonly unmark: readonly Unmark[];
  readonly emptied: readonly Emptied[];
  readonly lends: readonly Lend[];
  readonly digest: string;
}

/** Named before they are made, so that no crash leaves one that nobody knows of. */
export function writeDrafts(writer: FrameWriter, places: readonly Place[]): void {
  writeList(writer, 'D', mapped(places, ({ root, path }) => `${root}\0${path}\0`));
}

function* mapped<T>(items: Iterable<T>, encode: (item: T) => string): Generator<string> {
  for (const item of items) yield encode(item);
}

/** All steps and the commit record; the caller makes it durable. */
export function writeSteps(writer: FrameWriter, { steps, unmark, emptied, lends, digest }: Settled): void {
  if (unmark.length > 0) writeList(writer, 'O', mapped(unmark, ({ root, path, group }) => `${root}\0${path}\0${group}\0`));
  if (emptied.length > 0) writeFrame(writer, 'T', emptied.map(({ layer, ino }) => `${layer} ${ino}\0`).join(''));
  if (lends.length > 0) writeList(writer, 'L', mapped(lends, ({ root, path, mode }) => `${root}\0${path}\0${mode}\0`));
  writeList(writer, 'S', steps instanceof StepTable ? steps.texts() : mapped(steps, encodeStep));
  const commit = frameOf('C', `${steps.length} ${digest}`);
  writer.disk.write(writer.fd, Buffer.concat([commit, Buffer.alloc(RESERVE)]), writer.at);
  writer.at += commit.length;
}

/** A step that was refused after the commit point; `index` is its number among the steps. */
export function writeRefused(writer: FrameWriter, index: number, refused: Refused): void {
  const { path, ...rest } = refused;
  const text = JSON.stringify({ ...rest, index, path: encodeBytes(path) });
  writeFrame(writer, 'X', Buffer.from(text, 'utf8').toString('latin1'));
}

/** All was taken back; `text` says why, in at most 500 UTF-16 units. */
export function writeAbort(writer: FrameWriter, text: string): void {
  writeFrame(writer, 'A', Buffer.from(text.slice(0, 500), 'utf8').toString('latin1'));
}

/** The last record: a recovery has nothing to do with it. */
export function writeDone(writer: FrameWriter): void {
  writeFrame(writer, 'F', '');
}

/** Does not sync: whoever needs that did so before. */
export function closeJournal(kernel: Kernel, writer: FrameWriter): void {
  kernel.close(writer.fd);
}

/** null: nothing whole in it, not even a header. */
export function readJournal(kernel: Kernel, dir: Bytes): Journal | null {
  const path = joinBytes(dir, JOURNAL);
  if (kernel.statOrNull(AT_FDCWD, path) === null) return null;
  const fd = openOwn(kernel, path, constants.O_RDONLY);
  try {
    const journal = isVersion0(fd) ? version0(fd, dir) : readFrames(fd);
    return journal === null ? null : { ...journal, header: placed(journal.header, dir) };
  } finally {
    kernel.close(fd);
  }
}

/** Who made which commit, without its steps. */
export function readHeader(kernel: Kernel, dir: Bytes): Header | null {
  const path = joinBytes(dir, JOURNAL);
  if (kernel.statOrNull(AT_FDCWD, path) === null) return null;
  const fd = openOwn(kernel, path, constants.O_RDONLY);
  try {
    if (isVersion0(fd)) return placed(version0(fd, dir).header, dir);
    for (const { kind, body } of framesIn(fd)) return kind === 'H' ? placed(decodeHeader(body), dir) : null;
    return null;
  } finally {
    kernel.close(fd);
  }
}

function version0(fd: Fd, dir: Bytes): Journal {
  try {
    return readVersion0(fd);
  } catch (cause) {
    if (!(cause instanceof FieldError || cause instanceof SyntaxError)) throw cause;
    const file = toText(joinBytes(dir, JOURNAL));
    throw new AgentfwError('AFW_COMMIT_BROKEN', `The journal ${file} can't be read, damaged or of a version that isn't known: move its directory away, and take from it what you need.`, { cause });
  }
}

function placed(header: Header, dir: Bytes): Header {
  return { ...header, roots: inPlace(header.roots, dir) };
}

function readFrames(fd: number): Journal | null {
  let header: Header | null = null;
  const drafts: Place[] = [];
  const steps = new StepTable();
  const unmark: Unmark[] = [];
  const emptied: Emptied[] = [];
  const lends: Lend[] = [];
  const refused = new Map<number, Refused>();
  let state: Journal['state'] = 'draft';
  let end = 0;
  for (const frame of framesIn(fd)) {
    if (frame.kind === 'H') header = decodeHeader(frame.body);
    if (header === null) return null;
    if (frame.kind === 'D') append(drafts, decodePlaces(frame.body));
    if (frame.kind === 'O') append(unmark, triplesIn(frame.body).map(({ root, path, number }) => ({ root, path, group: number })));
    if (frame.kind === 'T') emptied.push(...decodeEmptied(frame.body));
    if (frame.kind === 'L') append(lends, triplesIn(frame.body).map(({ root, path, number }) => ({ root, path, mode: number })));
    if (frame.kind === 'S') for (const step of decodeSteps(frame.body)) steps.push(step);
    if (frame.kind === 'C' && frame.body === `${steps.length} ${header.digest}`) state = 'committed';
    if (frame.kind === 'X') noteRefused(refused, frame.body);
    if (frame.kind === 'A') state = 'aborted';
    if (frame.kind === 'F') state = 'done';
    end = frame.end;
  }
  return header === null ? null : { header, drafts, steps, unmark, emptied, lends, state, refused, end };
}

/** A spread would put every item on the stack. */
function append<T>(list: T[], more: readonly T[]): void {
  for (const item of more) list.push(item);
}

function decodePlaces(body: string): Place[] {
  const fields = body.split('\0');
  const places: Place[] = [];
  for (let at = 0; at + 1 < fields.length; at += 2) places.push({ root: Number(fields[at]), path: fields[at + 1] as Bytes });
  return places;
}

function triplesIn(body: string): { root: number; path: Bytes; number: number }[] {
  const fields = body.split('\0');
  const triples: { root: number; path: Bytes; number: number }[] = [];
  for (let at = 0; at + 2 < fields.length; at += 3) {
    triples.push({ root: Number(fields[at]), path: fields[at + 1] as Bytes, number: Number(fields[at + 2]) });
  }
  return triples;
}

function decodeEmptied(body: string): Emptied[] {
  return body.split('\0').slice(0, -1).map((field) => {
    const [layer = '', ino = ''] = field.split(' ');
    return { layer: Number(layer), ino: BigInt(ino) };
  });
}

function noteRefused(refused: Map<number, Refused>, body: string): void {
  const { index, path, ...rest } = JSON.parse(Buffer.from(body, 'latin1').toString('utf8')) as Omit<Refused, 'path'> & {
    readonly index: number;
    readonly path: JsonBytes;
  };
  refused.set(index, { ...rest, path: bytesField(path, 'path') });
}

/** Throws `AFW_STORE_VERSION` for another version than ours, `FieldError` or `SyntaxError` for what is none. */
export function decodeHeader(body: string): Header {
  const fields = objectField(JSON.parse(Buffer.from(body, 'latin1').toString('utf8')), 'header');
  const version = numberField(fields['version'], 'version');
  if (version !== VERSION) throw newerJournal(version);
  return {
    version,
    id: textField(fields['id'], 'id'),
    tag: textField(fields['tag'], 'tag'),
    created: textField(fields['created'], 'created'),
    note: fields['note'] === null ? null : textField(fields['note'], 'note'),
    digest: textField(fields['digest'], 'digest'),
    counts: fields['counts'] as Counts,
    undoes: fields['undoes'] === null ? null : textField(fields['undoes'], 'undoes'),
    keepSpecial: fields['keepSpecial'] === true,
    roots: listField(fields['roots'], 'roots').map(decodeRoot),
  };
}

function decodeRoot(value: unknown): Root {
  const { role, dir, family, as, object } = objectField(value, 'root');
  return {
    ...(object === undefined ? {} : { object: textField(object, 'object') }),
    ...(as === undefined ? {} : { as: bytesField(as, 'as') }),
    role: wordField(role, 'role', ['host', 'layer', 'vault']),
    dir: bytesField(dir, 'dir'),
    family: wordField(family, 'family', ['user', 'trusted']),
  };
}

function newerJournal(version: number): AgentfwError {
  return new AgentfwError('AFW_STORE_VERSION', `A commit's journal has version ${version}, this version of agentfw reads ${VERSION}.`, {
    hint: 'Use the version of agentfw that made it',
  });
}
