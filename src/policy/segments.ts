import { globSource } from './pattern.js';

/** A class, an escaped character, stars, or any other character. */
const TOKEN = /\[[!^]?\]?(?:\\[^]|[^\]\\])*\]|\\[^]|\*+|[^]/g;

/** One expression is fastest up to here: a project's file and an agent's paths can be made for more. */
const MOST_IN_ONE = 2;

/** As one expression, each wildcard of any length multiplies the time by the length of the path. */
export function hasManyStars(glob: string): boolean {
  return starsIn(glob) > MOST_IN_ONE;
}

/** `**` counts as one. */
function starsIn(glob: string): number {
  return [...glob.matchAll(TOKEN)].filter(([token]) => token.startsWith('*')).length;
}

/** The same as the glob's expression, name by name: the time grows with the path alone, whatever the glob. */
export function segmentTest(glob: string, tree: boolean): (text: string) => boolean {
  const parts = glob.split('/').map((part) => (part === '**' ? null : nameTest(part)));
  // What of the glob may come next: `**` may also be nothing.
  const withNothing = (at: Set<number>): Set<number> => {
    for (const part of at) if (parts[part] === null) at.add(part + 1);
    return at;
  };
  const after = (at: ReadonlySet<number>, name: string): Set<number> => {
    const next = [...at].flatMap((part) => (parts[part] === null ? [part] : parts[part]?.(name) === true ? [part + 1] : []));
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

/** For one name. What lies between two `*` is as long as it is, so the first place where it fits is as good as any later one. */
export function nameTest(glob: string): (name: string) => boolean {
  if (starsIn(glob) < 2) {
    const regex = new RegExp(`^${globSource(glob)}$`, 's');
    return (name) => regex.test(name);
  }
  const pieces = piecesOf(glob);
  const [first = [], last = []] = [pieces[0], pieces.at(-1)];
  return (name) => {
    const end = name.length - last.length;
    if (end < first.length || !fits(first, name, 0) || !fits(last, name, end)) return false;
    let at = first.length;
    for (const piece of pieces.slice(1, -1)) {
      while (at + piece.length <= end && !fits(piece, name, at)) at += 1;
      if (at + piece.length > end) return false;
      at += piece.length;
    }
    return true;
  };
}

/** One character: itself, any (`?`), or one of a class. */
type Character = string | RegExp | null;

function fits(piece: readonly Character[], name: string, at: number): boolean {
  return piece.every((character, index) => {
    const found = name[at + index] ?? '';
    return character === null || (typeof character === 'string' ? character === found : character.test(found));
  });
}

/** What stands before, between and behind the `*` of a name. */
function piecesOf(glob: string): Character[][] {
  const pieces: Character[][] = [[]];
  for (const [token] of glob.matchAll(TOKEN)) {
    if (token.startsWith('*')) pieces.push([]);
    else pieces.at(-1)?.push(token === '?' ? null : token.length > 2 ? new RegExp(`^${globSource(token)}$`, 's') : token.slice(-1));
  }
  return pieces;
}
