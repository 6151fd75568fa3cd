import { fromText, isWithin, toText, type Bytes } from '../bytes.js';
import type { CompiledPolicy, CompiledRule, Loosening } from './compiled.js';
import { engineOf, makeEngine, type Engine } from './engine.js';

/**
 * Takes out passthroughs that reach around the commit: of hidden or control
 * paths, of what holds such paths, of the home or the project as a whole. The
 * same path in `changes.accept` (or `--passthrough` given twice) states that it
 * is meant. Shipped profiles are exempt: each was looked at.
 */
export function refusePassthroughs(rules: readonly CompiledRule[], home: string, project: string): { rules: CompiledRule[]; loosened: Loosening[] } {
  const loosened: Loosening[] = [];
  const asked = rules.filter(({ list, origin }) => list === 'files.passthrough' && origin.layer !== 'built-in' && origin.layer !== 'profile');
  const engine = asked.length === 0 ? null : makeEngine(rules);
  const kept = rules.filter((rule) => {
    if (engine === null || !asked.includes(rule)) return true;
    const refused = rule.subjects.paths.flatMap(({ base, text }) => {
      const found = refusalOf(engine, fromText(base), fromText(home), fromText(project));
      return found === null ? [] : [{ ...found, what: `passthrough ${text}` }];
    });
    loosened.push(...refused.map(({ what, why, hint }) => ({ origin: rule.origin, what, why, hint })));
    return refused.length === 0;
  });
  return { rules: kept, loosened };
}

/**
 * Why a passthrough that leads elsewhere than it says is refused; null: it may. What the rules say of
 * the name they must say of that place, and in the project links are not the user's own.
 */
export function refusedPlace(policy: CompiledPolicy, { origin }: CompiledRule, path: Bytes, real: Bytes): string | null {
  const engine = engineOf(policy);
  if (real === path || engine.paths(['changes.accept'], path).length > 0) return null;
  const [home, project] = [fromText(policy.home), fromText(policy.project)];
  if (isWithin(path, project) && !isWithin(home, project)) return `a link in the project leads to ${toText(real)}`;
  const found = origin.layer === 'built-in' || origin.layer === 'profile' ? null : refusalOf(engine, real, home, project);
  return found === null ? null : `a link leads to ${toText(real)}, and ${found.why}`;
}

function refusalOf(engine: Engine, path: Bytes, home: Bytes, project: Bytes): { why: string; hint: string | null } | null {
  const hide = engine.paths(['files.hide'], path).find((rule) => !engine.holdsException(rule, path));
  if (hide !== undefined) return { why: `\`${hide.id}\` hides it`, hint: null };
  if (engine.paths(['changes.accept'], path).length > 0) return null;
  const hint = 'Name it in `changes.accept` as well (or give --passthrough twice) if you mean it';
  if (isWithin(home, path)) return { why: 'it holds the home directory', hint };
  if (isWithin(project, path)) return { why: 'it holds the project', hint };
  // That a path lies outside the project is no reason: that is what passthrough is for.
  const control = engine.paths(['changes.control'], path).find((rule) => rule.id !== 'control.outside');
  if (control !== undefined) return { why: `it is a control path (\`${control.id}\`)`, hint };
  const inside = engine.rules(['changes.control', 'files.hide']).find((rule) => rule.subjects.paths.some(({ base }) => base !== '/' && isWithin(fromText(base), path)));
  return inside === undefined ? null : { why: `what \`${inside.id}\` names lies in it`, hint };
}
