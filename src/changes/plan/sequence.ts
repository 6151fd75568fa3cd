import { keyOf } from '../scan/hostlink.js';
import type { Draft } from './draft.js';

const OWN = 0o700;

/**
 * The order in which steps land. Renamed directories come first, as the rest
 * lands in them: inner before outer. A directory that gets permissions of its
 * owner gets them before anything lands in it, and one that loses some loses
 * them last, inner before outer: else its own changes would be shut out. A new
 * name of a file that is written in place comes after that, as what it is a name
 * of is known by what is written. Pure.
 */
export function inOrder(steps: readonly Draft[]): readonly Draft[] {
  const written = new Set(steps.flatMap(({ act, host }) => (act === 'write' ? [keyOf(host)] : [])));
  const ranks = steps.map((step) => (step.link?.ident && written.has(keyOf(step.link.at)) ? NAME : rankOf(step)));
  if (ranks.every((rank) => rank === REST)) return steps;
  const withRank = (wanted: number): Draft[] => steps.filter((_step, index) => ranks[index] === wanted);
  const shifts = withRank(SHIFT).sort((a, b) => (b.source?.path.length ?? 0) - (a.source?.path.length ?? 0));
  const widened = withRank(WIDER).sort((a, b) => a.host.path.length - b.host.path.length);
  const narrowed = withRank(NARROWER).sort((a, b) => b.host.path.length - a.host.path.length);
  return [...shifts, ...widened, ...withRank(REST), ...withRank(NAME), ...narrowed];
}

const [SHIFT, WIDER, REST, NAME, NARROWER] = [0, 1, 2, 3, 4] as const;

function rankOf(step: Draft): number {
  if (step.layerEntry === 'shift') return SHIFT;
  if (step.act !== 'meta' || step.type !== 'dir') return REST;
  const old = step.metas?.old ?? step.old;
  const fresh = step.metas?.fresh ?? step.fresh;
  if (old === null || fresh === null) return REST;
  if ((old.mode & ~fresh.mode & OWN) !== 0) return NARROWER;
  return (fresh.mode & ~old.mode & OWN) !== 0 ? WIDER : REST;
}
