import { parentOf, toText, type Bytes } from '../bytes.js';
import { anchored } from './plan/anchors.js';
import type { Change, JudgedChange } from './change.js';
import { countsOf } from './plan/counts.js';
import { digestOf } from './plan/digest.js';
import { copied, type Composed, type Draft, type Plan } from './plan/draft.js';
import { actIn, draftOf, partedIn, type Drafting } from './plan/drafting.js';
import { holdsMore, isBelow, isHosts, isTop, orphansIn, outermost, stillUsed, takeBoth, undroppable, withoutInner, type Fate } from './plan/drops.js';
import type { LayerFacts } from './plan/facts.js';
import { withoutNeeded } from './git/needs.js';
import { groupsOf, joinAll, newGroup } from './plan/groups.js';
import { copyBytesOf, keepLinks } from './plan/links.js';
import { isOnlyMark } from './scan/mark.js';
import { conflictText, refusalOf, refused, takeOf, type Paths, type Rules, type Take } from './plan/refusal.js';
import type { Refused } from './result.js';
import { inOrder } from './plan/sequence.js';
import { relativeTo, type Root } from './plan/step.js';
import { treeEntries } from './plan/tree-entries.js';

/** How a commit lands, whatever its paths. */
export interface CommitOptions {
  /** the sandbox is frozen, not stopped: copy only, leave the layer alone (I18) */
  readonly live: boolean;
  readonly keepSpecial: boolean;
  readonly fifos: boolean;
  readonly note: string | null;
}

/** What a plan is made of. Pure: no file is looked at after this. */
export interface CommitInput {
  /** everything the scan found, judged, renames taken apart (`splitRenames`) */
  readonly changes: readonly JudgedChange[];
  readonly selected: Paths;
  readonly composed?: ReadonlyMap<Bytes, Composed>;
  /** `sandbox` lands in spite of a conflict, `host` drops the agent's version (undoable); holds for all below */
  readonly take?: ReadonlyMap<Bytes, Take>;
  /** old path to new path, and what else belongs to a path: all or neither */
  readonly renames?: ReadonlyMap<Bytes, Bytes>;
  /** by path, what it does not land without */
  readonly needs?: ReadonlyMap<Bytes, readonly Bytes[]>;
  readonly facts: readonly LayerFacts[];
  readonly options: CommitOptions;
}

interface Planning extends Drafting {
  readonly groups: Map<Bytes, number>;
  readonly input: CommitInput;
  readonly rules: Rules;
  readonly refusals: Map<Bytes, Refused>;
  /** nothing was left out by the selection */
  isAll: boolean;
  /** directories that the agent renamed, by path (root mode) */
  readonly shifts: Map<Bytes, JudgedChange>;
  readonly steps: Draft[];
  /** links to files of the host in new directories: they land in these */
  readonly links: Draft[];
  readonly unmark: { readonly path: Bytes; readonly layer: number; readonly group: number }[];
  /** directories of the layer that land entry by entry, not as one */
  readonly open: Set<Bytes>;
  /** those of them of which something stays: what lands is copied out of them */
  readonly partly: Set<Bytes>;
}

/** Which steps put the selected changes on the host, each told by itself. Nothing is looked at but the input. */
export function planCommit(input: CommitInput): Plan {
  const plan = planPacked(input);
  if (plan === null) throw new Error('something is packed');
  return plan;
}

/** The same where some may be packed. Null where these have to be told each by itself: something stays, or a new directory lands entry by entry. */
export function planPacked(input: CommitInput): Plan | null {
  const planning = start(input);
  survey(planning);
  const { anchors, singles } = settleAll(planning);
  const isSplit = !planning.isAll || planning.refusals.size + planning.open.size + planning.rules.take.size > 0;
  if (isSplit && input.changes.some(({ crowd }) => crowd !== undefined)) return null;
  for (const [anchor, members] of anchors) planAnchor(planning, anchor, members);
  for (const change of singles) planSingle(planning, change);
  return finish(planning);
}

function start(input: CommitInput): Planning {
  const { facts, options } = input;
  return {
    input,
    rules: { selected: input.selected, take: takeBoth(input.take ?? new Map(), input.renames ?? new Map()), fifos: options.fifos },
    refusals: new Map(),
    isAll: true,
    shifts: new Map(),
    steps: [],
    links: [],
    unmark: [],
    open: new Set(),
    partly: new Set(),
    positions: new Map(facts.map((fact, index) => [fact.layer, index])),
    facts,
    live: options.live,
    parted: partedIn(input.changes),
    composed: input.composed ?? new Map(),
    groups: groupsOf(input.renames ?? new Map()),
  };
}

/** One pass over what may be a million changes: each further one costs as much as the memory they lie in. */
function survey(planning: Planning): void {
  const { input, rules, refusals, shifts, groups } = planning;
  const anyGone = planning.facts.some(({ gone }) => gone);
  for (const change of input.changes) {
    if (change.kind === 'rename' && !change.implied) {
      shifts.set(change.path, change);
      groups.set(change.path, newGroup(planning.groups));
    }
    if (!input.selected.has(change.path)) {
      planning.isAll = false;
      continue;
    }
    const refusal = (anyGone ? goneRefusal(planning, change) : null) ?? refusalOf(change, rules);
    if (refusal !== null) refusals.set(change.path, refusal);
    else if (isDropped(planning, change)) noteUndroppable(planning, change);
  }
}

function noteUndroppable({ refusals, live }: Planning, change: JudgedChange): void {
  if (live) refusals.set(change.path, stillUsed(change));
  else if (change.at.path === '') refusals.set(change.path, isTop(change));
  else if (change.kind === 'rename' && !change.implied) refusals.set(change.path, holdsMore(change));
}

function isDropped({ rules }: Planning, { path }: Change): boolean {
  return rules.take.size > 0 && isHosts(path, rules.take);
}

/** Without a base there is no place to land in; to drop the agent's version is possible. */
function goneRefusal({ facts, positions, rules }: Planning, change: JudgedChange): Refused | null {
  const gone = facts[positions.get(change.at.layer) ?? -1]?.gone ?? true;
  if (!gone || takeOf(change.path, rules) === 'host') return null;
  return refused(change, 'conflict', { text: conflictText('parent'), conflict: 'parent' });
}

function lands({ input, refusals, isAll }: Planning, { path }: Change): boolean {
  return (isAll || input.selected.has(path)) && (refusals.size === 0 || !refusals.has(path));
}

function refuseWith(planning: Planning, change: Change, because: Change): void {
  if (!planning.input.selected.has(change.path) || planning.refusals.has(change.path)) return;
  const cause = planning.refusals.get(because.path);
  const text = `it belongs to ${toText(because.path)}${cause === undefined ? ', which was not selected' : `: ${cause.text}`}`;
  const why = cause?.why === 'conflict' ? 'conflict' : 'with';
  planning.refusals.set(change.path, refused(change, why, { text, ...(cause?.conflict ? { conflict: cause.conflict } : {}) }));
}

/** I11: a rename is not taken by half. */
function refuseHalves(planning: Planning): void {
  if (planning.groups.size === 0) return;
  const byPath = new Map(planning.input.changes.map((change) => [change.path, change]));
  for (const [from, to] of planning.input.renames ?? []) {
    const [a, b] = [byPath.get(from), byPath.get(to)];
    if (a === undefined || b === undefined) continue;
    if (!lands(planning, a)) refuseWith(planning, b, a);
    else if (!lands(planning, b)) refuseWith(planning, a, b);
  }
}

/** What the agent changed below a directory that it renamed lands there only together with the rename. */
function refuseUnmoved(planning: Planning): void {
  const { shifts } = planning;
  if (shifts.size === 0) return;
  for (const change of planning.input.changes) {
    if (change.basePath === undefined || change.implied || change.kind === 'rename') continue;
    let at = parentOf(change.path);
    while (at !== '/' && !shifts.has(at)) at = parentOf(at);
    const shift = shifts.get(at);
    if (shift === undefined) continue;
    planning.groups.set(change.path, planning.groups.get(at) ?? 0);
    if (!lands(planning, shift)) refuseWith(planning, change, shift);
  }
}

/** What is refused of a directory may be half of a rename, and the other way round: until nothing more is refused. */
function settleAll(planning: Planning): ReturnType<typeof settle> {
  for (;;) {
    const before = planning.refusals.size;
    refuseUndroppable(planning);
    refuseHalves(planning);
    refuseUnmoved(planning);
    refuseWithoutNeeded(planning);
    const found = settle(planning);
    if (planning.refusals.size === before) return found;
  }
}

function refuseWithoutNeeded(planning: Planning): void {
  if (planning.isAll && planning.refusals.size + planning.rules.take.size === 0) return;
  const isLanding = (change: JudgedChange): boolean => lands(planning, change) && !isDropped(planning, change);
  for (const { change, needs } of withoutNeeded(planning.input.changes, isLanding, planning.input.needs)) refuseWith(planning, change, needs);
}

function refuseUndroppable(planning: Planning): void {
  const { input, refusals, rules } = planning;
  if (rules.take.size === 0) return;
  const fate: Fate = (change) => (!lands(planning, change) ? null : isDropped(planning, change) ? 'goes' : 'lands');
  for (const refusal of undroppable(input.changes, fate)) refusals.set(refusal.path, refusal);
}

/** Opens anchors that can't land as a whole, until each that is left can. */
function settle(planning: Planning): ReturnType<typeof anchored<JudgedChange>> {
  for (;;) {
    const found = anchored(planning.input.changes, planning.open);
    const before = planning.open.size;
    for (const [anchor, members] of found.anchors) judgeAnchor(planning, anchor, members);
    if (planning.open.size === before) return found;
  }
}

function judgeAnchor(planning: Planning, anchor: JudgedChange, members: readonly JudgedChange[]): void {
  if (isDropped(planning, anchor) && lands(planning, anchor)) return;
  const bad = members.find((member) => !landsAsMark(planning, member));
  if (anchor.kind === 'add' || (anchor.kind === 'type' && anchor.type === 'dir')) {
    if (!lands(planning, anchor)) leaveAnchor(planning, anchor, members);
    else if (bad !== undefined) for (const [orphan, dir] of orphansIn(members, (member) => lands(planning, member))) refuseWith(planning, orphan, dir);
    return;
  }
  if (anchor.opaque && anchor.kind !== 'type') {
    openOpaque(planning, [anchor, ...members], landsAsMark(planning, anchor) && bad === undefined);
    return;
  }
  if (lands(planning, anchor) && bad === undefined) return;
  if (bad !== undefined) refuseWith(planning, anchor, bad);
  const partial = anchor.kind === 'delete' && !(bad !== undefined && planning.refusals.has(bad.path));
  if (partial && members.some((member) => lands(planning, member))) planning.open.add(anchor.path);
  else for (const member of members) refuseWith(planning, member, anchor);
}

/** A mere mark is shown to nobody, so nobody can choose it: it goes with all that it hides. */
function landsAsMark(planning: Planning, change: JudgedChange): boolean {
  return lands(planning, change) || (isOnlyMark(change) && !planning.refusals.has(change.path));
}

/** Of a directory that stays nothing lands, but what is in it can be dropped. */
function leaveAnchor(planning: Planning, anchor: JudgedChange, members: readonly JudgedChange[]): void {
  for (const member of members) {
    if (member.implied || !isDropped(planning, member)) refuseWith(planning, member, anchor);
    else if (lands(planning, member)) planning.open.add(anchor.path);
  }
}

/**
 * A directory that replaces the host's may hold entries that differ in
 * nothing, which no change lists: it can't go as one. Its entries land one by
 * one, together or not at all (I11), and then it needs no mark any more.
 */
function openOpaque(planning: Planning, [anchor, ...members]: readonly [JudgedChange, ...JudgedChange[]], whole: boolean): void {
  planning.open.add(anchor.path);
  if (!whole) {
    planning.partly.add(anchor.path);
    return;
  }
  const group = joinAll(planning.groups, [anchor, ...members]);
  // Of a live sandbox nothing leaves the layer: what is in it compares equal from now on.
  if (!planning.live) planning.unmark.push({ path: anchor.path, layer: anchor.at.layer, group });
}

function planAnchor(planning: Planning, anchor: JudgedChange, members: readonly JudgedChange[]): void {
  if (!lands(planning, anchor)) return;
  if (takeOf(anchor.path, planning.rules) === 'host') {
    planning.steps.push(draftOf(planning, anchor, { act: 'drop' }));
    return;
  }
  const dropped = members.filter((member) => !member.implied && lands(planning, member) && isDropped(planning, member));
  const taken = members.filter((member) => lands(planning, member) && (member.implied || !isDropped(planning, member)));
  const isTree = anchor.type === 'dir' && anchor.kind !== 'delete';
  const links = isTree ? taken.filter((member) => isLinkNow(planning, member)) : [];
  const whole = taken.length === members.length && taken.every((member) => !planning.composed.has(member.path));
  if (links.length > 0) joinAll(planning.groups, [anchor, ...links]);
  const draft = draftOf(planning, anchor, {
    entries: isTree ? treeEntries(anchor, links.length === 0 ? taken : taken.filter((member) => !links.includes(member))) : null,
    covers: members.filter((member) => member.implied),
    whole,
    inOpen: isBelowPartly(planning, anchor.path),
  });
  planning.steps.push(links.length === 0 ? draft : copied(draft));
  for (const change of links) planning.links.push(draftOf(planning, change, { whole, inNew: true }));
  for (const change of outermost(dropped)) planning.steps.push(draftOf(planning, change, { act: 'drop' }));
}

/** In a new directory: the host's file keeps its inode, so the name of it is made by itself. */
function isLinkNow(planning: Planning, { link, implied, path }: JudgedChange): boolean {
  if (link === undefined || implied || planning.composed.has(path)) return false;
  if (link.same) return true;
  const file = planning.input.changes.find((change) => change.path === link.path);
  return file !== undefined && lands(planning, file) && !isDropped(planning, file) && ['meta', 'write'].includes(actIn(planning, file));
}

function planSingle(planning: Planning, change: JudgedChange): void {
  if (!lands(planning, change) || (change.kind === 'rename' && change.implied)) return;
  if (takeOf(change.path, planning.rules) === 'host') {
    planning.steps.push(draftOf(planning, change, { act: 'drop' }));
    return;
  }
  // An opened directory has a step of its own only for its metadata.
  if (planning.open.has(change.path) && change.kind !== 'metadata' && change.meta.length === 0) return;
  const inOpen = isBelowPartly(planning, change.path);
  const act = planning.open.has(change.path) ? ('meta' as const) : undefined;
  planning.steps.push(draftOf(planning, change, act === undefined ? { inOpen } : { inOpen, act }));
}

function isBelowPartly({ partly }: Planning, path: Bytes): boolean {
  return partly.size > 0 && isBelow(path, partly);
}

function finish(planning: Planning): Plan {
  const { input, refusals } = planning;
  const linked = keepLinks([...withoutInner(planning.steps), ...planning.links]);
  const steps = inOrder(linked.steps);
  const landing = landingOf(planning);
  return {
    counts: countsOf(planning.rules.take.size === 0 ? landing : landing.filter((change) => !isDropped(planning, change))),
    refused: [...refusals.values()],
    steps,
    copyBytes: copyBytesOf(steps),
    roots: input.facts.flatMap(rootsOf),
    movable: input.facts.map((fact) => fact.movable),
    emptied: emptiedLayers(planning, steps),
    unmark: planning.unmark.map((one) => unmarked(planning, { ...one, group: linked.regrouped.get(one.group) ?? one.group })),
    keepSpecial: input.options.keepSpecial,
    note: input.options.note,
    digest: digestOf(landing, input),
    undoes: null,
  };
}

/** What moves along with a renamed directory lands, and a mere mark goes, but nothing changes by it. */
function landingOf(planning: Planning): readonly JudgedChange[] {
  const { input, isAll, refusals, shifts } = planning;
  if (isAll && refusals.size + shifts.size === 0 && !input.changes.some(isOnlyMark)) return input.changes;
  return input.changes.filter((change) => lands(planning, change) && !(change.kind === 'rename' && change.implied) && !isOnlyMark(change));
}

function rootsOf({ base, upper, vault, family }: LayerFacts): Root[] {
  return [{ role: 'host', dir: base, family }, { role: 'layer', dir: upper, family }, { role: 'vault', dir: vault, family }];
}

function unmarked({ facts, positions }: Planning, { path, layer, group }: Planning['unmark'][number]): Plan['unmark'][number] {
  const position = positions.get(layer) ?? 0;
  return { root: 3 * position + 1, path: relativeTo((facts[position] as LayerFacts).base, path), group };
}

/** Layers whose every change lands and whose entries all leave. */
function emptiedLayers(planning: Planning, steps: readonly Draft[]): number[] {
  const staying = new Set<number>();
  const everything = planning.isAll && planning.refusals.size === 0;
  for (const change of everything ? [] : planning.input.changes) {
    if (change.kind === 'rename' && change.implied) continue;
    if (!lands(planning, change)) staying.add(planning.positions.get(change.at.layer) ?? -1);
  }
  for (const step of steps) {
    // What is taken away without a whiteout of its own has nothing in the layer.
    const isNothing = step.act === 'meta' || (step.act === 'take' && step.source === null);
    if (step.layerEntry === 'stays' && !isNothing) staying.add(step.layer);
    if (planning.live) staying.add(step.layer);
  }
  return planning.facts.map((_fact, index) => index).filter((index) => !staying.has(index));
}
