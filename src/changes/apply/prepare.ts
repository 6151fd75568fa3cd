import { constants } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import { cleaningOf } from './cleaning.js';
import type { Draft } from '../plan/draft.js';
import { Moved } from './duplicate.js';
import { isMachineError, refusalFor } from './failure.js';
import type { Emptied } from '../journal/journal.js';
import { lending } from './lend.js';
import { prepareEmptied } from './emptied.js';
import { findLends, lockedMode, type Lend } from './locked.js';
import { moveOf } from './plain-move.js';
import { nearPlace, type Method, type Methods, type Preparing } from './preparing.js';
import { conflictText, refused } from '../plan/refusal.js';
import type { Refused } from '../result.js';
import { makeDirsAbove, statPlace } from './open-dirs.js';
import { keepCopy, linkFor, dirFor, stage, type Staging } from './stage.js';
import { dirOf, identOf, isWhiteout, type Place, type Step, type Steps, type Unmark } from '../plan/step.js';
import { StepTable, stepsWhere } from '../journal/step-table.js';
import { oldPlace } from '../journal/place-paths.js';
import { metaFor } from './stepmeta.js';
import { mayBeIndex } from '../git/touched-index.js';
import { findMarked } from './unmark.js';

/** What the journal will hold: steps with identities, marks to take off, layers to empty, modes that are lent. `refused` is not among the steps. */
export interface Prepared {
  readonly steps: Steps;
  readonly unmark: readonly Unmark[];
  readonly emptied: readonly Emptied[];
  readonly lends: readonly Lend[];
  readonly refused: readonly Refused[];
}

/** Makes what has to exist before the commit point, and turns planned steps into durable ones. */
export function prepare(preparing: Preparing, methods: Methods): Prepared {
  const staging: Staging = { ...preparing, linked: new Map(), reached: null };
  const steps = new StepTable(preparing.plan.steps.length);
  for (const method of methods) {
    prepareStep(staging, method, steps);
  }
  const halves = halvesIn(preparing, steps);
  const whole = withoutHalves(preparing, methods, { steps, halves });
  const planned = preparing.plan.unmark.filter(({ group }) => !halves.has(group));
  const unmark = findMarked(preparing.dirs, whole.perDirectory(), planned);
  return { steps: whole, unmark, emptied: prepareEmptied(preparing, whole), lends: findLends(preparing.dirs, whole.perDirectory()), refused: preparing.refused };
}

/** Adds the step, or what it was refused for. */
function prepareStep(staging: Staging, method: Method, steps: StepTable): void {
  try {
    if (isLockedByGit(staging, method.draft)) {
      staging.refused.push(refused(method.draft, 'failed', { text: 'git is at work in the repository: if it is not, remove index.lock beside it' }));
      return;
    }
    const text = staging.isLate ? otherByNow(staging, method.draft) : null;
    if (text !== null) {
      staging.refused.push(refused(method.draft, 'conflict', { text, conflict: 'changed' }));
      return;
    }
    reach(staging, method.draft);
    const move = moveOf(staging, method);
    if (move !== null) steps.pushMove(move);
    else steps.push(lending(staging.dirs, [method.draft.source], () => stepFor(staging, method)));
  } catch (error) {
    if (isMachineError(error)) throw error;
    const { path } = method.draft;
    staging.refused.push(
      error instanceof Moved
        ? refused({ path }, 'failed', { text: 'it changed after it was looked at', code: 'ESTALE' })
        : refusalFor(path, error),
    );
  }
}

/** A directory that the host closed to us refuses what lies in it while nothing has happened: past the commit point we could not even see how far a step came. */
function reach(staging: Staging, { act, host }: Draft): void {
  if (act === 'drop') return;
  const { reached } = staging;
  const length = host.path.lastIndexOf('/') + 1;
  if (reached?.root === host.root && reached.dir.length === length && host.path.startsWith(reached.dir)) return;
  statPlace(staging.dirs, host);
  staging.reached = { root: host.root, dir: host.path.slice(0, length) };
}

/** The steps themselves look at content only: whoever changed a mode or an attribute since the judgement must not lose it. How it is another one, or null. */
function otherByNow({ dirs }: Staging, { act, old, host }: Draft): string | null {
  const now = old === null || act === 'drop' ? null : statPlace(dirs, host);
  if (old === null || now === null) return null;
  if (now.mode !== old.mode || now.uid !== old.uid || now.gid !== old.gid) return conflictText('changed');
  // Exchanged, it would part from that name (I12).
  if (act === 'swap' && old.nlink === 1 && now.nlink > 1 && (now.mode & constants.S_IFMT) === constants.S_IFREG) return 'the host gave it another name while you looked: commit again to write both';
  // Entries, and other names that come and go, make a ctime new too.
  const isPlain = (now.mode & constants.S_IFMT) !== constants.S_IFDIR && now.nlink === 1;
  return isPlain && now.ino === old.ino && now.ctimeNs !== old.ctimeNs ? conflictText('changed') : null;
}

/** A git command will put its own index there when it is done, whatever lands meanwhile. A lock that goes with the same plan is nobody's. */
function isLockedByGit({ dirs, plan }: Staging, draft: Draft): boolean {
  if (!mayBeIndex(draft.path) || draft.act === 'drop') return false;
  const { host } = draft;
  if (!dirOf(host.path).includes('.git')) return false;
  const lock: Place = { root: host.root, path: `${host.path}.lock` as Bytes };
  return statPlace(dirs, lock) !== null && !plan.steps.some((step) => step.act === 'take' && step.host.root === lock.root && step.host.path === lock.path);
}

/** Groups of which a step was refused. */
function halvesIn({ plan }: Preparing, steps: Steps): ReadonlySet<number> {
  const missing = new Map<number, number>();
  if (steps.length === plan.steps.length) return new Set();
  for (const { group } of plan.steps) if (group !== 0) missing.set(group, (missing.get(group) ?? 0) + 1);
  for (const { group } of steps) if (group !== 0) missing.set(group, (missing.get(group) ?? 0) - 1);
  return new Set([...missing].filter(([, count]) => count > 0).map(([group]) => group));
}

interface Halved {
  readonly steps: StepTable;
  readonly halves: ReadonlySet<number>;
}

/** I11: what belongs to a refused step is refused too. */
function withoutHalves(preparing: Preparing, methods: Methods, { steps, halves }: Halved): StepTable {
  if (halves.size === 0) return steps;
  const known = new Set(preparing.refused.map(({ path }) => path));
  for (const { draft } of methods) {
    if (!halves.has(draft.group) || known.has(draft.path)) continue;
    preparing.refused.push(refused(draft, 'with', { text: 'it lands only together with a path that was refused' }));
  }
  return stepsWhere(steps, ({ group }) => !halves.has(group));
}

function stepFor(staging: Staging, method: Method): Step {
  const { draft, n } = method;
  const { act, host } = draft;
  if (method.move) return act === 'take' ? takeStep(staging, method) : moveStep(staging, draft);
  const taken: Place = { root: 3 * draft.layer + 2, path: `taken/${n}` as Bytes };
  if (act === 'drop') return { ...stepOf(staging, draft), old: null, spent: spentEntry(staging, draft, true) };
  if (act === 'take') return takeStep(staging, method);
  const base = { ...stepOf(staging, draft), spent: spentOf(staging, draft) };
  if (act === 'meta') return { ...base, ...metaFor(staging, draft) };
  if (act === 'write') {
    const from = draft.layerEntry === 'spent' && draft.composed === null ? draft.source : stage(staging, method);
    keepCopy(staging, draft, taken);
    return { ...base, from, hold: taken, keep: taken, ...metaFor(staging, draft), fresh: freshOf(staging, from) };
  }
  const link = linkFor(staging, method);
  const from = link === null ? stage(staging, method) : dirFor(staging, method);
  const near = from.root === host.root;
  if (near && act === 'swap') keepCopy(staging, draft, taken);
  const keep = act !== 'swap' ? null : near ? taken : from;
  return { ...base, from, hold: act === 'swap' ? from : null, keep, link: link?.at ?? null, fresh: link?.ident ?? freshOf(staging, from) };
}

function lockedOf({ act, fresh, old }: Draft): Step['locked'] {
  if (act === 'meta' || act === 'write') return null;
  const [mine, theirs] = [act === 'take' ? null : lockedMode(fresh), lockedMode(old)];
  return mine === null && theirs === null ? null : { fresh: mine, old: theirs };
}

/** A step whose making is not over. A spread of it takes ten times as long as it, and a big commit makes tens of thousands. */
type Unfinished = { -readonly [K in keyof Step]: Step[K] };

/** What all steps have, in one literal. */
function stepOf(staging: Staging, draft: Draft): Unfinished {
  const { act, kind, type, host, group, entries, covers, old } = draft;
  return {
    act,
    kind,
    type,
    host,
    from: null,
    hold: null,
    keep: null,
    fresh: null,
    old: old === null ? null : identOf(old),
    tree: entries !== null || draft.layerEntry === 'shift',
    inside: entries === null ? 0 : entries.length,
    clean: null,
    covers,
    meta: null,
    spent: null,
    locked: lockedOf(draft),
    link: null,
    twin: draft.twin ?? null,
    group,
    stripped: strippedOf(draft, staging),
  };
}

function freshOf({ dirs }: Staging, from: Place | null): Step['fresh'] {
  const stat = from === null ? null : statPlace(dirs, from);
  return stat === null ? null : identOf(stat);
}

function moveStep(staging: Staging, draft: Draft): Step {
  const { act, source, fresh, layerEntry } = draft;
  const isOwn = layerEntry === 'shift' || staging.plan.undoes !== null;
  const step = stepOf(staging, draft);
  step.from = source;
  step.hold = act === 'swap' ? source : null;
  step.keep = act === 'swap' && draft.twin === undefined ? oldPlace(draft.host) : null;
  step.fresh = fresh === null ? null : identOf(fresh);
  step.clean = isOwn ? null : cleaningOf(staging, draft);
  step.spent = layerEntry === 'shift' ? spentOf(staging, draft) : null;
  return step;
}

/** A deleted file takes the place of its whiteout, so that a whole layer can go at once; a directory can't. */
function takeStep(staging: Staging, { draft, vault, n, move }: Method): Step {
  const step = stepOf(staging, draft);
  if (move && draft.layerEntry === 'whiteout' && draft.type !== 'dir') {
    step.hold = draft.source;
    step.keep = oldPlace(draft.host);
    return step;
  }
  const taken: Place = { root: 3 * draft.layer + 2, path: `taken/${n}` as Bytes };
  const spent = spentOf(staging, draft);
  const keep = step.twin === null ? taken : null;
  if (vault) {
    makeDirsAbove(staging.dirs, taken);
    return { ...step, hold: taken, keep, spent };
  }
  if (keep !== null) keepCopy(staging, draft, keep);
  return { ...step, hold: nearPlace(staging, { draft, vault, n, move }), keep, spent };
}

/** A spent whiteout; that of a moved entry is the entry itself. */
function spentOf(staging: Staging, draft: Draft): Step['spent'] {
  const { layerEntry, source } = draft;
  if (layerEntry === 'spent') return spentEntry(staging, draft);
  if (source === null || (layerEntry !== 'whiteout' && layerEntry !== 'shift')) return null;
  const at: Place = layerEntry === 'shift' ? { root: 3 * draft.layer + 1, path: source.path } : source;
  const stat = statPlace(staging.dirs, at);
  return stat !== null && isWhiteout(stat) ? { at, keep: null, ino: stat.ino } : null;
}

/** `whole`: a whiteout is kept as well, for an undo to put it back. */
function spentEntry(staging: Staging, draft: Draft, whole = false): Step['spent'] {
  const stat = draft.source === null ? null : statPlace(staging.dirs, draft.source);
  if (draft.source === null || stat === null) return null;
  return { at: draft.source, keep: !whole && isWhiteout(stat) ? null : oldPlace(draft.host), ino: stat.ino };
}

function strippedOf(draft: Draft, { keepSpecial }: Staging): readonly string[] {
  if (keepSpecial || draft.act === 'take' || (draft.entries === null && !isSpecial(draft))) return NOTHING;
  const lost = new Set<string>();
  const note = (type: string, mode: number, capable: boolean | undefined): void => {
    if (type !== 'file') return;
    if ((mode & 0o4000) !== 0) lost.add('setuid');
    if ((mode & 0o2000) !== 0) lost.add('setgid');
    if (capable === true) lost.add('file capabilities');
  };
  if (draft.fresh !== null) note(draft.type, draft.fresh.mode, losesCapabilities(draft));
  for (const { type, stat, capable } of draft.entries?.listed ?? []) note(type, stat.mode, capable);
  return [...lost];
}

const NOTHING: readonly string[] = [];

function isSpecial(draft: Draft): boolean {
  return draft.type === 'file' && (((draft.fresh?.mode ?? 0) & 0o6000) !== 0 || losesCapabilities(draft));
}

/** Of a file that stays the host's, only the attributes that the agent changed are the agent's. */
function losesCapabilities({ act, meta, capable }: Draft): boolean {
  return capable && ((act !== 'meta' && act !== 'write') || meta.includes('xattr'));
}
