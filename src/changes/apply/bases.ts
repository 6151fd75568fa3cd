import { toText } from '../../bytes.js';
import { AgentfwError } from '../../errors.js';
import { AT_FDCWD, type Kernel } from '../../kernel/kernel.js';
import { objectAt } from '../../kernel/object.js';
import { isForeign } from '../../sandbox/foreign.js';
import type { Header, Journal } from '../journal/form.js';
import { numbered, type Root } from '../plan/step.js';

/** The host's directories with what tells them again: where a filesystem isn't mounted, or another one is, there is another directory. */
export function withBases(kernel: Kernel, roots: readonly Root[]): Root[] {
  return roots.map((root) => {
    const now = isBase(root) ? objectAt(kernel, root.dir) : null;
    return now === null ? root : { ...root, object: now };
  });
}

/** A base of a journal that is another directory now. Not one that is gone: what is to happen in it is refused by itself. */
function isOtherBase(kernel: Kernel, root: Root): boolean {
  const now = root.object === undefined || !isBase(root) ? null : objectAt(kernel, root.dir);
  return now !== null && now !== root.object;
}

/** The same by number; looked at when it is asked for. */
export function otherBases(kernel: Kernel, roots: readonly Root[]): (root: number) => boolean {
  const known = new Map<number, boolean>();
  return (index) => {
    const isOther = known.get(index) ?? isOtherBase(kernel, roots[index] as Root);
    known.set(index, isOther);
    return isOther;
  };
}

function isBase({ role, as }: Root): boolean {
  return role === 'host' && as === undefined;
}

/** Refuses a commit of which something lies on a filesystem that isn't mounted any more. */
export function requireVaults(kernel: Kernel, { id, roots }: Pick<Header, 'id' | 'roots'>): void {
  for (const [index, { role, dir }] of roots.entries()) {
    if (role !== 'vault' || !isForeign({ dir }) || kernel.statOrNull(AT_FDCWD, dir) !== null) continue;
    throw new AgentfwError('AFW_VAULT_GONE', `What commit ${id} keeps of ${toText((roots[index - 2] as Root).dir)} lies in ${toText(dir)}, which isn't there.`, {
      hint: 'Mount the filesystem that it lies on again',
    });
  }
}

/** To be gone on with where it was begun, and nowhere else. */
export function requireBases(kernel: Kernel, { header: { id, roots }, steps }: Journal): void {
  const used = new Set<number>();
  for (const [, { host }] of numbered(steps)) used.add(host.root);
  for (const index of used) {
    const root = roots[index] as Root;
    if (!isOtherBase(kernel, root)) continue;
    throw new AgentfwError('AFW_OTHER_BASE', `${toText(root.dir)} is not the directory that commit ${id} was landing in: mount the filesystem that it lies on again, or put the directory back.`);
  }
}
