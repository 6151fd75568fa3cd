import { makeAsking, type AskOptions } from '../../src/gate/ask.js';
import type { ConnQuestion } from '../../src/gate/channel.js';
import type { DecideOptions } from '../../src/gate/decide.js';
import { gateHost } from '../../src/gate/names.js';
import type { HostGrants } from '../../src/policy/document.js';
import { isPublic } from '../../src/policy/ip.js';
import type { HostJudgement } from '../../src/policy/judge.js';
import type { Upstream } from '../../src/policy/upstream.js';

/** Nobody is waited for long. */
export const ASK: AskOptions = { now: () => Date.now(), elapsed: () => performance.now(), newId: () => 'q1', enabled: true, holdMs: 50, keepMs: 1000, maxOpen: 100, perMinute: 100 };
/** A question about one port, by nobody in particular. */
export const about = (host: string, port = 443): Parameters<ReturnType<typeof makeAsking>['ask']>[0] => ({ host, port, rule: `${host}:${port}`, note: null, who: null });

/** What rules allow and deny by name, and where names lead. What is in neither list is asked. */
export interface World {
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
  readonly private?: boolean;
  readonly names?: Readonly<Record<string, readonly string[]>>;
  readonly own?: readonly string[];
  readonly flags?: HostGrants;
  readonly ask?: Partial<AskOptions>;
  readonly upstream?: Upstream | null;
  readonly unusedProxy?: string;
}

/** What the gate decides by in that world. */
export function options(world: World = {}): DecideOptions {
  const judge: DecideOptions['judge'] = ({ host, addresses = [] }): HostJudgement => {
    const base = { origin: null, why: 'w', also: [], silent: false };
    if (world.deny?.includes(host) === true) return { ...base, verdict: 'deny', rule: 'deny.rule', final: true };
    if (world.private !== true && [host, ...addresses].some((one) => gateHost(one).kind === 'ip' && !isPublic(one))) return { ...base, verdict: 'deny', rule: 'net.private', final: true };
    return world.allow?.includes(host) === true ? { ...base, verdict: 'allow', rule: 'allow.rule', final: false } : { ...base, verdict: 'ask', rule: 'network.default', final: false };
  };
  return {
    judge,
    flags: () => world.flags ?? {},
    isPrivate: () => world.private === true,
    resolve: (name) => Promise.resolve(world.names?.[name] === undefined ? { kind: 'none', missing: true, why: 'it does not exist' } : { kind: 'addresses', addresses: world.names[name] }),
    asking: makeAsking({ ...ASK, ...world.ask }),
    ownAddresses: () => new Set(world.own),
    forwards: new Map(),
    ...{ upstream: world.upstream ?? null, unusedProxy: world.unusedProxy ?? null },
  };
}

/** A connection to a name; null: by address. */
export const conn = (name: string | null, port = 443, ip = '198.19.0.1'): ConnQuestion => ({ t: 'conn', id: 1, name, ip, port, stray: false, forward: false, begun: false });
