import { PassThrough, Duplex } from 'node:stream';
import type { AuditEvent } from '../../src/audit/event.js';
import type { Audit } from '../../src/audit/write.js';
import type { GateCommand, GateMessage } from '../../src/gate/channel.js';
import { startGate, type Gate, type GateOptions } from '../../src/gate/gate.js';
import { encodeFrame, frameReader } from '../../src/kernel/frames.js';
import { tempDir } from '../kernel/temp.js';
import { policyOf } from '../policy/make.js';

/** The supervisor's part alone; a test plays the gate's. */
export interface Played {
  readonly gate: Gate;
  readonly dir: string;
  readonly say: (...messages: readonly Partial<GateMessage>[]) => void;
  /** what was recorded and what was sent, as it came */
  readonly seen: (AuditEvent | GateCommand)[];
  readonly records: (kind: AuditEvent['kind']) => readonly AuditEvent[];
  /** the answer to a question, once it is there */
  readonly answer: (t: GateCommand['t'], id: number) => Promise<GateCommand>;
  readonly end: () => void;
}

export interface Play {
  readonly allow?: readonly object[];
  readonly deny?: readonly string[];
  readonly ask?: Partial<GateOptions['ask']>;
  readonly resolve?: GateOptions['resolve'];
  readonly records?: GateOptions['records'];
}

export async function play({ allow = [], deny = [], ask = {}, resolve, records }: Play): Promise<Played> {
  const network = { allow: allow.map((rule) => ({ id: 'test.allow', ...rule })), deny: deny.map((host) => ({ host, id: 'test.deny' })), default: 'ask' };
  const policy = await policyOf({ user: JSON.stringify({ version: 1, network }) });
  const [said, answers] = [new PassThrough(), new PassThrough()];
  const stream = Duplex.from({ readable: said, writable: answers });
  const seen: Played['seen'] = [];
  answers.on('data', frameReader((command) => seen.push(command as GateCommand)));
  const record = (event: AuditEvent): number => seen.push(event);
  const audit: Audit = { record, recordAll: (events) => events.forEach(record), dropped: () => 0, newest: () => null, isEnd: () => true, sync: () => undefined, close: () => undefined, seal: () => undefined, leave: () => undefined };
  const say: Played['say'] = (...messages) => messages.forEach((message) => said.write(encodeFrame(message)));
  say({ t: 'ready', version: 1, rung: 'tproxy', ipv6: true, udp: true, limit: 100 } as Partial<GateMessage>);
  let ids = 0;
  const dir = tempDir();
  const gate = await startGate({
    ...{ stream, policy, audit, dir, now: () => new Date(0), newId: () => `q${(ids += 1)}` },
    ask: { enabled: true, person: true, timeoutMs: 60_000, approver: null, onChanged: () => undefined, stored: [], store: () => undefined, ...ask },
    ...{ publish: [], connectHost: new Map(), upstream: null, unusedProxy: null },
    resolve: resolve ?? (() => Promise.resolve({ kind: 'addresses', addresses: ['93.184.216.34'] })),
    ...(records === undefined ? {} : { records }),
  });
  const find = (t: GateCommand['t'], id: number): GateCommand | undefined => seen.find((one): one is GateCommand => 't' in one && one.t === t && 'id' in one && one.id === id);
  return {
    ...{ gate, dir, say, seen },
    records: (kind) => seen.filter((one): one is AuditEvent => 'kind' in one && one.kind === kind),
    answer: async (t, id) => {
      for (let looks = 0; find(t, id) === undefined; looks += 1) {
        if (looks === 2000) throw new Error(`nothing was said of ${t} ${id}`);
        await new Promise((next) => void setTimeout(next, 5));
      }
      return find(t, id)!;
    },
    end: () => void stream.destroy(),
  };
}

export const conn = (id: number, name: string | null, more: object = {}): Partial<GateMessage> => ({ t: 'conn', id, name, ip: '198.19.0.1', port: 80, stray: false, forward: false, begun: false, ...more });
export const who = (id: number): Partial<GateMessage> => ({ t: 'who', id, pid: 7, exe: '/bin/sh', cwd: '/', argv: 'sh\0' } as Partial<GateMessage>);
export const close = (id: number, more: object = {}): Partial<GateMessage> => ({ t: 'close', id, up: 1, down: 2, ms: 3, ...more });
export const first = (id: number, host: string): Partial<GateMessage> => ({ t: 'first', id, spoke: 'http', method: 'GET', host, target: '/', override: false, upgrade: false });
