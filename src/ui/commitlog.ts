import type { CommitInfo } from '../changes/engine.js';
import { countsText } from './changes.js';
import { escapeForTerminal } from './escape.js';
import { age, size, table } from './table.js';

/** What landed on the host, a row each. */
export function commitTable(commits: readonly CommitInfo[], now: Date): string {
  return table(commits.map((commit) => rowOf(commit, now)));
}

function rowOf(commit: CommitInfo, now: Date): string[] {
  const { id, tag, created, note, undoes, undoneBy, left, state, bytes } = commit;
  const facts = [
    undoes === null ? null : `undoes ${undoes}`,
    undoneBy === null ? null : `undone ${left.length === 0 ? '' : `but for ${left.length} `}by ${undoneBy}`,
    state === 'landed' ? null : state,
    note === null ? null : escapeForTerminal(note),
  ].filter((fact) => fact !== null);
  return [id, tag, age(created, now), whatOf(commit), size(bytes), facts.join('; ')];
}

/** What it did to the host, and to the sandbox. */
function whatOf({ counts, dropped, undoes }: CommitInfo): string {
  const host = countsText(counts);
  if (dropped === 0) return host;
  const layer = `${dropped} ${undoes === null ? 'dropped' : 'in the sandbox'}`;
  return Object.values(counts).some((count) => count > 0) ? `${host}, ${layer}` : layer;
}
