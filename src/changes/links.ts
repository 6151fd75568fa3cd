import type { Draft } from './draft.js';

interface Names {
  readonly nlink: number;
  readonly steps: number[];
}

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
  const steps = breakShared(drafts);
  const inodes = namesOf(steps);
  if (inodes.size === 0) return { steps, regrouped: new Map() };
  for (let changed = true; changed; ) {
    changed = false;
    for (const { nlink, steps: users } of inodes.values()) {
      const moving = users.filter((index) => steps[index]?.method === 'move');
      if (moving.length === 0 || moving.length === nlink) continue;
      for (const index of moving) steps[index] = copied(steps[index] as Draft);
      changed = true;
    }
  }
  return { steps, regrouped: joinGroups(steps, inodes) };
}

/** A linked inode moves with all its names or not at all, whatever happens on the way. */
function joinGroups(steps: Draft[], inodes: ReadonlyMap<string, Names>): Map<number, number> {
  const regrouped = new Map<number, number>();
  let last = 0;
  for (const { group } of steps) last = Math.max(last, group);
  for (const { steps: users } of inodes.values()) {
    const moving = [...new Set(users)].filter((index) => steps[index]?.method === 'move');
    if (moving.length < 2) continue;
    last += 1;
    const joined = new Set(moving.map((index) => steps[index]?.group ?? 0).filter((group) => group !== 0));
    moving.forEach((index) => (steps[index] = { ...(steps[index] as Draft), group: last }));
    if (joined.size === 0) continue;
    for (const [before, after] of regrouped) if (joined.has(after)) regrouped.set(before, last);
    for (const group of joined) regrouped.set(group, last);
    steps.forEach((step, index) => {
      if (joined.has(step.group)) steps[index] = { ...step, group: last };
    });
  }
  return regrouped;
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
    for (const { type, stat } of step.entries ?? []) if (type !== 'dir' && stat.nlink > 1) note(step.layer, stat, index);
  });
  return inodes;
}

/** The layer's name of a copied file is spent; a directory's whole content too. */
function copied(step: Draft): Draft {
  return { ...step, method: 'copy', layerEntry: step.layerEntry === 'moved' ? 'spent' : step.layerEntry };
}

/**
 * Two names of one host inode that change in different ways can't both be
 * written in place: the link breaks, as it did in the sandbox.
 */
function breakShared(drafts: readonly Draft[]): Draft[] {
  const writers = new Map<string, number>();
  const key = (step: Draft): string => `${step.old?.dev ?? 0} ${step.old?.ino ?? 0}`;
  for (const step of drafts) if (step.act === 'write') writers.set(key(step), (writers.get(key(step)) ?? 0) + 1);
  return drafts.map((step) =>
    step.act === 'write' && (writers.get(key(step)) ?? 0) > 1 ? { ...step, act: 'swap' as const } : step,
  );
}

export function copyBytesOf(steps: readonly Draft[]): number {
  let bytes = 0;
  for (const step of steps) {
    if (step.method === 'move' || step.act === 'take' || step.act === 'meta' || step.act === 'drop') continue;
    bytes += step.composed?.content.length ?? (step.type === 'file' ? (step.fresh?.size ?? 0) : 0);
    for (const { type, stat } of step.entries ?? []) if (type === 'file') bytes += stat.size;
  }
  return bytes;
}
