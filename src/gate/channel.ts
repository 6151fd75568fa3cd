import type { Duplex } from 'node:stream';
import type { AuditSubject } from '../audit/event.js';
import { errnoOf } from '../errors.js';
import { flagField, numberField, objectField, textField, type Fields } from '../fields.js';
import { encodeFrame, frameReader } from '../kernel/frames.js';
import { argvOf } from './who.js';

/** What the gate asks and tells; docs/gate-protocol.md. */
export type GateMessage =
  | { readonly t: 'ready'; readonly rung: string; readonly ipv6: boolean; readonly udp: boolean; readonly limit: number }
  | { readonly t: 'dns'; readonly id: number; readonly name: string; readonly type: number }
  | ConnQuestion
  | FirstQuestion
  | UdpQuestion
  | WhoReport
  | LeftReport
  | { readonly t: 'ingress'; readonly id: number; readonly door: number; readonly ip: string; readonly port: number; readonly inside: number }
  | { readonly t: 'door'; readonly id: number; readonly error: string | null; readonly port: number }
  | CloseReport
  | StatsReport;

/** The process behind a connection; pid 0: it can't be told. What it was is told where it fits a message. */
export interface WhoReport {
  readonly t: 'who';
  readonly id: number;
  readonly pid: number;
  readonly process: Omit<AuditSubject, 'pid'> | null;
}

/** A held client has said something and gone: it would have reached a server. */
export interface LeftReport {
  readonly t: 'left';
  readonly id: number;
}

/** A new connection, accepted and held. */
export interface ConnQuestion {
  readonly t: 'conn';
  readonly id: number;
  /** what DNS was asked for this address; null: the client dialled the address itself */
  readonly name: string | null;
  readonly ip: string;
  readonly port: number;
  /** an address of the gate's own range that was never given out */
  readonly stray: boolean;
  /** one of the sandbox's own ports that was forwarded to the host */
  readonly forward: boolean;
  /** like one that was allowed moments ago, and begun at once: the answer, which must say `begun` too, confirms or cuts it */
  readonly begun: boolean;
}

/** First bytes of a client that the gate could not pass by itself. */
export interface FirstQuestion {
  readonly t: 'first';
  readonly id: number;
  readonly spoke: 'tls' | 'http' | 'other' | 'bad' | 'nothing';
  readonly sni: string | null;
  readonly alpn: string | null;
  readonly ech: boolean;
  readonly method: string | null;
  readonly host: string | null;
  readonly hostPort: number | null;
  readonly target: string | null;
  /** of an absolute-form or CONNECT target */
  readonly authority: string | null;
  /** a header or the query asks for another method than the line */
  readonly override: boolean;
  /** the request asks to switch to a protocol that is not read */
  readonly upgrade: boolean;
}

/** A new datagram flow; `name` null: by address. docs/gate-protocol.md has all messages. */
export interface UdpQuestion {
  readonly t: 'udp';
  readonly id: number;
  readonly name: string | null;
  readonly ip: string;
  readonly port: number;
  readonly stray: boolean;
}

/** The end of a connection or flow; `up` and `down` in bytes that the agent sent and got. */
export interface CloseReport {
  readonly t: 'close';
  readonly id: number;
  readonly up: number;
  readonly down: number;
  readonly ms: number;
  readonly spoke: string | null;
  readonly alpn: string | null;
  readonly method: string | null;
  /** errno name, or null */
  readonly error: string | null;
  /** the status by which the proxy refused, or 0 */
  readonly proxy: number;
}

/** How many of each the gate holds now. */
export interface StatsReport {
  readonly t: 'stats';
  readonly id: number;
  readonly conns: number;
  readonly limit: number;
  readonly names: number;
  readonly flows: number;
  readonly dns: number;
}

/** Why something is refused, in the words the client will read. */
export interface Refusal {
  readonly rule: string;
  readonly message: string;
  /** what to do about it; may be empty */
  readonly how: string;
}

/** Of a connection through a proxy. */
export interface Via {
  /** sent before anything else; nothing passes until it was answered */
  readonly tunnel?: string;
  /** stands before the path in each request's target */
  readonly prefix?: string;
  /** header lines of each request */
  readonly extra?: string;
}

/** What the supervisor answers and orders. */
export type GateCommand =
  | { readonly t: 'dns'; readonly id: number; readonly verdict: 'nodata' | 'nxdomain' | 'refused' | 'servfail' }
  /** keep: so many ms the gate gives the name its address again without a question */
  | { readonly t: 'dns'; readonly id: number; readonly verdict: 'fake'; readonly keep: number }
  | { readonly t: 'dns'; readonly id: number; readonly verdict: 'reply'; readonly packet: string }
  | {
      readonly t: 'conn'; readonly id: number; readonly verdict: 'allow';
      /** vetted; dialled in this order, nothing else is */
      readonly addrs: readonly string[];
      readonly port: number;
      readonly expect: 'any' | 'tls' | 'http';
      readonly check: 'match' | 'always' | 'never';
      /** for so many ms the gate may begin the like at once; 0: not */
      readonly keep?: number;
      readonly begun?: boolean;
    } & Via
  /** the client dialled the proxy: it is asked about again, as what the client asks that for */
  | { readonly t: 'conn'; readonly id: number; readonly verdict: 'proxy' }
  | ({ readonly t: 'conn' | 'first'; readonly id: number; readonly verdict: 'deny'; readonly begun?: boolean } & Refusal)
  /** methods: those of the requests that follow on the connection; without it, that of the first */
  | { readonly t: 'first'; readonly id: number; readonly verdict: 'allow'; readonly methods?: readonly string[] }
  | { readonly t: 'udp'; readonly id: number; readonly verdict: 'allow'; readonly addr: string; readonly port: number }
  | { readonly t: 'udp'; readonly id: number; readonly verdict: 'deny' }
  | { readonly t: 'cut' | 'shut' | 'stats'; readonly id: number }
  /** begins nothing at once any more */
  | { readonly t: 'forget' }
  | { readonly t: 'publish'; readonly id: number; readonly addr: string; readonly port: number; readonly inside: number }
  | { readonly t: 'forward'; readonly id: number; readonly port: number };

/** The supervisor's end of fd 5. */
export interface Channel {
  /** all in one write */
  readonly send: (...commands: readonly GateCommand[]) => void;
  /** ends the gate: every connection is reset */
  readonly close: () => void;
  /** settles when the gate's end is closed; with the error that broke it, or null */
  readonly ended: Promise<Error | null>;
}

/** A gate that ended before it read all: its run may be over, and if not the driver ends it and says so. */
function isEnd(error: Error): boolean {
  return ['EPIPE', 'ECONNRESET'].includes(errnoOf(error) ?? '');
}

/** The supervisor's end of the gate's channel. A message that can't be read ends it. */
export function openChannel(stream: Duplex, onMessage: (message: GateMessage) => void): Channel {
  const read = frameReader((value) => onMessage(parseMessage(value)));
  const ended = new Promise<Error | null>((resolve) => {
    stream.on('data', (chunk: Buffer) => {
      try {
        read(chunk);
      } catch (error) {
        resolve(error as Error);
        stream.destroy();
      }
    });
    stream.on('error', (error) => resolve(isEnd(error) ? null : error));
    stream.on('close', () => resolve(null));
    // A driver that failed at once: nothing is heard of that any more.
    if (stream.destroyed) resolve(null);
  });
  const send = (...commands: readonly GateCommand[]): void => {
    if (stream.writable) stream.write(Buffer.concat(commands.map((command) => encodeFrame(command))));
  };
  return { send, close: () => void stream.destroy(), ended };
}

/** Of the gate's process, which reads what the agent sends. Throws for what docs/gate-protocol.md doesn’t have. */
export function parseMessage(value: unknown): GateMessage {
  const fields = objectField(value, 'the message');
  const t = textField(fields['t'], 't');
  switch (t) {
    case 'conn':
      return { t, ...endpoint(fields), forward: flagField(fields['forward'], 'forward'), begun: flagField(fields['begun'], 'begun') };
    case 'udp':
      return { t, ...endpoint(fields) };
    case 'dns':
      return { t, id: id(fields), name: textField(fields['name'], 'name'), type: count(fields, 'type') };
    case 'first':
      return first(fields);
    case 'close':
      return {
        ...{ t, id: id(fields), up: count(fields, 'up'), down: count(fields, 'down'), ms: count(fields, 'ms') },
        ...{ spoke: text(fields, 'spoke'), alpn: text(fields, 'alpn'), method: text(fields, 'method'), error: text(fields, 'error'), proxy: fields['proxy'] === undefined ? 0 : count(fields, 'proxy') },
      };
    case 'who':
      return { t, id: id(fields), pid: count(fields, 'pid'), process: processOf(fields) };
    case 'left':
      return { t, id: id(fields) };
    case 'ingress':
      return { t, id: id(fields), door: count(fields, 'door'), ip: textField(fields['ip'], 'ip'), port: count(fields, 'port'), inside: count(fields, 'inside') };
    case 'door':
      return { t, id: id(fields), error: text(fields, 'error'), port: count(fields, 'port') };
    case 'ready':
      if (fields['version'] !== 1) throw new Error('the gate speaks another version');
      return { t, rung: textField(fields['rung'], 'rung'), ipv6: flagField(fields['ipv6'], 'ipv6'), udp: flagField(fields['udp'], 'udp'), limit: count(fields, 'limit') };
    case 'stats':
      return { t, id: id(fields), conns: count(fields, 'conns'), limit: count(fields, 'limit'), names: count(fields, 'names'), flows: count(fields, 'flows'), dns: count(fields, 'dns') };
    default:
      throw new Error(`the gate sent an unknown message ${JSON.stringify(t)}`);
  }
}

function endpoint(fields: Fields): Omit<UdpQuestion, 't'> {
  return { id: id(fields), name: text(fields, 'name'), ip: textField(fields['ip'], 'ip'), port: count(fields, 'port'), stray: flagField(fields['stray'], 'stray') };
}

function processOf(fields: Fields): WhoReport['process'] {
  const [exe, cwd, argv] = [text(fields, 'exe'), text(fields, 'cwd'), text(fields, 'argv')];
  if (exe === null || cwd === null || argv === null) return null;
  return { exe: ofBytes(exe), cwd: ofBytes(cwd), argv: argvOf(ofBytes(argv)) };
}

/** Text that came from outside is escaped byte by byte. */
function ofBytes(text: string): string {
  return Buffer.from(text, 'latin1').toString('utf8');
}

const SPOKE = ['tls', 'http', 'other', 'bad', 'nothing'] as const;

function first(fields: Fields): FirstQuestion {
  const spoke = SPOKE.find((word) => word === fields['spoke']);
  if (spoke === undefined) throw new Error('the gate sent unknown first bytes');
  return {
    ...{ t: 'first', id: id(fields), spoke, sni: text(fields, 'sni'), alpn: text(fields, 'alpn'), ech: fields['ech'] === true },
    ...{ method: text(fields, 'method'), host: text(fields, 'host'), target: text(fields, 'target'), authority: text(fields, 'authority'), override: fields['override'] === true, upgrade: fields['upgrade'] === true },
    hostPort: typeof fields['hostPort'] === 'number' ? fields['hostPort'] : null,
  };
}

function id(fields: Fields): number {
  return numberField(fields['id'], 'id');
}

function count(fields: Fields, name: string): number {
  return numberField(fields[name], name);
}

function text(fields: Fields, name: string): string | null {
  const value = fields[name];
  return value === undefined || value === null ? null : textField(value, name);
}
