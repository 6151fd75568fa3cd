import { metaOf } from '../apply/duplicate.js';
import { spotOf, type OpenDirs } from '../apply/open-dirs.js';
import type { Meta, Place, Step } from '../plan/step.js';

/** With what a landing would leave behind, as it has to come back. Throws `KernelError`. */
export function metaAt(dirs: OpenDirs, place: Place): Meta {
  return metaOf(dirs.kernel, spotOf(dirs, place), true);
}

/**
 * Who made a file private since the commit must not find it as open as before. What a swap
 * landed is not on record: where the agent changed the mode as well, it differs from the
 * kept one, and any change of the host's counts.
 */
export function isSameMeta(a: Meta, b: Meta): boolean {
  return a.mode === b.mode && a.uid === b.uid && a.gid === b.gid && attributes(a) === attributes(b);
}

/** What a file has of what a step landed. `before`: the user set it back already, or the filesystem never took it. */
export function standing(now: Meta, { fresh, old }: NonNullable<Step['meta']>): 'landed' | 'before' | 'changed' {
  return isSameMeta(now, fresh) ? 'landed' : isSameMeta(now, old) ? 'before' : 'changed';
}

function attributes({ xattrs }: Meta): string {
  return xattrs.map(({ name, value }) => `${name}=${value.toString('hex')}`).sort().join();
}
