import { globSource } from './pattern.js';

/** How often `**` stands in a glob. As one expression, each multiplies the time by the depth of the path. */
export function treesIn(glob: string): number {
  return glob.split('/').filter((part) => part === '**').length;
}

/** The same as the glob's expression, name by name: the time grows with the path alone, whatever the glob. */
export function segmentTest(glob: string, tree: boolean): (text: string) => boolean {
  const parts = glob.split('/').map((part) => (part === '**' ? null : new RegExp(`^${globSource(part)}$`, 's')));
  // What of the glob may come next: `**` may also be nothing.
  const withNothing = (at: Set<number>): Set<number> => {
    for (const part of at) if (parts[part] === null) at.add(part + 1);
    return at;
  };
  const after = (at: ReadonlySet<number>, name: string): Set<number> => {
    const next = [...at].flatMap((part) => (parts[part] === null ? [part] : parts[part]?.test(name) === true ? [part + 1] : []));
    return withNothing(new Set(next));
  };
  return (text) => {
    let at = withNothing(new Set([0]));
    for (const name of text === '' ? [] : text.split('/')) {
      if (tree && at.has(parts.length)) return true;
      at = after(at, name);
    }
    return at.has(parts.length);
  };
}
