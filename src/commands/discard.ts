import { boolean, string } from '@oclif/core/flags';
import { changesOf, countKinds } from '../changes/gather.js';
import { discardSandbox } from '../sandbox/discard.js';
import { resolveTag } from '../sandbox/resolve.js';
import { countsText } from '../ui/changes.js';
import { AgentfwCommand, common, wordsOf } from '../ui/command.js';
import { confirm } from '../ui/confirm.js';

export default class Discard extends AgentfwCommand {
  static override id = 'discard';
  static override summary = 'throw a sandbox away, or some of its changes';
  static override usage = ['discard [TAG] [PATH...]'];
  static override flags = {
    ...common,
    tag: string({ description: 'the sandbox, whatever files are called', helpValue: 'TAG' }),
    yes: boolean({ char: 'y', description: 'do not ask' }),
  };

  protected override async main(): Promise<number> {
    const line = await this.line(Discard);
    const yes = line.flags.yes ?? false;
    const store = await this.store();
    const { record } = resolveTag(store, wordsOf(line), { certain: yes });
    if (!yes) {
      const counts = countsText(countKinds(changesOf(store, record)));
      this.printer.say(`Sandbox ${record.tag}: ${counts}. All of it will be lost.`);
      if (!(await confirm(this.printer, `Discard ${record.tag}?`))) return 1;
    }
    discardSandbox(store, record.tag, () => this.printer.say('Waiting for a commit of this sandbox to end.'));
    if (line.flags.json) this.printer.json({ version: 1, tag: record.tag, discarded: 'all' });
    else this.printer.say(`Discarded ${record.tag}`);
    return 0;
  }
}
