import type { Bytes } from '../bytes.js';
import { cleaningOf } from './cleaning.js';
import type { Draft, Plan } from './draft.js';
import { Moved, type Duplicating } from './duplicate.js';
import { isMachineError, refusalFor } from './failure.js';
import type { Emptied } from './journal.js';
import { prepareEmptied } from './emptied.js';
import { refused } from './refusal.js';
import type { Refused } from './result.js';
import { dirFd, makeRoom, statPlace, type Rooms } from './rooms.js';
import { keepCopy, stage, type Staging } from './stage.js';
import { below, identOf, isWhiteout, splitPath, type Place, type Step, type Unmark } from './step.js';
import { metaFor } from './stepmeta.js';
import { findMarked } from './unmark.js';

export interface Prepared {
  readonly steps: readonly Step[];
  readonly unmark: readonly Unmark[];
  readonly emptied: readonly Emptied[];
  readonly refused: readonly Refused[];
}

/** How one planned step will really be done. */
export interface Method {
  readonly draft: Draft;
  /** names the step's files in the vault */
  readonly n: number;
  readonly move: boolean;
  /** old and new object can be renamed into the vault */
  readonly vault: boolean;
}

export interface Preparing extends Duplicating {
  readonly rooms: Rooms;
  readonly id: string;
  readonly plan: Plan;
  readonly refused: Refused[];
}

/**
 * Finds out per target directory what is possible there: the kernel, not the
 * plan, knows about subvolumes, mounts and directories that went away (I6).
 */
export function chooseMethods(preparing: Preparing): Method[] {
  const { rooms, plan } = preparing;
  const devs = new Map<Bytes, { readonly dev: bigint } | { readonly error: unknown }>();
  const methods: Method[] = [];
  const shifted = new Set(plan.steps.filter((step) => step.layerEntry === 'shift').map((step) => step.group));
  plan.steps.forEach((draft, n) => {
    if (draft.act === 'drop') return void methods.push({ draft, n, move: false, vault: true });
    const { dir } = splitPath(draft.host.path);
    const key = `${draft.host.root}/${dir}` as Bytes;
    const later = shifted.has(draft.group) && draft.layerEntry !== 'shift';
    let found = devs.get(key);
    if (found === undefined) devs.set(key, (found = later ? { dev: devOf(rooms, draft.layer) } : hostDev(rooms, draft.host.root, dir)));
    if ('error' in found) {
      preparing.refused.push(refusalFor(draft.path, found.error, 'parent'));
      return;
    }
    const vault = (plan.movable[draft.layer] ?? false) && found.dev === devOf(rooms, draft.layer);
    methods.push({ draft, n, vault, move: draft.method === 'move' && vault });
  });
  return methods;
}

function hostDev(rooms: Rooms, root: number, dir: Bytes): { readonly dev: bigint } | { readonly error: unknown } {
  try {
    return { dev: rooms.kernel.stat(dirFd(rooms, root, dir), '' as Bytes).dev };
  } catch (error) {
    if (isMachineError(error)) throw error;
    return { error };
  }
}

const vaultDevs = new WeakMap<Rooms, bigint[]>();

function devOf(rooms: Rooms, layer: number): bigint {
  const known = vaultDevs.get(rooms) ?? [];
  vaultDevs.set(rooms, known);
  return (known[layer] ??= statPlace(rooms, { root: 3 * layer + 2, path: '' as Bytes })?.dev ?? 0n);
}

/** Where a staged object of a step lies beside its target; null when it goes to the vault or nothing is staged. */
export function nearPlace(preparing: Preparing, method: Method): Place | null {
  const { draft, n, vault } = method;
  if (vault || draft.act === 'meta' || draft.act === 'write' || draft.act === 'drop') return null;
  const { dir } = splitPath(draft.host.path);
  const name = `.agentfw-${preparing.id}-${n}`;
  return { root: draft.host.root, path: (dir === '' ? name : `${dir}/${name}`) as Bytes };
}

/** Makes what has to exist before the commit point, and turns planned steps into durable ones. */
export function prepare(preparing: Preparing, methods: readonly Method[]): Prepared {
  const staging: Staging = { ...preparing, linked: new Map() };
  const steps: Step[] = [];
  for (const method of methods) {
    const step = prepared(staging, method);
    if (step !== null) steps.push(step);
  }
  const whole = withoutHalves(preparing, methods, steps);
  const unmark = findMarked(preparing.rooms, whole, preparing.plan.unmark);
  return { steps: whole, unmark, emptied: prepareEmptied(preparing, whole), refused: preparing.refused };
}

function prepared(staging: Staging, method: Method): Step | null {
  try {
    return stepFor(staging, method);
  } catch (error) {
    if (isMachineError(error)) throw error;
    const { path } = method.draft;
    staging.refused.push(
      error instanceof Moved
        ? refused({ path }, 'failed', { text: 'it changed after it was looked at', code: 'ESTALE' })
        : refusalFor(path, error),
    );
    return null;
  }
}

/** I11: what belongs to a refused step is refused too. */
function withoutHalves(preparing: Preparing, methods: readonly Method[], steps: readonly Step[]): readonly Step[] {
  const wanted = new Map<number, number>();
  for (const { group } of preparing.plan.steps) wanted.set(group, (wanted.get(group) ?? 0) + 1);
  for (const { group } of steps) wanted.set(group, (wanted.get(group) ?? 0) - 1);
  const halves = new Set([...wanted].filter(([group, missing]) => group !== 0 && missing > 0).map(([group]) => group));
  if (halves.size === 0) return steps;
  for (const { draft } of methods) {
    if (halves.has(draft.group) && !preparing.refused.some(({ path }) => path === draft.path)) {
      preparing.refused.push(refused(draft, 'with', { text: 'the other half of its rename was refused' }));
    }
  }
  return steps.filter(({ group }) => !halves.has(group));
}

/** `old/LAYER/…` mirrors the paths of a layer. */
function oldPlace(draft: Draft): Place {
  return below({ root: 3 * draft.layer + 2, path: `old/${draft.layer}` as Bytes }, draft.host.path);
}

function stepFor(staging: Staging, method: Method): Step {
  const { draft, n } = method;
  const { act, kind, type, host, group } = draft;
  const base = {
    ...{ act, kind, type, host, group },
    ...{ tree: draft.entries !== null || draft.layerEntry === 'shift', inside: draft.entries?.length ?? 0 },
    ...{ from: null, hold: null, keep: null, fresh: null, clean: null, meta: null, stripped: strippedOf(draft, staging) },
    old: draft.old === null ? null : identOf(draft.old),
    covers: draft.covers,
    spent: spentOf(staging, draft),
  };
  const taken: Place = { root: 3 * draft.layer + 2, path: `taken/${n}` as Bytes };
  if (act === 'drop') return { ...base, old: null, spent: base.spent ?? spentEntry(staging, draft) };
  if (act === 'take') return { ...base, ...takePlaces(staging, method, taken) };
  if (act === 'meta') return { ...base, ...metaFor(staging, draft) };
  if (act === 'write') {
    const from = draft.layerEntry === 'spent' && draft.composed === null ? draft.source : stage(staging, method);
    keepCopy(staging, draft, taken);
    return { ...base, from, hold: taken, keep: taken, ...metaFor(staging, draft), fresh: freshOf(staging, from) };
  }
  if (method.move) return { ...base, ...moveOf(staging, draft) };
  const from = stage(staging, method);
  const near = from.root === host.root;
  const keep = act !== 'swap' ? null : near ? taken : from;
  if (near && act === 'swap') keepCopy(staging, draft, taken);
  return { ...base, from, hold: act === 'swap' ? from : null, keep, fresh: freshOf(staging, from) };
}

function freshOf({ rooms }: Staging, from: Place | null): Step['fresh'] {
  const stat = from === null ? null : statPlace(rooms, from);
  return stat === null ? null : identOf(stat);
}

function moveOf(staging: Staging, draft: Draft): Pick<Step, 'from' | 'hold' | 'keep' | 'fresh' | 'clean'> {
  const { act, source, fresh } = draft;
  const swap = act === 'swap';
  return {
    from: source,
    hold: swap ? source : null,
    keep: swap ? oldPlace(draft) : null,
    fresh: fresh === null ? null : identOf(fresh),
    clean: draft.layerEntry === 'shift' || staging.plan.undoes !== null ? null : cleaningOf(staging, draft),
  };
}

/** A deleted file takes the place of its whiteout, so that a whole layer can go at once; a directory can't. */
function takePlaces(staging: Staging, { draft, vault, n, move }: Method, taken: Place): Pick<Step, 'hold' | 'keep' | 'spent'> {
  const spent = spentOf(staging, draft);
  if (move && spent !== null && draft.type !== 'dir') return { hold: draft.source, keep: oldPlace(draft), spent: null };
  if (vault) {
    makeRoom(staging.rooms, taken);
    return { hold: taken, keep: taken, spent };
  }
  keepCopy(staging, draft, taken);
  const hold = nearPlace(staging, { draft, vault, n, move });
  return { hold, keep: taken, spent };
}

/** A spent whiteout; that of a moved entry is the entry itself. */
function spentOf(staging: Staging, draft: Draft): Step['spent'] {
  const { layerEntry, source } = draft;
  if (layerEntry === 'spent') return spentEntry(staging, draft);
  if (source === null || (layerEntry !== 'whiteout' && layerEntry !== 'shift')) return null;
  const at: Place = layerEntry === 'shift' ? { root: 3 * draft.layer + 1, path: source.path } : source;
  const stat = statPlace(staging.rooms, at);
  return stat !== null && isWhiteout(stat) ? { at, keep: null, ino: stat.ino } : null;
}

function spentEntry(staging: Staging, draft: Draft): Step['spent'] {
  const stat = draft.source === null ? null : statPlace(staging.rooms, draft.source);
  if (draft.source === null || stat === null) return null;
  return { at: draft.source, keep: isWhiteout(stat) ? null : oldPlace(draft), ino: stat.ino };
}

function strippedOf(draft: Draft, { keepSpecial }: Staging): string[] {
  const lost = new Set<string>();
  const note = (type: string, mode: number): void => {
    if (type !== 'file' || keepSpecial) return;
    if ((mode & 0o4000) !== 0) lost.add('setuid');
    if ((mode & 0o2000) !== 0) lost.add('setgid');
  };
  if (draft.act !== 'take' && draft.fresh !== null) note(draft.type, draft.fresh.mode);
  for (const { type, stat } of draft.entries ?? []) note(type, stat.mode);
  return [...lost];
}
