import type { LookupAddress } from 'node:dns';
import { canonAddresses } from './names.js';

/** What a name resolves to; `missing`: it does not exist, else it could not be told. */
export type Resolution =
  | { readonly kind: 'addresses'; readonly addresses: readonly string[] }
  /** `missing`: there is no such name, rather than no answer about it */
  | { readonly kind: 'none'; readonly missing: boolean; readonly why: string };

/** Never rejects: a failure is a resolution of kind `none`. */
export type Resolver = (name: string) => Promise<Resolution>;

/** Times in ms. */
export interface ResolverOptions {
  /** `hostLookup`, over `dns.promises.lookup` with `all` */
  readonly lookup: (name: string) => Promise<readonly LookupAddress[]>;
  /** ms that only go forward */
  readonly now: () => number;
  readonly timeoutMs?: number;
  /** answers are kept this long, so that a storm of connections asks once */
  readonly keepMs?: number;
}

/**
 * What the host's own programs would get: its hosts file, then its resolver.
 * The final dot keeps search domains out: they would make another name of it.
 */
export function hostLookup(lookup: (name: string) => Promise<readonly LookupAddress[]>, hostsFile: () => string): ResolverOptions['lookup'] {
  return (name) => {
    const lines = hostsFile().split('\n').map((line) => line.replace(/#.*/, '').trim().split(/\s+/));
    const found = lines.filter(([, ...names]) => names.some((one) => one.toLowerCase() === name)).map(([address = '']) => address);
    if (found.length === 0) return lookup(`${name}.`);
    return Promise.resolve(found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })));
  };
}

/** lookup(3) blocks a thread of Node's pool of four: one is always left. */
const CONCURRENT = 3;
const QUEUE = 256;
const KEPT = 1024;

/** Resolves on the host, bounded in time, number and memory: a resolver that hangs costs three threads and no more. */
export function makeResolver({ lookup, now, timeoutMs = 8000, keepMs = 5000 }: ResolverOptions): Resolver {
  const kept = new Map<string, { readonly until: number; readonly result: Resolution }>();
  const running = new Map<string, Promise<Resolution>>();
  const queue: (() => void)[] = [];
  let busy = 0;
  const resolve = async (name: string): Promise<Resolution> => {
    if (busy < CONCURRENT) busy += 1;
    else if (queue.length >= QUEUE) return { kind: 'none', missing: false, why: 'too many names wait to be resolved' };
    else await new Promise<void>((next) => queue.push(next));
    // A lookup that hangs keeps its place until it ends, whoever stopped waiting; the place goes to the next.
    const result = await lookup(name).then(toResolution, toFailure).finally(() => {
      const next = queue.shift();
      if (next === undefined) busy -= 1;
      else next();
    });
    if (kept.size >= KEPT) kept.delete(kept.keys().next().value ?? '');
    if (result.kind === 'addresses') kept.set(name, { until: now() + keepMs, result });
    return result;
  };
  return (name) => {
    const known = kept.get(name);
    if (known !== undefined && known.until > now()) return Promise.resolve(known.result);
    kept.delete(name);
    let run = running.get(name);
    if (run === undefined) {
      run = resolve(name).finally(() => running.delete(name));
      running.set(name, run);
    }
    return within(run, timeoutMs);
  };
}

/** What took longer is no answer. */
export function within(run: Promise<Resolution>, ms: number): Promise<Resolution> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve({ kind: 'none', missing: false, why: `the host's resolver did not answer within ${ms / 1000} s` }), ms);
    run.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

function toResolution(found: readonly LookupAddress[]): Resolution {
  const addresses = canonAddresses(found.map(({ address }) => address));
  return addresses.length > 0 ? { kind: 'addresses', addresses } : { kind: 'none', missing: true, why: 'it has no address' };
}

function toFailure(error: unknown): Resolution {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  const missing = code === 'ENOTFOUND' || code === 'ENODATA';
  return { kind: 'none', missing, why: missing ? 'it does not exist' : `the host's resolver failed (${code})` };
}
