import { promises as dns } from 'node:dns';
import type { Answer, RecordType } from 'dns-packet';
import { errnoOf } from '../errors.js';

/** The part of `dns.promises.Resolver` that is used; a seam for tests. */
export type RecordSource = Pick<dns.Resolver, 'resolveMx' | 'resolveSrv' | 'resolveTxt'>;

const TTL = 60;
/** What the gate takes. */
const MAX_PACKET = 4096;

/** A whole DNS packet; or there is no such record, or nobody could tell. */
export type Records = Buffer | 'nodata' | 'servfail';

/** Looks up the records of an allowed name that hold no address: MX 15, TXT 16, SRV 33. */
export function makeRecords(source: RecordSource = new dns.Resolver({ timeout: 2000, tries: 2 })): (name: string, type: number) => Promise<Records> {
  return async (name, type) => {
    try {
      const [kind, answers] = await lookUp(source, name, type);
      // Rarely needed: loaded at the first such question.
      const { default: packets } = await import('dns-packet');
      const packet = packets.encode({ type: 'response', flags: 0x180, questions: [{ type: kind, name, class: 'IN' }], answers });
      return packet.length <= MAX_PACKET ? packet : 'servfail';
    } catch (error) {
      return ['ENODATA', 'ENOTFOUND'].includes(errnoOf(error) ?? '') ? 'nodata' : 'servfail';
    }
  };
}

async function lookUp(source: RecordSource, name: string, type: number): Promise<[RecordType, Answer[]]> {
  if (type === 15) {
    const found = await source.resolveMx(name);
    return ['MX', found.map(({ exchange, priority }) => ({ type: 'MX', name, ttl: TTL, data: { exchange, preference: priority } }))];
  }
  if (type === 16) {
    const found = await source.resolveTxt(name);
    return ['TXT', found.map((data) => ({ type: 'TXT', name, ttl: TTL, data }))];
  }
  const found = await source.resolveSrv(name);
  return ['SRV', found.map(({ name: target, port, priority, weight }) => ({ type: 'SRV', name, ttl: TTL, data: { target, port, priority, weight } }))];
}
