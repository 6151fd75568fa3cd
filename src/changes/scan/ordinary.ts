import type { NameFilter } from '../../kernel/kernel.js';
import type { CompiledPolicy } from '../../policy/compiled.js';
import { ruledNames } from '../../policy/judge.js';
import { filterOf } from '../../policy/match.js';
import { BARE_NAMES } from '../classify/bare-repository.js';
import { BLOCK, FLAG, GIT_CONFIG, GIT_REFS, HARMLESS } from '../classify/control-list.js';
import { BESIDE } from '../database/database.js';
import { GIT_ALIASES } from '../classify/fold.js';
import { firstOf } from '../classify/gate-match.js';
import { MANIFESTS } from '../capture/manifest.js';

/**
 * Most changes have names that no rule is about. The walk tells these apart by
 * a filter, and then their directory decides: one look-up for all of it.
 */
export function spokenNames(policy: CompiledPolicy | null): NameFilter {
  const gate = [...[...BLOCK, ...FLAG].map(({ pattern }) => pattern), ...HARMLESS, ...GIT_CONFIG, ...GIT_REFS].map(firstOf);
  const own = filterOf([...gate, ...MANIFESTS.keys(), ...BARE_NAMES, ...GIT_ALIASES, ...BESIDE.map((suffix) => `*${suffix}`)]);
  if (policy === null) return own;
  const { literals, endings, pieces } = ruledNames(policy);
  return { literals: [...own.literals, ...literals], endings: [...own.endings, ...endings], pieces: [...own.pieces, ...pieces] };
}
