import { boolean, string } from '@oclif/core/flags';
import { landPlan, withCommitLocks } from '../changes/commit.js';
import { discardSandbox } from '../changes/discarding.js';
import { gather } from '../changes/gather.js';
import { countChanges } from '../changes/tally.js';
import { dropPlan } from '../changes/dropping.js';
import { commitStatus, type CommitResult } from '../changes/result.js';
import { filterChanges } from '../changes/words.js';
import { AgentfwError, usageError } from '../errors.js';
import { awayLayers } from '../sandbox/foreign.js';
import { refuseUnmatched, resolveTag, type Resolved } from '../sandbox/resolve.js';
import type { SandboxRecord } from '../sandbox/sandbox.js';
import type { Store } from '../sandbox/store.js';
import { changeLine, countsText } from '../ui/changes.js';
import { AgentfwCommand, common, wordsOf } from '../ui/command.js';
import { resultJson, sayRecovered } from '../ui/commits.js';
import { confirm } from '../ui/confirm.js';
import { escapeForTerminal, showBytes } from '../ui/escape.js';
import { listJson } from '../ui/record.js';
import { plural } from '../ui/table.js';

interface Answers {
  readonly yes: boolean;
  readonly json: boolean;
}

export default class Discard extends AgentfwCommand {
  static override id = 'discard';
  static override summary = 'throw a sandbox away, or some of its changes';
  static override description = 'With paths, the sandbox shows the host’s version of them again, and `agentfw undo ID` brings them back. For a whole sandbox there is no way back.';
  static override usage = ['discard [TAG] [PATH...]'];
  static override examples = ['agentfw discard fix-login node_modules --yes', 'agentfw discard fix-login'];
  static override flags = {
    ...common,
    tag: string({ description: 'the sandbox, whatever files are called', helpValue: 'TAG' }),
    yes: boolean({ char: 'y', description: 'do not ask' }),
  };
  protected override readonly decides = true;

  protected override async main(): Promise<number> {
    const line = await this.line(Discard);
    const answers = { yes: line.flags.yes ?? false, json: line.flags.json ?? false };
    const store = await this.store();
    const resolved = resolveTag(store, wordsOf(line), { certain: answers.yes });
    return resolved.paths.length === 0 ? this.whole(store, resolved.record, answers) : this.some(store, resolved, answers);
  }

  private async whole(store: Store, record: SandboxRecord, { yes, json }: Answers): Promise<number> {
    if (!yes) {
      const counts = countsText(countChanges(store, record));
      this.printer.say(`Sandbox ${record.tag}: ${counts}. All of it will be lost.`);
      if (!(await confirm(this.printer, `Discard ${record.tag}?`))) return this.leave(record.tag, json);
    }
    const away = awayLayers(store.kernel, record.layers);
    const { recovered } = discardSandbox(store, record.tag, { onWait: this.sayWait });
    sayRecovered(this.printer, recovered);
    for (const { dir } of away) this.printer.warn(`${showBytes(dir)} lies on a filesystem that isn't mounted: agentfw prune removes it once it is.`);
    if (json) this.printer.json({ version: 1, tag: record.tag, discarded: 'all' });
    else this.printer.say(`Discarded ${record.tag}`);
    return 0;
  }

  private readonly sayWait = (what: string): void => this.printer.say(`Waiting for ${what}.`);

  /** Answered no: a program reads that, too. */
  private leave(tag: string, json: boolean): number {
    if (json) this.printer.json({ version: 1, tag, discarded: 'nothing' });
    return 1;
  }

  /** Drops the agent's version of some paths: the view shows the host's again. */
  private async some(store: Store, resolved: Resolved, answers: Answers): Promise<number> {
    const { record: { tag }, paths } = resolved;
    if (!answers.yes && !this.printer.interactive) throw usageError('There is no terminal to ask on.', 'Say --yes to go on without asking');
    return withCommitLocks(store, tag, this.sayWait, async ({ record, recovered }) => {
      sayRecovered(this.printer, recovered);
      const gathered = gather(store, record);
      gathered.contents.close();
      const { changes, unmatched } = filterChanges(gathered.shown, paths);
      refuseUnmatched(resolved, unmatched);
      const { plan, added } = dropPlan(store, record, { gathered, words: paths });
      const count = changes.length + added.length;
      if (!answers.json) for (const { path } of added) this.printer.say(`${showBytes(path)} goes too: it belongs to what was named`);
      if (!answers.yes) {
        for (const change of [...changes, ...added]) this.printer.say(`  ${changeLine(change, this.printer.paintErr)}`);
        if (!(await confirm(this.printer, `Discard ${plural(count, 'change')} of ${tag}?`))) return this.leave(tag, answers.json);
      }
      const result = landPlan(store, record, plan, { onWait: this.sayWait }, { as: 'discard' });
      if (answers.json) this.printer.json({ version: 1, tag, discarded: 'paths', ...listJson('added', added.map(({ path }) => path)), ...resultJson(result) });
      else {
        if (result.state === 'rolled-back') throw notDropped(result);
        for (const { path, text } of result.refused) this.printer.say(`not discarded ${showBytes(path)}: ${escapeForTerminal(text)}`);
        this.printer.say(`Discarded ${plural(count - result.refused.length, 'change')} of ${tag}`);
        if (result.id !== null) this.printer.say(`Take it back: agentfw undo ${result.id}`);
      }
      return commitStatus(result);
    });
  }
}

function notDropped({ error }: CommitResult): AgentfwError {
  return new AgentfwError('AFW_ROLLED_BACK', 'Nothing was discarded: the sandbox has all that it had.', { cause: error?.text ?? 'it failed' });
}
