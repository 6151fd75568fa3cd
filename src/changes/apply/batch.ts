import { constants } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import type { Kernel } from '../../kernel/kernel.js';
import { dirFd, type OpenDirs } from './open-dirs.js';
import { PackedStep } from '../journal/packed-step.js';
import { dirOf, type Ident, type Place, type Step, type Steps } from '../plan/step.js';

/**
 * Most steps of a big commit are one rename with its checks. Those go to the
 * kernel seam in batches, a lane per directory; what is unusual in one of them
 * is left to `landStep`. Steps are independent of each other (I4), so neither
 * order nor an end in the middle matters.
 */
export type LandBatch = NonNullable<Kernel['landBatch']>;

/** native/batch.cc */
const ACT = { place: 0, swap: 1, take: 2 } as const;
const FLAG = { clean: 1, keepCapability: 2, overWhiteout: 4 } as const;
const STEP_BYTES = 88;
const DONE = 1;
/** Directories open at once: fewer than `OpenDirs` keeps. */
const MOST_DIRS = 64;
const MOST_STEPS = 4096;
const THREADS = 2;

/** The part of a step that a batch needs. */
type Packed = Pick<Step, 'host' | 'fresh' | 'old' | 'clean'> & { readonly act: keyof typeof ACT };

interface Simple {
  readonly index: number;
  readonly step: Packed;
  readonly host: Place;
  readonly hostDir: Bytes;
  /** in the layer or the vault: where the new object comes from, or the old one goes */
  readonly other: Place;
  readonly otherDir: Bytes;
}

function simpleOf(index: number, step: Packed, other: Place): Simple {
  const { host } = step;
  const hostDir = dirOf(host.path);
  // Most have the same path in the layer.
  return { index, step, host, hostDir, other, otherDir: other.path === host.path ? hostDir : dirOf(other.path) };
}

/** Steps that are landed by the addon, many per call. */
export interface Batching {
  readonly dirs: OpenDirs;
  readonly steps: Steps;
  readonly keepSpecial: boolean;
  readonly landBatch: LandBatch;
  /** called with the number of steps that are through */
  readonly onDone: (count: number) => void;
}

/** Numbers of steps, a byte each: there may be a million. */
export class Marks {
  private readonly bytes: Uint8Array;
  size = 0;

  constructor(length: number) {
    this.bytes = new Uint8Array(length);
  }
  has(index: number): boolean {
    return this.bytes[index] === 1;
  }
  add(index: number): void {
    this.bytes[index] = 1;
    this.size += 1;
  }
}

/** Lands what is simple; returns the numbers of the steps that are done. */
export function landSimple(batching: Batching): Marks {
  return runAll(batching, simpleIn(batching.steps));
}

function* simpleIn(steps: Steps): Generator<Simple> {
  let index = 0;
  for (const step of steps) {
    const other = otherPlace(step);
    if (other !== null) yield simpleOf(index, step as Packed, other);
    index += 1;
  }
}

/** A file that goes from one place of ours to another. */
export interface Transfer {
  /** the number of its step */
  readonly index: number;
  readonly from: Place;
  readonly to: Place;
  readonly ident: Ident;
}

/** Moves files between layers and vaults, into directories that exist; returns the numbers of those that moved. */
export function moveSimple(batching: Batching, transfers: Iterable<Transfer>): Marks {
  return runAll(batching, placesOf(transfers));
}

function* placesOf(transfers: Iterable<Transfer>): Generator<Simple> {
  for (const { index, from, to, ident } of transfers) {
    yield simpleOf(index, { act: 'place', host: to, fresh: ident, old: null, clean: null }, from);
  }
}

/** In windows, in the order in which they come: what follows in one directory is one lane. */
function runAll(batching: Batching, all: Iterable<Simple>): Marks {
  const done = new Marks(batching.steps.length);
  let window: Window = { lanes: [], dirs: 0, count: 0, last: null };
  for (const simple of all) {
    if (window.dirs >= MOST_DIRS || window.count >= MOST_STEPS) {
      runWindow(batching, window.lanes, done);
      window = { lanes: [], dirs: 0, count: 0, last: null };
    }
    addTo(window, simple);
  }
  if (window.count > 0) runWindow(batching, window.lanes, done);
  return done;
}

interface Window {
  readonly lanes: Simple[][];
  /** directories that it needs open */
  dirs: number;
  count: number;
  /** the step before */
  last: Simple | null;
}

function addTo(window: Window, simple: Simple): void {
  const { last } = window;
  const isNext = last === null || last.host.root !== simple.host.root || last.hostDir !== simple.hostDir;
  if (isNext) window.lanes.push([]);
  window.dirs += (isNext ? 1 : 0) + (last !== null && isSameOther(last, simple) ? 0 : 1);
  window.lanes.at(-1)?.push(simple);
  window.last = simple;
  window.count += 1;
}

function isSameOther(a: Simple, b: Simple): boolean {
  return a.other.root === b.other.root && a.otherDir === b.otherDir;
}

/** null: not simple. */
function otherPlace(step: Step): Place | null {
  // Asked for one by one, what it can't be anyway takes longer than all the rest.
  if (!(step instanceof PackedStep)) return otherOf(step);
  if (!step.simple) return null;
  return step.act === 'take' ? step.hold : step.from;
}

function otherOf({ act, group, tree, covers, clean, fresh, old, from, hold, link, twin }: Step): Place | null {
  if (act === 'meta' || act === 'write' || act === 'drop') return null;
  if (group !== 0 || link !== null || twin !== null || tree || covers.length > 0 || fresh?.fmt === constants.S_IFDIR || old?.fmt === constants.S_IFDIR) return null;
  if (clean !== null && clean.whiteouts.length + clean.modes.length > 0) return null;
  return act === 'take' ? hold : from;
}

function runWindow(batching: Batching, window: readonly (readonly Simple[])[], done: Marks): void {
  const { landBatch } = batching;
  const count = window.reduce((sum, lane) => sum + lane.length, 0);
  const packing: Packing = { batching, view: viewOf(count), names: [], offset: 0, packed: [], last: null };
  const lanes: number[] = [];
  for (const lane of window) {
    for (const simple of lane) pack(packing, simple);
    lanes.push(packing.packed.length);
  }
  const { packed, names, view } = packing;
  const status = new Uint8Array(packed.length);
  const text = Buffer.from(`${names.join('\0')}\0`, 'latin1');
  const steps = Buffer.from(view.narrow.buffer, 0, packed.length * STEP_BYTES);
  landBatch({ steps, names: text, lanes: Uint32Array.from(lanes), status, threads: THREADS, most: Number.MAX_SAFE_INTEGER });
  packed.forEach((index, at) => {
    if (status[at] === DONE) done.add(index);
  });
  batching.onDone(done.size);
}

/** The same memory as the widths that its fields have. */
interface View {
  readonly narrow: Uint32Array;
  readonly unsigned: BigUint64Array;
  readonly signed: BigInt64Array;
}

function viewOf(count: number): View {
  const memory = new ArrayBuffer(count * STEP_BYTES);
  return { narrow: new Uint32Array(memory), unsigned: new BigUint64Array(memory), signed: new BigInt64Array(memory) };
}

interface Packing {
  readonly batching: Batching;
  readonly view: View;
  readonly names: string[];
  /** of the next name among all */
  offset: number;
  /** numbers of the packed steps */
  readonly packed: number[];
  /** a step before, and its directories: most steps have the same */
  last: { readonly simple: Simple; readonly fds: readonly [number, number] } | null;
}

/** Left out when a directory can't be opened: `landStep` will say why. */
function pack(packing: Packing, simple: Simple): void {
  const { batching, view, packed } = packing;
  const { dirs, keepSpecial } = batching;
  const { index, step, host, hostDir, other, otherDir } = simple;
  const fds = dirsOf(packing, simple);
  if (fds === null) return;
  const over = step.act === 'take' && dirs.roots[other.root]?.role === 'layer' ? FLAG.overWhiteout : 0;
  const clean = (step.clean === null ? 0 : FLAG.clean) | (keepSpecial ? FLAG.keepCapability : 0);
  const at = (packed.length * STEP_BYTES) / 4;
  const { narrow } = view;
  narrow[at] = ACT[step.act];
  narrow[at + 1] = clean | over;
  narrow[at + 2] = fds[0];
  narrow[at + 3] = fds[1];
  const name = nameIn(host.path, hostDir);
  const otherName = other.path === host.path ? name : nameIn(other.path, otherDir);
  const hostName = nameAt(packing, name);
  narrow[at + 4] = hostName;
  narrow[at + 5] = otherName === name ? hostName : nameAt(packing, otherName);
  packIdent(view, at + 6, step.fresh);
  packIdent(view, at + 14, step.old);
  packed.push(index);
}

function nameAt(packing: Packing, name: Bytes): number {
  const at = packing.offset;
  packing.names.push(name);
  packing.offset += name.length + 1;
  return at;
}

function nameIn(path: Bytes, dir: Bytes): Bytes {
  return (dir === '' ? path : path.slice(dir.length + 1)) as Bytes;
}

/** Null where one can't be opened. */
function dirsOf(packing: Packing, simple: Simple): readonly [number, number] | null {
  const { last, batching } = packing;
  const { host, hostDir, other, otherDir } = simple;
  if (last !== null && last.simple.host.root === host.root && last.simple.hostDir === hostDir && isSameOther(last.simple, simple)) return last.fds;
  try {
    const fds = [dirFd(batching.dirs, host.root, hostDir), dirFd(batching.dirs, other.root, otherDir)] as const;
    packing.last = { simple, fds };
    return fds;
  } catch {
    return null;
  }
}

function packIdent({ narrow, unsigned, signed }: View, at: number, ident: Ident | null): void {
  if (ident === null) return;
  unsigned[at / 2] = ident.ino;
  narrow[at + 2] = ident.size % 0x1_0000_0000;
  narrow[at + 3] = Math.floor(ident.size / 0x1_0000_0000);
  signed[at / 2 + 2] = ident.mtimeNs;
  narrow[at + 6] = ident.fmt;
}
