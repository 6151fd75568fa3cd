import { storeContextOf } from '../changes/context.js';
import { surveyCommits, type CommitInfo } from '../changes/engine.js';
import type { KindCounts } from '../changes/gather.js';
import { countChanges } from '../changes/tally.js';
import { interruptedCommits } from '../changes/journal/unfinished.js';
import { nameOf, type Bytes } from '../bytes.js';
import { isFrozen } from '../sandbox/frozen.js';
import type { SandboxRecord } from '../sandbox/sandbox.js';
import { listRecords, type Store } from '../sandbox/store.js';
import { countsText } from '../ui/changes.js';
import { AgentfwCommand, common } from '../ui/command.js';
import { sayBroken, sayInterrupted } from '../ui/commits.js';
import { reportOf } from '../ui/error.js';
import { escapeForTerminal, showBytes } from '../ui/escape.js';
import { recordJson } from '../ui/record.js';
import { age, plural, size, table } from '../ui/table.js';

interface Entry {
  readonly record: SandboxRecord;
  readonly frozen: boolean;
  /** null: the layers could not be read */
  readonly counts: KindCounts | null;
  readonly error: string | null;
}

export default class List extends AgentfwCommand {
  static override id = 'list';
  static override summary = 'list the sandboxes, newest first, and what is kept for undo';
  static override usage = ['list'];
  static wordless = true as const;
  static override flags = { ...common };

  protected override async main(): Promise<number> {
    const { flags } = await this.line(List);
    const store = await this.store();
    const { records, broken } = listRecords(store);
    const entries = records.map((record) => entryOf(store, record));
    sayInterrupted(this.printer, interruptedCommits(storeContextOf(store)));
    const undo = this.undoOf(store);
    if (flags.json) {
      this.printer.json({
        version: 1,
        sandboxes: entries.map(({ record, frozen, counts }) => ({ ...recordJson(record), frozen, counts })),
        broken: broken.map(({ tag, error }) => ({ tag, error: reportOf(error).message })),
        undo,
      });
      return 0;
    }
    if (records.length === 0) this.printer.say('No sandboxes.');
    this.printer.product(table(entries.map((entry) => rowOf(entry, store.context.now()))));
    if (undo !== null && undo.bytes > 0) this.printer.say(`${plural(undo.commits, 'commit')} can be undone: ${size(undo.bytes)}; agentfw prune --keep-undo SIZE removes the oldest`);
    for (const { record, error } of entries) if (error !== null) this.printer.warn(`${record.tag}: ${escapeForTerminal(error)}`);
    for (const { tag, error } of broken) this.printer.warn(`${tag}: ${escapeForTerminal(reportOf(error).message)}`);
    return 0;
  }

  /** A commit that can't be read is no reason not to tell of the sandboxes, nor is a store of them that can't. */
  private undoOf(store: Store): UndoUse | null {
    try {
      const { commits, broken } = surveyCommits(storeContextOf(store));
      sayBroken(this.printer, broken);
      return undoUse(commits);
    } catch (error) {
      this.printer.warn(escapeForTerminal(reportOf(error).message));
      return null;
    }
  }
}

interface UndoUse {
  readonly commits: number;
  readonly bytes: number;
}

/** What is kept for undo. */
function undoUse(commits: readonly CommitInfo[]): UndoUse {
  const kept = commits.filter(({ state }) => state === 'landed');
  return { commits: kept.filter(({ undoneBy }) => undoneBy === null).length, bytes: commits.reduce((sum, { bytes }) => sum + bytes, 0) };
}

function entryOf(store: Store, record: SandboxRecord): Entry {
  const frozen = isFrozen(store, record);
  try {
    return { record, frozen, counts: countChanges(store, record), error: null };
  } catch (error) {
    return { record, frozen, counts: null, error: reportOf(error).message };
  }
}

function rowOf({ record, frozen, counts }: Entry, now: Date): string[] {
  const agent = showBytes(nameOf(record.argv[0] ?? ('' as Bytes)));
  return [record.tag, frozen ? 'frozen' : record.state, agent, age(record.created, now), counts === null ? '?' : countsText(counts), showBytes(record.cwd)];
}
