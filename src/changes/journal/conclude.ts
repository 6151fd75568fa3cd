import { joinBytes } from '../../bytes.js';
import { errnoOf } from '../../errors.js';
import { encodeBytes } from '../../fields.js';
import { replaceFile } from '../../kernel/files.js';
import type { Stat } from '../../kernel/kernel.js';
import { appendEpochs, type Meanings } from '../capture/epoch.js';
import { writeDone, type Header } from './journal.js';
import { unusual } from './step-table.js';
import { LandedList } from '../apply/landed.js';
import { nothing, type CommitResult, type Counts, type Landed, type Refused } from '../result.js';
import { statPlace, type OpenDirs } from '../apply/open-dirs.js';
import { isMachineError } from '../apply/failure.js';
import { nearOf, type RunError, type Running } from '../apply/run.js';
import type { StoreContext } from '../store-context.js';
import { absolute, below, isIdent, numbered, type Ident, type Place, type Step } from '../plan/step.js';
import { commitDir, removeNear, removeVaults } from '../vault/vault.js';
import { RESULT } from './unfinished.js';

/** What a finished journal did. */
function concluded(header: Header, running: Running, before: readonly Refused[]): CommitResult {
  const landed = new LandedList(running.steps, new Set(running.refused.keys()), (step): Landed => {
    const { kind, type, stripped } = step;
    const side = isOnHost(running, step) ? 'host' : 'layer';
    return { path: absolute(header.roots, step.host), kind, type, side, inside: insideOf(step), stripped };
  });
  const { id, digest } = header;
  const refused = [...before, ...running.refused.values()];
  return { id, state: 'landed', digest, landed, refused, counts: countsOf(running), error: null };
}

function insideOf(step: Step): number {
  return step.inside + step.covers.length;
}

/** False for what was dropped from a layer, or given back to it. */
function isOnHost({ dirs }: Running, { act, host }: Step): boolean {
  return act !== 'drop' && dirs.roots[host.root]?.as === undefined;
}

function countsOf(running: Running): Counts {
  const { steps, refused } = running;
  const counts = { add: 0, modify: 0, delete: 0, type: 0, metadata: 0 };
  for (const [index, step] of numbered(steps)) {
    if (refused.has(index) || !isOnHost(running, step)) continue;
    counts[step.kind === 'rename' ? 'modify' : step.kind] += 1;
    counts.add += step.inside;
    counts.delete += step.covers.length;
  }
  return counts;
}

/** What left a layer without landing; of an undo what came back to it, or left it again. */
function droppedBy(running: Running): number {
  let count = 0;
  const isUndo = running.dirs.roots.some(({ as }) => as !== undefined);
  for (const [index, step] of isUndo ? numbered(running.steps) : unusual(running.steps)) if (!running.refused.has(index) && !isOnHost(running, step)) count += 1;
  return count;
}

interface Concluding {
  readonly header: Header;
  readonly running: Running;
  /** a crash came after the done record: the host may have gone on since */
  readonly isLater?: boolean;
  /** what was refused before the commit point */
  readonly refused: readonly Refused[];
}

/** Step 10: repeated by `recover` until `result.json` is there. A commit of which nothing landed leaves no trace. */
export function conclude(ctx: StoreContext, { header, running, isLater = false, refused }: Concluding): CommitResult {
  const { dirs } = running;
  const near = [...nearOf(running), ...spareNames(running)];
  // Once the disk is well again `recover` removes them; what nobody may remove holds up nothing.
  const ill = removeNear(dirs, near).find(({ first }) => isMachineError(first));
  if (ill !== undefined) throw ill.first;
  // That made the ctime of directories and files new: the time of the record says that it was our doing (I17).
  if (near.length > 0 && !isLater) writeDone(running.writer);
  const result = concluded(header, running, refused);
  // Straight from its preparation a refused file was not written.
  if (result.landed.length === 0 && !keepsOld(running, !running.isFresh)) {
    removeVaults(ctx.kernel, ctx.stateDir, dirs.roots, header.id);
    return nothing(header, result.refused);
  }
  const meanings = appendEpochs(ctx, header, running);
  writeResult(ctx, header, { ...result, dropped: droppedBy(running), kept: keptBytes(running), meanings });
  return result;
}

/** Names in the vault of files that have another one on the host: taken away, or made and then refused. */
function spareNames({ steps, refused, dirs }: Running): Place[] {
  const found: Place[] = [];
  for (const [index, { twin, hold, link, from }] of unusual(steps)) {
    const spare = twin !== null ? hold : link !== null && refused.has(index) ? from : null;
    if (spare !== null && (statPlace(dirs, spare)?.nlink ?? 0) >= 2) found.push(spare);
  }
  return found;
}

const BLOCK = 4096;

/** Disk use of the old objects, from what the journal knows of them; null where it doesn't: of what was dropped. */
function keptBytes({ dirs, steps, refused, writer }: Running): number | null {
  let bytes = onDisk(writer.at);
  for (const [index, { act, keep, old, covers }] of numbered(steps)) {
    if (act === 'drop') return null;
    if (keep === null || old === null || refused.has(index)) continue;
    bytes += useOf(dirs, keep, old);
    for (const { path, ident } of covers) bytes += useOf(dirs, below(keep, path), ident);
  }
  return bytes;
}

/** From here on it is worth a look: a file with holes takes up next to nothing. */
const LARGE = 1024 * 1024;

function useOf(dirs: OpenDirs, place: Place, { size }: Pick<Ident, 'size'>): number {
  const stat = size < LARGE ? null : lookAt(dirs, place);
  return stat === null ? onDisk(size) : stat.blocks * 512;
}

/** What lies in a directory that was closed (`chmod 000`) can't be looked at: no reason to leave a commit unfinished. */
function lookAt(dirs: OpenDirs, place: Place): Stat | null {
  try {
    return statPlace(dirs, place);
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error;
    return null;
  }
}

function onDisk(size: number): number {
  return Math.ceil(size / BLOCK) * BLOCK;
}

/** An old object is in the vault and not back on the host: somebody put another one in its place, or wrote in it. */
function keepsOld(running: Running, isWritten: boolean): boolean {
  const { roots } = running.dirs;
  for (const { act, host, keep, old } of running.steps) {
    if (keep === null || roots[keep.root]?.role !== 'vault') continue;
    if (act === 'write' ? isWritten && !isIdent(statPlace(running.dirs, host), old) : isKept(running, { keep, old })) return true;
  }
  return false;
}

interface Outcome extends CommitResult {
  readonly dropped: number;
  /** null: not known without a look */
  readonly kept: number | null;
  readonly meanings: Meanings;
}

function writeResult({ kernel, stateDir }: StoreContext, header: Header, result: Outcome): void {
  const { id, tag, created, note, digest, undoes } = header;
  const { state, counts, dropped, error, kept } = result;
  const refused = result.refused.map((one) => ({ ...one, path: encodeBytes(one.path) }));
  const indexes = [...result.meanings].map(([path, says]) => ({ path: encodeBytes(path), says }));
  const plain = { version: 1, id, tag, created, note, digest, undoes, state, counts, dropped, refused, error: error?.text ?? null, kept, indexes };
  replaceFile(kernel, joinBytes(commitDir(stateDir, id), RESULT), `${JSON.stringify(plain)}\n`);
}

interface TakenBack {
  readonly header: Header;
  readonly running: Running;
  readonly refused: readonly Refused[];
  readonly error: RunError;
}

/**
 * After a roll-back nothing is left over, unless somebody put another object in
 * the place of one that we had landed: then the old one stays in the vault (I7).
 */
export function takenBack(ctx: StoreContext, { header, running, refused, error }: TakenBack): CommitResult {
  const result: CommitResult = { ...nothing(header, refused), state: 'rolled-back', error };
  if (keepsOld(running, true)) writeResult(ctx, header, { ...result, dropped: 0, kept: null, meanings: new Map() });
  else removeVaults(ctx.kernel, ctx.stateDir, running.dirs.roots, header.id);
  return result;
}

function isKept({ dirs }: Running, { keep, old }: Pick<Step, 'keep' | 'old'>): boolean {
  return keep !== null && isIdent(statPlace(dirs, keep), old);
}
