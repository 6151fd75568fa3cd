import type { CompiledPolicy, CompiledRule, Origin, Setting } from './compiled.js';
import { GRANTS } from './document.js';
import type { HostPattern } from './host.js';
import { isStricter } from './settings.js';

/** One difference between two policies, and what it does to the agent. */
export interface PolicyDifference {
  readonly effect: 'allows' | 'forbids' | 'changes';
  /** for people: `network.allow x.org`, `changes.default: escalate → commit` */
  readonly what: string;
  readonly how: 'added' | 'removed' | 'changed';
  readonly origin: Origin;
}

/** What going from one policy to the other would allow or forbid. */
export function comparePolicies(before: CompiledPolicy, after: CompiledPolicy): PolicyDifference[] {
  const [old, now] = [byMeaning(before.rules), byMeaning(after.rules)];
  const removed = [...old].flatMap(([key, rule]) => (now.has(key) ? [] : [rule]));
  const differences: PolicyDifference[] = [];
  for (const [key, rule] of now) {
    if (old.has(key)) continue;
    const at = removed.findIndex((one) => meaningOf(one, NO_HOLES) === meaningOf(rule, NO_HOLES));
    const [was] = at < 0 ? [] : removed.splice(at, 1);
    differences.push(...(was === undefined ? [ruleDifference(rule, 'added')] : holeDifferences(was, rule)));
  }
  for (const rule of removed) differences.push(ruleDifference(rule, 'removed'));
  return [...differences, ...settingDifferences(before.settings, after.settings), ...variableDifferences(before, after)];
}

function byMeaning(rules: readonly CompiledRule[]): Map<string, CompiledRule> {
  return new Map(rules.map((rule) => [meaningOf(rule, rule.except), rule]));
}

const NO_HOLES = null;

function meaningOf(rule: CompiledRule, holes: CompiledRule['except'] | null): string {
  return JSON.stringify([rule.list, rule.subjects, holes, rule.ports, rule.private, rule.keys, rule.grants ?? null]);
}

/** The same rule with other holes: who decides about it reads which. */
function holeDifferences(before: CompiledRule, after: CompiledRule): PolicyDifference[] {
  const [old, now] = [holesOf(before), holesOf(after)];
  const isGrant = GRANTS.has(after.list);
  const told = (holes: readonly string[], allows: boolean): PolicyDifference[] => (holes.length === 0 ? [] : [{ effect: allows ? 'allows' : 'forbids', how: 'changed', what: `except ${after.id} ${holes.join(', ')}`, origin: after.origin }]);
  const differences = [...told(now.filter((hole) => !old.includes(hole)), !isGrant), ...told(old.filter((hole) => !now.includes(hole)), isGrant)];
  // Alike in words, as `./x` of two projects is: the whole rules then.
  return differences.length > 0 ? differences : [ruleDifference(after, 'added'), ruleDifference(before, 'removed')];
}

function holesOf({ except }: CompiledRule): string[] {
  return [...new Set([...except.paths.map(({ text }) => text), ...except.hosts.map(hostText), ...except.names])];
}

function ruleDifference(rule: CompiledRule, how: 'added' | 'removed'): PolicyDifference {
  const effect = GRANTS.has(rule.list) === (how === 'added') ? 'allows' : 'forbids';
  const { paths, hosts, names } = rule.subjects;
  const subjects = [...new Set([...paths.map(({ text }) => text), ...hosts.map(hostText), ...names])].join(', ');
  const holes = holesOf(rule);
  const extent = extentOf(rule);
  return { effect, how, what: `${rule.list} ${subjects}${extent === '' ? '' : ` (${extent})`}${holes.length === 0 ? '' : ` except ${holes.join(', ')}`}`, origin: rule.origin };
}

/** Letters of other alphabets may look like these: with them goes what is dialled. */
function hostText({ text, value }: HostPattern): string {
  return /^[\x20-\x7e]*$/.test(text) ? text : `${text} = ${value}`;
}

/** How far a rule on hosts goes: who trusts it reads that, too. */
function extentOf({ ports, private: inward, grants = {} }: CompiledRule): string {
  const { methods, ...flags } = grants;
  return [
    ...(ports === null ? [] : [ports === 'any' ? 'any port' : `port ${ports.join(', ')}`]),
    ...(inward ? ['private'] : []),
    ...Object.entries(flags).flatMap(([name, granted]) => (granted === true ? [name] : [])),
    ...(methods === undefined ? [] : [methods.join(', ')]),
  ].join('; ');
}

function settingDifferences(before: readonly Setting[], after: readonly Setting[]): PolicyDifference[] {
  const keys = [...new Set([...before, ...after].map(({ key }) => key))];
  return keys.flatMap((key): PolicyDifference[] => {
    const [old, now] = [before, after].map((settings) => settings.find((setting) => setting.key === key));
    if (old?.value === now?.value) return [];
    const stricter = old === undefined || (now !== undefined && isStricter(key, now.value, old.value));
    const origin = (now ?? old)?.origin;
    return origin === undefined ? [] : [{ effect: stricter ? 'forbids' : 'allows', how: 'changed', what: `${key}: ${old?.value ?? 'not set'} → ${now?.value ?? 'not set'}`, origin }];
  });
}

function variableDifferences(before: CompiledPolicy, after: CompiledPolicy): PolicyDifference[] {
  const differs = (from: CompiledPolicy, to: CompiledPolicy) => from.variables.filter((one) => to.variables.every((other) => other.name !== one.name || other.value !== one.value));
  return [
    ...differs(after, before).map(({ name, origin }) => ({ effect: 'changes', how: 'added', what: `environment.set ${name}`, origin }) as const),
    ...differs(before, after).filter(({ name }) => after.variables.every((other) => other.name !== name)).map(({ name, origin }) => ({ effect: 'changes', how: 'removed', what: `environment.set ${name}`, origin }) as const),
  ];
}
