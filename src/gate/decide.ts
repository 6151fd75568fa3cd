import type { HostGrants } from '../policy/document.js';
import { privateEntry } from '../policy/grants.js';
import type { HostJudgement, HostQuestion } from '../policy/judge.js';
import { canonHost, type Host } from '../policy/host.js';
import { isOver, type Upstream } from '../policy/upstream.js';
import type { ConnQuestion, FirstQuestion, UdpQuestion } from './channel.js';
import type { Asking } from './ask.js';
import { exactRule, gateHost, hostText, isMetadata, isSameHost } from './names.js';
import { within, type Resolution, type Resolver } from './resolve.js';
import { upstreamText } from './via.js';

/** What a connection is judged by. */
export interface DecideOptions {
  readonly judge: (question: HostQuestion) => HostJudgement;
  readonly flags: (judgement: HostJudgement) => HostGrants;
  /** a rule that holds says `private: true` */
  readonly isPrivate: (judgement: HostJudgement) => boolean;
  readonly resolve: Resolver;
  readonly asking: Asking;
  /** addresses of this host's interfaces, canonical */
  readonly ownAddresses: () => ReadonlySet<string>;
  /** sandbox ports that lead to the host's loopback (`--connect-host`) */
  readonly forwards: ReadonlyMap<number, number>;
  /** the proxy that leads out, or null */
  readonly upstream: Upstream | null;
  /** a variable that names a proxy which the policy doesn't use */
  readonly unusedProxy: string | null;
}

/** `why` and `how` are told to the client, unless `silent`; `approval` is the question that was answered no. */
export interface Refused {
  readonly verdict: 'deny';
  readonly rule: string;
  readonly why: string;
  readonly how: string;
  readonly origin: string | null;
  readonly silent: boolean;
  readonly approval: string | null;
}

/** The vetted addresses to dial, in order, and what the rule grants beside. */
export interface Allowed {
  readonly verdict: 'allow';
  readonly host: Host;
  readonly addresses: readonly string[];
  readonly port: number;
  readonly rule: string;
  readonly origin: string | null;
  readonly approval: string | null;
  readonly flags: HostGrants;
  /** the addresses are this proxy's */
  readonly via: Upstream | null;
}

/** The last word about one connection. */
export type Decision = Allowed | Refused;

/** Where a connection wants to go. */
type Wanted = Pick<ConnQuestion, 'name' | 'ip' | 'port' | 'stray'>;

/** How far a decision got before somebody has to be asked. */
export type FirstLook =
  | { readonly kind: 'decided'; readonly decision: Refused }
  | { readonly kind: 'dial'; readonly host: Host; readonly judgement: HostJudgement; readonly approval: string | null }
  | { readonly kind: 'ask'; readonly host: Host; readonly judgement: HostJudgement; readonly rule: string };

/** Everything that needs neither a person nor the resolver. */
export function lookAt(options: DecideOptions, wanted: Wanted): FirstLook {
  const decided = (decision: Refused): FirstLook => ({ kind: 'decided', decision });
  if (wanted.stray) return decided(refuse('net.stray', `${wanted.ip} was given to no name`, 'Resolve the name again, inside this sandbox.'));
  if (wanted.port === 0) return decided(refuse('net.port', `${wanted.name ?? wanted.ip}: nothing listens on port 0`));
  const host = gateHost(wanted.name ?? wanted.ip);
  if (host.kind === 'bad') return decided(refuse('net.name', host.why));
  if (isMetadata(host)) return decided(refuse('net.metadata', `${hostText(host)} gives out the machine's own credentials`));
  const judgement = options.judge({ host: hostText(host), port: wanted.port });
  if (judgement.verdict === 'deny') return decided(judged(judgement, host, wanted.port));
  const rule = exactRule(host, wanted.port);
  const standing = options.asking.answered(rule);
  if (standing?.verdict === 'deny') return decided({ ...refuse(standing.rule, `${rule}: ${standing.why}`), approval: standing.approval });
  if (judgement.verdict === 'allow') return { kind: 'dial', host, judgement, approval: null };
  if (standing?.verdict === 'allow') return { kind: 'dial', host, judgement, approval: standing.approval };
  return { kind: 'ask', host, judgement, rule };
}

/** Resolves once, vets every answer, and returns exactly what may be dialled. */
export async function vet(options: DecideOptions, look: Extract<FirstLook, { kind: 'dial' }>, port: number): Promise<Decision> {
  const { host, approval } = look;
  options.asking.use(exactRule(host, port));
  const via = options.upstream !== null && isOver(options.upstream, hostText(host), port) ? options.upstream : null;
  const found = await addressesOf(options, host, via);
  if (found.kind === 'none' && via === null) return refuse('net.resolve', `${hostText(host)} can't be reached: ${found.why}`, mendName(options, hostText(host)));
  const addresses = found.kind === 'none' ? [] : found.addresses;
  const credentials = addresses.find((ip) => isMetadata(canonHost(ip)));
  if (credentials !== undefined) return refuse('net.metadata', `${hostText(host)} leads to ${credentials}, which gives out the machine's own credentials`);
  const judgement = options.judge({ host: hostText(host), port, ...(addresses.length === 0 ? {} : { addresses }) });
  if (judgement.verdict === 'deny') return judged(judgement, host, port);
  const own = addresses.find((ip) => options.ownAddresses().has(ip));
  if (own !== undefined && !options.isPrivate(judgement)) return refuse('net.own', `${hostText(host)} leads to this machine itself (${own})`, privateMend(judgement, host, port));
  const { rule, origin } = judgement;
  const allowed = { verdict: 'allow', host, addresses, port, rule, origin: originText(origin), approval, flags: options.flags(judgement), via } as const;
  return via === null ? allowed : through(options, via, allowed);
}

/** How long the host's resolver may take over a name that a proxy will look up anyway. */
const KNOWN_MS = 1000;

/** What the host's own resolver knows is vetted, whatever way it is reached. */
function addressesOf({ resolve }: DecideOptions, host: Host, via: Upstream | null): Promise<Resolution> {
  if (host.kind === 'ip') return Promise.resolve({ kind: 'addresses', addresses: [host.ip] });
  const found = resolve(hostText(host));
  return via === null ? found : within(found, KNOWN_MS);
}

/** The user named the proxy, so it may be anywhere. */
async function through({ resolve }: DecideOptions, via: Upstream, allowed: Allowed): Promise<Decision> {
  const proxy = gateHost(via.host);
  const found = proxy.kind === 'ip' ? { kind: 'addresses' as const, addresses: [proxy.ip] } : await resolve(via.host);
  if (found.kind === 'none') return refuse('net.upstream', `the proxy ${upstreamText(via)} can't be reached: ${found.why}`);
  return { ...allowed, addresses: found.addresses, port: via.port };
}

/** A forwarded port of the sandbox's loopback: named on the command line, so nothing else is asked. */
export function forwardOf(options: DecideOptions, question: ConnQuestion): Decision {
  const port = options.forwards.get(question.port);
  if (port === undefined) return refuse('net.forward', `port ${question.port} is not forwarded`);
  return { verdict: 'allow', host: { kind: 'ip', ip: '127.0.0.1' }, addresses: ['127.0.0.1'], port, rule: 'net.forward', origin: null, approval: null, flags: { raw: true }, via: null };
}

/** First bytes that don't agree with the name, or that only a rule can pass. Null: they may pass. */
export function judgeFirst(options: DecideOptions, allowed: Allowed, port: number, first: FirstQuestion): Refused | null {
  const { host, flags } = allowed;
  const name = hostText(host);
  if (first.spoke === 'bad') return refuse('net.malformed', `what was sent to ${name}:${port} is ambiguous or malformed`, unreadMend(host, port));
  if (port === 443 && first.spoke !== 'tls') return refuse('net.tls-required', `port 443 of ${name} carries only TLS`, unreadMend(host, port));
  if (port === 80 && first.spoke !== 'http') return refuse('net.http-required', `port 80 of ${name} carries only HTTP`, unreadMend(host, port));
  // What is asked for inside TLS can't be seen.
  if (flags.methods !== undefined && first.spoke !== 'http') return refuse('net.http-required', `the rule for ${name} is about HTTP methods: only plain HTTP may pass`);
  if (first.spoke === 'tls') return judgeTls(options, allowed, port, first);
  return first.spoke === 'http' ? judgeHttp(allowed, port, first) : null;
}

function judgeTls(options: DecideOptions, { host, flags }: Allowed, port: number, { sni, ech }: FirstQuestion): Refused | null {
  const name = hostText(host);
  if (ech && flags.hiddenName !== true) return refuse('net.ech', `the client hides the name it asks ${name} for (Encrypted ClientHello)`, 'Turn ECH off in the client.');
  if (sni === null) {
    return host.kind === 'ip' || flags.hiddenName === true ? null : refuse('net.sni-missing', `the client does not say which name it asks ${name} for (no SNI)`);
  }
  if (host.kind === 'name') return isSameHost(sni, host) ? null : refuse('net.sni-mismatch', `the client asks ${name} for another name: ${printable(sni)}`);
  // By address, the name is only a claim: it can't open anything, but it can be denied.
  const claim = gateHost(sni);
  if (claim.kind === 'bad') return refuse('net.name', claim.why);
  const judgement = options.judge({ host: hostText(claim), port });
  return isMetadata(claim) || judgement.verdict === 'deny' ? judged(judgement, claim, port) : null;
}

function judgeHttp({ host, flags }: Allowed, port: number, first: FirstQuestion): Refused | null {
  const name = hostText(host);
  const said = first.authority ?? first.host ?? '';
  const mend = unreadMend(host, port);
  if (first.method === 'CONNECT') return refuse('net.connect', `CONNECT through ${name} is not allowed`, mend);
  if (first.method === 'PRI') return refuse('net.http2', `HTTP/2 without TLS to ${name}:${port} names hosts that are not read`, mend);
  if (said === '') return refuse('net.host-mismatch', `the request to ${name}:${port} names no host`, mend);
  if (first.host === null || !isSameHost(first.host, host) || (first.authority !== null && !isSameHost(first.authority, host)) || (first.hostPort !== null && first.hostPort !== port)) {
    const other = first.hostPort !== null && first.hostPort !== port ? `${said}:${first.hostPort}` : said;
    return refuse('net.host-mismatch', `the request to ${name}:${port} is for another host: ${printable(other)}`, mend);
  }
  if (flags.methods === undefined) return null;
  if (first.override) return refuse('net.method', `the request to ${name} asks by a header or its query for another method, which is not allowed`);
  if (first.upgrade) return refuse('net.upgrade', `the request to ${name} asks to switch protocols: the rule is about HTTP methods, and none could be seen after that`);
  if (flags.methods.includes(first.method ?? '')) return null;
  return refuse('net.method', `${first.method ?? ''} to ${name} is not allowed`);
}

/** A datagram flow: only by a rule that says `udp`. */
export async function decideUdp(options: DecideOptions, question: UdpQuestion): Promise<Decision> {
  const look = lookAt(options, question);
  if (look.kind === 'decided') return look.decision;
  const host = hostText(look.host);
  const none = refuse('net.udp', `UDP to ${host}:${question.port} needs a rule with \`udp: true\``);
  if (look.kind === 'ask' || options.flags(look.judgement).udp !== true) return none;
  // No proxy takes datagrams.
  const decision = await vet({ ...options, upstream: null }, look, question.port);
  return decision.verdict === 'allow' && decision.flags.udp !== true ? none : decision;
}

/** A refusal that no rule of a policy is behind; `rule` is an id of ours. */
export function refuse(rule: string, why: string, how = ''): Refused {
  return { verdict: 'deny', rule, why, how, origin: null, silent: false, approval: null };
}

/** For a proxy, a tunnel, gRPC: the rule says that nobody reads along. */
function unreadMend(host: Host, port: number): string {
  const text = hostText(host);
  return `If it is meant to pass unread: add \`{host: ${text.includes(':') ? `"${text}"` : text}, ports: [${port}], raw: true}\` to network.allow of your policy.`;
}

/** Search domains would make another name of it, one that nobody judged. */
function mendName({ unusedProxy }: DecideOptions, name: string): string {
  if (!name.includes('.')) return 'Write its full name: search domains are not tried.';
  return unusedProxy === null ? 'Check the name.' : `Check the name. If ${unusedProxy} is the only way out: add \`network: {upstream: environment}\` to your policy.`;
}

function privateMend(judgement: HostJudgement, host: Host, port: number): string {
  return `If it is meant to: add \`${privateEntry(judgement, hostText(host), port)}\` to network.allow of your policy.`;
}

function judged(judgement: HostJudgement, host: Host, port: number): Refused {
  const { rule, why, origin, silent, final } = judgement;
  const how = rule === 'net.private' ? privateMend(judgement, host, port) : final ? '' : `To allow it: add \`${exactRule(host, port)}\` to network.allow of your policy.`;
  return { verdict: 'deny', rule, why: `${exactRule(host, port)}: ${why}`, how, origin: originText(origin), silent, approval: null };
}

/** `FILE:LINE`, or the file alone where the rule is not of a line. */
export function originText(origin: HostJudgement['origin']): string | null {
  return origin === null ? null : origin.line > 0 ? `${origin.file}:${origin.line}` : origin.file;
}

function printable(text: string): string {
  return text.slice(0, 100).replace(/[^\x21-\x7e]/g, '?');
}
