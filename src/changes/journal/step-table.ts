import type { Bytes } from '../../bytes.js';
import type { Stat } from '../../kernel/kernel.js';
import { numbered, type Step, type Steps } from '../plan/step.js';
import { ACTS, cleaningNumber, columnsFor, KINDS, NO_FORMAT, ORIGIN, originIn, packIdent, packStat, PLACE, TYPES, widened, WORDS, type Columns } from './columns.js';
import { PackedStep } from './packed-step.js';
import { oldPlace, wayTo, WAYS } from './place-paths.js';
import { plainText } from './plain-text.js';
import { encodeStep } from './step.js';

/** A file that leaves its layer for the same path of the host, or the host's that takes the place of its whiteout. */
export interface Move extends Pick<Step, 'kind' | 'type' | 'host' | 'group' | 'clean'> {
  readonly act: 'place' | 'swap' | 'take';
  readonly fresh: Stat | null;
  readonly old: Stat | null;
}

/**
 * The steps of a commit or an undo, of which there may be a million. Nearly all are of one
 * kind, a file that goes between the host and a layer or vault: of these only what can
 * differ is kept, in columns of some eighty bytes a step. The others are kept
 * as they are.
 */
export class StepTable implements Steps {
  length = 0;
  private rows: Columns;
  /** rows that there is room for */
  private most: number;
  private readonly odd = new Map<number, Step>();

  constructor(most = 256) {
    this.most = most;
    this.rows = columnsFor(most);
  }

  push(step: Step): void {
    const index = this.grown();
    if (isPlain(step)) pack(this.rows, index, step);
    else this.odd.set(index, step);
  }

  /** As `push` of the step that it comes to. */
  pushMove(move: Move): void {
    const index = this.grown();
    packMove(this.rows, index, move);
  }

  at(index: number): Step | undefined {
    if (index >= this.length) return undefined;
    return this.odd.get(index) ?? new PackedStep(this.rows, index);
  }

  *[Symbol.iterator](): Generator<Step> {
    for (let index = 0; index < this.length; index += 1) yield this.at(index) as Step;
  }

  /** What the journal says of each. */
  *texts(): Generator<string> {
    for (let index = 0; index < this.length; index += 1) {
      const step = this.odd.get(index);
      yield step === undefined ? plainText(this.rows, index) : encodeStep(step);
    }
  }

  /** Those that are not plain, and of the plain ones in one directory the first of each kind: for what only directories matter to. */
  *perDirectory(): Generator<Step> {
    const { paths, roots, words } = this.rows;
    let last = { root: -1, prefix: '', ways: NO_WAYS };
    for (let index = 0; index < this.length; index += 1) {
      const path = paths[index];
      if (path === undefined) {
        yield this.at(index) as Step;
        continue;
      }
      const root = roots[index] as number;
      const slash = path.lastIndexOf('/') + 1;
      if (root !== last.root || slash !== last.prefix.length || !path.startsWith(last.prefix)) last = { root, prefix: path.slice(0, slash), ways: [] };
      const at = WORDS * index;
      const ways = ((words[at + PLACE.from] as number) << 16) | ((words[at + PLACE.hold] as number) << 8) | (words[at + PLACE.keep] as number);
      if (last.ways.includes(ways)) continue;
      last.ways.push(ways);
      yield this.at(index) as Step;
    }
  }

  /** Those that are not plain, with their numbers. */
  unusual(): Iterable<readonly [number, Step]> {
    return this.odd;
  }

  /** What the steps of a host root have in its layer; null where none is of it. */
  namesInLayer(root: number): ReadonlySet<Bytes> | null {
    const names = new Set<Bytes>();
    const { paths, roots, words } = this.rows;
    let any = false;
    for (let index = 0; index < this.length; index += 1) {
      const path = paths[index];
      if (path === undefined) any = addLayerNames(names, this.odd.get(index) as Step, root) || any;
      else if (roots[index] === root) {
        any = true;
        const [from, hold] = [words[WORDS * index + PLACE.from], words[WORDS * index + PLACE.hold]];
        if (from === WAYS.layer || hold === WAYS.layer) names.add(path);
        if (from === WAYS.kept || hold === WAYS.kept) names.add(oldPlace({ root, path }).path);
      }
    }
    return any ? names : null;
  }

  /** The number of one more, for which there is room. */
  private grown(): number {
    const index = this.length;
    if (index === this.most) {
      this.most = 2 * this.most + 1;
      this.rows = widened(this.rows, this.most);
    }
    this.length += 1;
    return index;
  }
}

const NO_WAYS: number[] = [];

/** False: it is of another root. */
function addLayerNames(names: Set<Bytes>, { from, spent, hold, host }: Step, root: number): boolean {
  if (host.root !== root) return false;
  for (const place of [from, spent?.at, hold]) if (place?.root === root + 1) names.add(place.path);
  return true;
}

/** Those that may be no file which goes between the host and the layer or vault of the same place, with their numbers. */
export function unusual(steps: Steps): Iterable<readonly [number, Step]> {
  return steps instanceof StepTable ? steps.unusual() : numbered(steps);
}

/** The same steps without some. */
export function stepsWhere(steps: Steps, test: (step: Step) => boolean): StepTable {
  const table = new StepTable(steps.length);
  for (const step of steps) if (test(step)) table.push(step);
  return table;
}

function isPlain(step: Step): boolean {
  const { act, kind, type, host, from, hold, keep, clean, tree, inside, covers, meta, spent, locked, stripped, old, fresh, link, twin } = step;
  if (tree || inside > 0 || covers.length > 0 || meta !== null || spent !== null || locked !== null || link !== null || twin !== null || stripped.length > 0) return false;
  if (!ACTS.includes(act) || !KINDS.includes(kind) || !TYPES.includes(type) || (originIn(clean) === null && cleaningNumber(clean) < 0)) return false;
  if (old?.fmt === NO_FORMAT || fresh?.fmt === NO_FORMAT) return false;
  const [first, second, third] = [wayTo(from, host), wayTo(hold, host), wayTo(keep, host)];
  if (first === null || second === null || third === null) return false;
  // One number of a step is enough for both.
  return second !== WAYS.taken || third !== WAYS.taken || hold?.path === keep?.path;
}

function pack(rows: Columns, index: number, step: Step): void {
  const { host, from, hold, keep } = step;
  packWords(rows, index, step);
  const at = WORDS * index;
  const { words } = rows;
  words[at + PLACE.from] = wayTo(from, host) ?? 0;
  words[at + PLACE.hold] = wayTo(hold, host) ?? 0;
  words[at + PLACE.keep] = wayTo(keep, host) ?? 0;
  const taken = words[at + PLACE.keep] === WAYS.taken ? keep : words[at + PLACE.hold] === WAYS.taken ? hold : null;
  rows.taken[index] = taken === null ? 0 : Number(taken.path.slice('taken/'.length));
  packIdent(rows, 2 * index, step.fresh);
  packIdent(rows, 2 * index + 1, step.old);
}

/** All but its places and the two objects. */
function packWords(rows: Columns, index: number, { act, kind, type, host, clean, group }: Pick<Step, 'act' | 'kind' | 'type' | 'host' | 'clean' | 'group'>): void {
  rows.paths[index] = host.path;
  rows.roots[index] = host.root;
  rows.groups[index] = group;
  const at = WORDS * index;
  const { words } = rows;
  words[at] = ACTS.indexOf(act);
  words[at + 1] = KINDS.indexOf(kind);
  words[at + 2] = TYPES.indexOf(type);
  const origin = originIn(clean) ?? undefined;
  words[at + 3] = origin === undefined ? cleaningNumber(clean) : ORIGIN;
  rows.origins[index] = origin;
}

function packMove(rows: Columns, index: number, move: Move): void {
  const { act, fresh, old } = move;
  packWords(rows, index, move);
  const at = WORDS * index;
  const { words } = rows;
  words[at + PLACE.from] = act === 'take' ? WAYS.none : WAYS.layer;
  words[at + PLACE.hold] = act === 'place' ? WAYS.none : WAYS.layer;
  words[at + PLACE.keep] = act === 'place' ? WAYS.none : WAYS.old;
  packStat(rows, 2 * index, fresh);
  packStat(rows, 2 * index + 1, old);
}
