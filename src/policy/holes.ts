import type { CompiledRule, Loosening, Origin, Subjects } from './compiled.js';
import { GRANTS, LAYERS, type HoleText, type Problem, type RuleList } from './document.js';
import { suggest } from './suggest.js';

/** A hole (`except: {id: …}`) as a source gives it. */
export interface GivenHole extends HoleText {
  readonly origin: Origin;
}

/** Rules that nothing pierces: agentfw's own files, and addresses that hand out credentials. */
const SEALED = /^(agentfw\.|net\.metadata$)/;

/** Rules with the holes that `except:` made, and what no layer may make. */
export interface Pierced {
  readonly rules: readonly CompiledRule[];
  readonly loosened: readonly Loosening[];
  readonly problems: readonly Problem[];
}

/** Adds holes to the rules they name, where the hole's layer may: managed rules only by the managed file. */
export function applyHoles<H extends GivenHole>(rules: readonly CompiledRule[], holes: readonly H[], expand: (hole: H, text: string, list: RuleList) => Subjects): Pierced {
  const loosened: Loosening[] = [];
  const problems: Problem[] = [];
  const out = [...rules];
  for (const hole of holes) {
    const named = out.flatMap((rule, i) => (rule.id === hole.id ? [i] : []));
    if (named.length === 0) problems.push(unknown(hole, rules));
    for (const i of named) {
      const rule = out[i];
      if (rule === undefined) continue;
      const why = refusal(rule, hole.origin);
      if (why !== null) loosened.push({ origin: hole.origin, what: `except ${hole.id}`, why, hint: null });
      else out[i] = { ...rule, except: union([rule.except, ...hole.subjects.map((text) => expand(hole, text, rule.list))]) };
    }
  }
  return { rules: out, loosened, problems };
}

/** Why a layer may not make a hole in a rule, or null. */
export function refusal(rule: CompiledRule, by: Origin): string | null {
  if (SEALED.test(rule.id)) return `\`${rule.id}\` has no exceptions`;
  if (rule.origin.layer === 'managed' && by.layer !== 'managed') return `\`${rule.id}\` is a rule of the managed policy`;
  if (LAYERS.indexOf(by.layer) < LAYERS.indexOf(rule.origin.layer)) return `\`${rule.id}\` is a rule of a later layer`;
  return null;
}

function unknown(hole: GivenHole, rules: readonly CompiledRule[]): Problem {
  const near = suggest(hole.id, new Set(rules.filter((rule) => !GRANTS.has(rule.list)).map((rule) => rule.id)));
  return { file: hole.origin.file, line: hole.at.line, col: hole.at.col, message: `there is no rule \`${hole.id}\``, text: null, hint: near === null ? 'See agentfw policy show --effective' : `Did you mean \`${near}\`?` };
}

function union(all: readonly Subjects[]): Subjects {
  return { paths: all.flatMap(({ paths }) => paths), hosts: all.flatMap(({ hosts }) => hosts), names: all.flatMap(({ names }) => names) };
}
