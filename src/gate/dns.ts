import type { GateCommand, GateMessage } from './channel.js';
import type { HostJudgement } from '../policy/judge.js';
import { isOver } from '../policy/upstream.js';
import { originText, type DecideOptions } from './decide.js';
import { gateHost, hostRule, hostText, isMetadata } from './names.js';
import type { Records } from './records.js';

/** What a lookup is judged by. */
export interface NameOptions extends Pick<DecideOptions, 'judge' | 'resolve' | 'asking' | 'upstream'> {
  /** what DNS says of a denied name: of an address the gate's own refusal says more than a missing name */
  readonly dnsDenied: 'address' | 'nxdomain' | 'refused';
  /** TXT, MX, SRV of allowed names */
  readonly records?: (name: string, type: number) => Promise<Records>;
}

/** An address that stands for a name allows nothing: a client that asks again before each connection may have it at once. */
const KEEP_MS = 5000;

/** What is decided of a name: refused, allowed to be asked upstream, or answered here alone. */
export interface NameNote {
  readonly verdict: 'allow' | 'deny';
  /** it leaves this machine */
  readonly isAsked: boolean;
  readonly rule: string;
  readonly origin: string | null;
  readonly why: string;
}

const TYPE = { A: 1, MX: 15, TXT: 16, AAAA: 28, SRV: 33 } as const;
/** No address can leak through these, so allowed names may have them. */
const FORWARDED: ReadonlySet<number> = new Set([TYPE.MX, TYPE.TXT, TYPE.SRV]);

/**
 * What a name is to be inside. An address is always a fake one that stands
 * for the name, so nothing is sent upstream before a connection is allowed;
 * no AAAA, HTTPS or SVCB, so that clients come by the one way that is judged.
 */
export async function answerName(
  options: NameOptions,
  question: Extract<GateMessage, { t: 'dns' }>,
  send: (reply: GateCommand) => void,
  note: (note: NameNote) => void,
): Promise<void> {
  const { id, type } = question;
  const fake = (): void => send({ t: 'dns', id, verdict: 'fake', keep: KEEP_MS });
  const simple = (verdict: 'nodata' | 'nxdomain' | 'refused' | 'servfail'): void => send({ t: 'dns', id, verdict });
  const refused = (rule: string, why: string): void => note({ verdict: 'deny', isAsked: false, rule, origin: null, why });
  const upstream = ({ rule, origin, why }: HostJudgement): void => note({ verdict: 'allow', isAsked: true, rule, origin: originText(origin), why });
  const here = (): void => note({ verdict: 'allow', isAsked: false, rule: 'net.lookup', origin: null, why: 'it was answered here, and nothing was asked upstream' });
  // The gate writes what stands in no host name as \DDD: such a name has no address, and is no rule's.
  if (question.name.includes('\\')) {
    here();
    return simple('nxdomain');
  }
  const host = gateHost(question.name);
  if (host.kind !== 'name' || isMetadata(host)) {
    refused(host.kind === 'name' ? 'net.metadata' : 'net.name', host.kind === 'bad' ? host.why : `${question.name} is never resolved`);
    return simple('nxdomain');
  }
  const judgement = options.judge({ host: hostText(host), port: 443 });
  const denied = judgement.verdict === 'deny' && judgement.final;
  if (denied && (judgement.silent || options.dnsDenied !== 'address')) {
    refused(judgement.rule, judgement.why);
    return simple(options.dnsDenied === 'refused' ? 'refused' : 'nxdomain');
  }
  const isOpen = judgement.verdict === 'allow' && options.asking.answered(hostRule(host))?.verdict !== 'deny';
  // A proxy may know names that the host's resolver doesn't.
  const isAsked = options.upstream === null || !isOver(options.upstream, host.name, 443);
  if ((type === TYPE.A || type === TYPE.AAAA) && isOpen && isAsked) {
    // An allowed name may be asked upstream: then a typing error looks like one, and a resolver that fails like
    // that. With no data for one of the two a client would take the name for one that has no address.
    upstream(judgement);
    const found = await options.resolve(host.name);
    if (found.kind === 'none') return simple(found.missing ? 'nxdomain' : 'servfail');
    return type === TYPE.A ? fake() : simple('nodata');
  }
  if (!isOpen || type === TYPE.A) here();
  if (type === TYPE.A) return fake();
  if (!FORWARDED.has(type) || !isOpen || options.records === undefined) return simple('nodata');
  upstream(judgement);
  const packet = await options.records(host.name, type);
  if (typeof packet === 'string') return simple(packet);
  return send({ t: 'dns', id, verdict: 'reply', packet: packet.toString('base64') });
}
