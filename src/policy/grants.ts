import type { CompiledPolicy, CompiledRule } from './compiled.js';
import type { HostGrants } from './document.js';
import { isAbove, type HostJudgement } from './judge.js';

/** What the rules that let a connection through grant beyond the dial: all of them together, the managed floor's alone where there is one. */
export function hostGrants(policy: CompiledPolicy, judgement: HostJudgement): HostGrants {
  const rules = allowing(policy, judgement);
  const methods = rules.map(({ grants }) => grants?.methods);
  const limited = methods.length > 0 && methods.every((list) => list !== undefined);
  const has = (name: 'udp' | 'raw' | 'hiddenName'): boolean => rules.some(({ grants }) => grants?.[name] === true);
  return {
    ...(has('udp') ? { udp: true } : {}), ...(has('raw') ? { raw: true } : {}), ...(has('hiddenName') ? { hiddenName: true } : {}),
    ...(limited ? { methods: [...new Set(methods.flat())] as readonly string[] } : {}),
  };
}

/** True when a rule that holds says `private: true`. */
export function isPrivatelyAllowed(policy: CompiledPolicy, judgement: HostJudgement): boolean {
  return allowing(policy, judgement).some((rule) => rule.private);
}

/**
 * The entry for `network.allow` that lets a host have a private address: of
 * the set that names it, where one does. Never taken for granted: whoever
 * answers for a public name could otherwise send an agent to the local network.
 */
export function privateEntry({ also }: HostJudgement, host: string, port: number): string {
  const rule = also.find(({ list }) => list === 'network.allow');
  const set = /^([a-z][a-z0-9-]*): /.exec(rule?.subjects.hosts[0]?.text ?? '')?.[1];
  const name = set ?? (/^[a-z0-9.-]+$/.test(host) ? host : JSON.stringify(host));
  const ports = set === undefined ? [port] : (rule?.ports ?? null);
  return `{host: ${name}, ${ports === null ? '' : `ports: ${ports === 'any' ? 'any' : `[${ports.join(', ')}]`}, `}private: true}`;
}

function allowing(policy: CompiledPolicy, { rule, origin, also }: HostJudgement): readonly CompiledRule[] {
  const own = policy.rules.find((one) => one.list === 'network.allow' && one.id === rule && isSame(one.origin, origin));
  const found = [...(own === undefined ? [] : [own]), ...also.filter(({ list }) => list === 'network.allow')];
  const floored = policy.floor.some(({ key, value }) => key === 'network.default' && value !== 'allow');
  return floored ? found.filter((one) => isAbove(one.origin)) : found;
}

function isSame(a: CompiledRule['origin'], b: HostJudgement['origin']): boolean {
  return b !== null && a.file === b.file && a.line === b.line && a.col === b.col && a.layer === b.layer;
}
