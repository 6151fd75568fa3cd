import type { Bytes } from '../bytes.js';
import { isWithin, joinBytes, parentOf } from '../bytes.js';
import type { Draft } from './draft.js';
import { mountOf } from './mountinfo.js';
import type { Hidden } from './plan.js';

/** Where filesystems show what they held earlier: ZFS at its root, the others in each directory, in no listing. */
const NAMES: readonly (readonly [type: RegExp, name: string])[] = [
  [/^zfs$/, '.zfs'],
  [/^(ceph|fuse\.ceph(-fuse)?)$/, '.snap'],
  [/^nfs4?$/, '.snapshot'],
];

/**
 * Snapshots hold old versions of what is hidden, by paths that no rule knows.
 * They are hidden at the root of such a filesystem, and in the directories
 * from there to home, project and whatever else is hidden.
 */
export function snapshotHides({ table, facts, options }: Draft): readonly Hidden[] {
  const dirs = [...options.trees, ...options.hide.map(({ path }) => parentOf(path))];
  return table.points.flatMap((point) => {
    const { type } = table.at.get(point)!;
    const name = NAMES.find(([one]) => one.test(type))?.[1];
    // One that doesn't answer is not asked again.
    if (name === undefined || facts.lstat(point)?.type !== 'dir') return [];
    const places = new Set<Bytes>([point]);
    for (const dir of new Set(dirs)) {
      if (!isWithin(dir, point) || mountOf(table, dir)?.point !== point) continue;
      for (let at = dir; !places.has(at); at = parentOf(at)) places.add(at);
    }
    return [...places].map((dir) => joinBytes(dir, name as Bytes)).filter((path) => facts.lstat(path)?.type === 'dir')
      .map((path): Hidden => ({ path, rule: `snapshots of ${type}: they hold old versions of what is hidden` }));
  });
}
