import { hostname } from 'node:os';
import { toText } from '../bytes.js';
import type { AuditEvent } from '../audit/event.js';
import { userKey } from '../audit/files.js';
import { openAudit, type Audit } from '../audit/write.js';
import type { Limit, SandboxRecord } from './sandbox.js';
import type { BuiltEnvironment } from '../policy/index.js';
import { hasSandbox, readRecord, sandboxDir, type Store } from './store.js';
import type { Outcome } from './supervise.js';

/** The audit log of one run, from before its start until after its end. */
export interface Trail {
  readonly audit: Audit;
  /** refusals of the network recorded so far */
  readonly refused: () => number;
  readonly degraded: (name: string, why: string) => void;
  /** credentials, loaders and what the user's own rules keep from the agent */
  readonly withheld: (variables: BuiltEnvironment['dropped']) => void;
  /** a limit was met, or is nearly */
  readonly limited: (limit: Limit, sentence: string, state?: 'near' | 'met') => void;
  /** the last record, and the signed end; what went wrong with them, for people: the run has ended, it can't be stopped */
  readonly end: (outcome: Pick<Outcome, 'status' | 'exit' | 'failure'>) => readonly string[];
  /** once the sandbox counts as stopped: signs again what a command added until then, and left to us */
  readonly settle: () => void;
  /** the sandbox is thrown away, and its log with it */
  readonly leave: () => void;
}

type Audits = Parameters<typeof openAudit>[0]['onFull'];

/** What nobody names, and what the shipped policy keeps back from every agent. */
const USUAL: ReadonlySet<string> = new Set(['environment.default', 'env.strip']);

const NETWORK: ReadonlySet<string> = new Set(['conn', 'first', 'udp', 'dns']);

/** Opens the log and says what begins, under which policy, before anything of it does. */
export function openTrail(store: Store, record: SandboxRecord, policy: { readonly digest: string; readonly profile: string; readonly full: Audits }): Trail {
  checkTrail(store);
  const log = auditOf(store, record, policy.digest, policy.full);
  let refused = 0;
  const count = ({ verdict, kind }: AuditEvent): void => {
    if (verdict === 'deny' && NETWORK.has(kind)) refused += 1;
  };
  const audit: Audit = {
    ...log,
    record: (event) => {
      count(event);
      return log.record(event);
    },
    recordAll: (events) => {
      events.forEach(count);
      log.recordAll(events);
    },
  };
  const object = { argv: record.argv.map(toText), cwd: toText(record.cwd) };
  audit.record({ kind: 'start', object, detail: { profile: policy.profile, net: record.net, mode: record.mode, supervisor: process.pid, uid: store.context.uid, host: hostname() } });
  audit.record({ kind: 'policy', object: { digest: policy.digest }, detail: { why: 'a run begins' } });
  return {
    audit,
    refused: () => refused,
    degraded: (name, why) => void audit.record({ kind: 'degraded', object: { name }, detail: { why } }),
    withheld: (variables) => audit.recordAll(variables.filter(({ rule }) => !USUAL.has(rule)).map(({ name, rule, why }) => ({ kind: 'env', object: { name }, verdict: 'deny', rule, detail: { why } }))),
    limited: ({ name, value, by }, why, state = 'met') => void audit.record({ kind: 'limit', object: { name, value }, detail: { why, by, state } }),
    end: ({ status, exit, failure }) => {
      try {
        audit.record({ kind: 'end', object, detail: { status, ...exit, ...(failure === null ? {} : { why: failure.message }) } });
        audit.close(userKey(store.kernel, store.dir));
        return lost(record.tag, audit);
      } catch (error) {
        const { cause = error } = error as Error;
        return [...lost(record.tag, audit), `agentfw: the audit log of ${record.tag} has no end: ${cause instanceof Error ? cause.message : String(cause)}`];
      }
    },
    settle: () => {
      try {
        if (!audit.isEnd()) auditOf(store, record, policy.digest).seal(userKey(store.kernel, store.dir));
      } catch {
        // It stays open, and `log verify` says so.
      }
    },
    leave: audit.leave,
  };
}

/** Before something that is recorded happens: a key that can't sign, or a log that can't be written, is no reason to find out afterwards. */
export function checkTrail(store: Store, tag?: string): void {
  userKey(store.kernel, store.dir);
  if (tag !== undefined && hasSandbox(store, tag)) auditOf(store, readRecord(store, tag), null).leave();
}

/** Records what a command does to a sandbox, or did to what is in it. Nothing where it has gone. */
export function recordEffect(store: Store, tag: string, ...events: readonly AuditEvent[]): void {
  if (!hasSandbox(store, tag)) return;
  const record = readRecord(store, tag);
  const { state, policy } = record;
  const audit = auditOf(store, record, policy?.digest ?? null);
  audit.recordAll(events);
  // The end of a running sandbox's log is signed when it stops.
  if (state === 'running' || state === 'starting') audit.leave();
  else audit.seal(userKey(store.kernel, store.dir));
}

function auditOf(store: Store, { tag, audit }: SandboxRecord, policy: string | null, onFull: Audits = 'stop'): Audit {
  return openAudit({ kernel: store.kernel, dir: sandboxDir(store, tag), tag, policy, anchor: audit ?? null, now: store.context.now, onFull });
}

function lost(tag: string, audit: Audit): string[] {
  const count = audit.dropped();
  return count === 0 ? [] : [`agentfw: the audit log of ${tag} lacks ${count} record${count === 1 ? '' : 's'}: the disk was full or the log as long as it may be`];
}
