import type { Ended } from '../changes/ended.js';
import { gather } from '../changes/gather.js';
import { diffJson } from '../render/json.js';
import { summarise } from '../render/summary.js';
import { readPolicyOf } from '../sandbox/policy-file.js';
import type { RunFacts } from '../sandbox/run.js';
import type { SandboxRecord } from '../sandbox/sandbox.js';
import type { Store } from '../sandbox/store.js';
import { policyJson } from './policystatus.js';
import { recordJson } from './record.js';

/** What a report tells of. */
export interface RunEnd {
  readonly ended: Ended;
  readonly facts: RunFacts;
  /** of `agentfw run` itself */
  readonly status: number;
}

/** The object of a run that came to its end; docs/json.md. */
export function runReport(store: Store, record: SandboxRecord, { ended, facts, status }: RunEnd): object {
  const gathered = gather(store, record, { look: 'lines' });
  try {
    const { changes, counts } = diffJson({ tag: record.tag, digest: null, changes: gathered.shown, summaryOf: (change) => summarise(change, gathered.contents) });
    const { landed, dropped, commit, held, failed } = ended;
    return {
      version: 1, ...recordJson(record), status,
      limits: record.limits ?? [], limited: record.limited ?? null,
      policy: policyJson(readPolicyOf(store, record.tag)),
      network: { refused: facts.refused, wouldAsk: facts.wouldAsk },
      ...{ landed, dropped, commit, held, failed, changes, counts },
    };
  } finally {
    gathered.contents.close();
  }
}
