import { copied, redraft, type Draft } from './draft.js';
import { keyOf, settleLinks } from '../scan/hostlink.js';

interface Names {
  readonly nlink: number;
  readonly steps: number[];
}

/** Drafts in which new names of the host's files are links. */
export interface Linked {
  readonly steps: readonly Draft[];
  /** groups that became part of another */
  readonly regrouped: ReadonlyMap<number, number>;
}

/**
 * I18: an inode of the layer moves to the host only when all its names do. If
 * one stayed, the agent could go on writing to the host through it. Copies of
 * one inode are linked with each other again when they are staged.
 */
export function keepLinks(drafts: readonly Draft[]): Linked {
  const steps = [...settleLinks(breakShared(drafts))];
  const inodes = namesOf(steps);
  const links = withTheirFiles(steps);
  if (inodes.size + links.length === 0) return { steps, regrouped: new Map() };
  for (let changed = true; changed; ) {
    changed = false;
    for (const { nlink, steps: users } of inodes.values()) {
      const moving = users.filter((index) => steps[index]?.method === 'move');
      if (moving.length === 0 || moving.length === nlink) continue;
      for (const index of moving) steps[index] = copied(steps[index] as Draft);
      changed = true;
    }
  }
  const moving = [...inodes.values()].map(({ steps: users }) => [...new Set(users)].filter((index) => steps[index]?.method === 'move'));
  return { steps, regrouped: joinGroups(steps, [...moving, ...links]) };
}

/** A linked inode moves with all its names or not at all, whatever happens on the way. */
function joinGroups(steps: Draft[], sets: readonly (readonly number[])[]): Map<number, number> {
  const regrouped = new Map<number, number>();
  let last = 0;
  for (const { group } of steps) last = Math.max(last, group);
  for (const together of sets) {
    if (together.length < 2) continue;
    last += 1;
    const joined = new Set(together.map((index) => steps[index]?.group ?? 0).filter((group) => group !== 0));
    together.forEach((index) => (steps[index] = redraft(steps[index] as Draft, { group: last })));
    if (joined.size === 0) continue;
    for (const [before, after] of regrouped) if (joined.has(after)) regrouped.set(before, last);
    for (const group of joined) regrouped.set(group, last);
    steps.forEach((step, index) => {
      if (joined.has(step.group)) steps[index] = redraft(step, { group: last });
    });
  }
  return regrouped;
}

/** A changed file of the host and its new names: once the file has landed, nothing in the layer says whose names they are. */
function withTheirFiles(steps: readonly Draft[]): number[][] {
  const links = steps.flatMap(({ link }, index) => (link?.ident ? [{ at: link.at, index }] : []));
  if (links.length === 0) return [];
  const files = new Map(steps.map(({ host }, index) => [keyOf(host), index]));
  return links.flatMap(({ at, index }) => {
    const file = files.get(keyOf(at));
    return file === undefined ? [] : [[file, index]];
  });
}

/** Names of linked inodes; a directory that moves counts once per name in it. */
function namesOf(steps: readonly Draft[]): Map<string, Names> {
  const inodes = new Map<string, Names>();
  const note = (layer: number, stat: { readonly ino: bigint; readonly nlink: number }, index: number): void => {
    const key = `${layer} ${stat.ino}`;
    const names = inodes.get(key) ?? { nlink: stat.nlink, steps: [] };
    names.steps.push(index);
    inodes.set(key, names);
  };
  steps.forEach((step, index) => {
    if (step.act !== 'place' && step.act !== 'swap') return;
    if (step.fresh !== null && step.type !== 'dir' && step.fresh.nlink > 1) note(step.layer, step.fresh, index);
    for (const { type, stat } of step.entries?.listed ?? []) if (type !== 'dir' && stat.nlink > 1) note(step.layer, stat, index);
  });
  return inodes;
}

/**
 * Two names of one host inode that change in different ways can't both be
 * written in place: the link breaks, as it did in the sandbox.
 */
function breakShared(drafts: readonly Draft[]): Draft[] {
  const writers = new Map<string, number>();
  const key = (step: Draft): string => `${step.old?.dev ?? 0} ${step.old?.ino ?? 0}`;
  for (const step of drafts) if (step.act === 'write') writers.set(key(step), (writers.get(key(step)) ?? 0) + 1);
  if (writers.size === 0) return [...drafts];
  return drafts.map((step) =>
    step.act === 'write' && (writers.get(key(step)) ?? 0) > 1 ? redraft(step, { act: 'swap' }) : step,
  );
}

/** Bytes that have to be written beside what is there: what is moved, removed or linked costs none. */
export function copyBytesOf(steps: readonly Draft[]): number {
  let bytes = 0;
  for (const step of steps) {
    if (step.method === 'move' || step.act === 'take' || step.act === 'meta' || step.act === 'drop' || step.link?.ident) continue;
    bytes += step.composed?.content.length ?? (step.type === 'file' ? (step.fresh?.size ?? 0) : 0);
    for (const { type, stat } of step.entries ?? []) if (type === 'file') bytes += stat.size;
  }
  return bytes;
}
