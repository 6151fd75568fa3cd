import { fromText, isWithin } from '../bytes.js';
import type { CompiledRule, Loosening } from './compiled.js';
import { pathMatcher } from './match.js';
import type { PathPattern } from './pattern.js';

/**
 * Takes out passthroughs that reach around the commit: of hidden or control
 * paths, of what holds such paths, of the home or the project as a whole. The
 * same path in `changes.accept` (or `--passthrough` given twice) states that it
 * is meant. Shipped profiles are exempt: each was looked at.
 */
export function refusePassthroughs(rules: readonly CompiledRule[], home: string, project: string): { rules: CompiledRule[]; loosened: Loosening[] } {
  const guards = rules.filter((rule) => rule.list === 'changes.control' || rule.list === 'files.hide');
  const entries = guards.flatMap((rule) => rule.subjects.paths.map((pattern): [PathPattern, CompiledRule] => [pattern, rule]));
  const accepted = pathMatcher(rules.filter((rule) => rule.list === 'changes.accept').flatMap((rule) => rule.subjects.paths.map((pattern) => [pattern, true] as const)), 'exact');
  const matcher = pathMatcher(entries, 'covering');
  const loosened: Loosening[] = [];
  const kept = rules.filter((rule) => {
    if (rule.list !== 'files.passthrough' || rule.origin.layer === 'built-in' || rule.origin.layer === 'profile') return true;
    for (const { base, text } of rule.subjects.paths) {
      const path = fromText(base);
      const hidden = guards.find((guard) => guard.list === 'files.hide' && matcher.all(path).includes(guard));
      const [control] = matcher.all(path);
      const inside = entries.find(([pattern]) => pattern.base !== '/' && pattern.base !== base && isWithin(fromText(pattern.base), path))?.[1];
      const whole = isWithin(fromText(home), path) ? 'it holds the home directory' : isWithin(fromText(project), path) ? 'it holds the project' : null;
      const why = hidden !== undefined ? `\`${hidden.id}\` hides it` : control !== undefined ? `it is a control path (\`${control.id}\`)` : inside !== undefined ? `\`${inside.id}\` lies in it` : whole;
      if (why === null || (hidden === undefined && accepted.all(path).length > 0)) continue;
      loosened.push({ origin: rule.origin, what: `passthrough ${text}`, why, hint: hidden === undefined ? 'Name it in `changes.accept` as well (or give --passthrough twice) if you mean it' : null });
      return false;
    }
    return true;
  });
  return { rules: kept, loosened };
}
