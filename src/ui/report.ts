import { renameSync, rmSync, statSync, accessSync, constants, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { Ended } from '../changes/ending.js';
import { gather } from '../changes/gather.js';
import { usageError } from '../errors.js';
import { diffJson } from '../render/json.js';
import { summarise } from '../render/summary.js';
import { readPolicyOf } from '../sandbox/policy-file.js';
import type { RunFacts } from '../sandbox/run.js';
import type { SandboxRecord } from '../sandbox/sandbox.js';
import type { Store } from '../sandbox/store.js';
import { errorJson, reportOf } from './error.js';
import { policyJson } from './policystatus.js';
import { recordJson } from './record.js';

/** `run --report FILE`: what programs get instead of lines; the agent owns stdout. */
export interface ReportFile {
  /** null, or why it could not: the run is over, that changes nothing of it */
  readonly write: (value: object) => string | null;
}

/** Refuses a place that can't be written before an agent works for nothing. */
export function reportFile(word: string): ReportFile {
  const path = resolve(word);
  try {
    accessSync(dirname(path), constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw usageError(`--report: can't write in ${dirname(path)}: ${(cause as Error).message}`, 'Name a file in a directory that you can write');
  }
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) throw usageError(`--report: ${path} is a directory`, 'Name a file in it');
  return { write: (value) => replace(path, `${JSON.stringify(value, null, 1)}\n`) };
}

/** By renaming: a link there is replaced, never followed, and nobody reads half a report. */
function replace(path: string, text: string): string | null {
  const fresh = join(dirname(path), `.${basename(path)}.${process.pid}`);
  try {
    rmSync(fresh, { force: true });
    writeFileSync(fresh, text, { flag: 'wx' });
    renameSync(fresh, path);
    return null;
  } catch (error) {
    return `can't write the report ${path}: ${(error as Error).message}`;
  }
}

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

/** The object of a run whose agent never started, as `--json` has it elsewhere. */
export function failedReport(error: unknown): object {
  return { ...errorJson(reportOf(error)), status: reportOf(error).status };
}
