import { thawSandbox } from '../sandbox/frozen.js';
import { resolveOnly } from '../sandbox/resolve.js';
import { AgentfwCommand, common, wordsOf } from '../ui/command.js';

export default class Thaw extends AgentfwCommand {
  static override id = 'thaw';
  static override summary = 'let a frozen sandbox go on';
  static override usage = ['thaw [TAG]'];
  static override flags = { ...common };
  protected override readonly decides = true;

  protected override async main(): Promise<number> {
    const line = await this.line(Thaw);
    const store = await this.store();
    const { tag } = resolveOnly(store, wordsOf(line), { certain: false });
    const thawed = await thawSandbox(store, tag, () => this.printer.say('Waiting for a commit of this sandbox to end.'));
    if (line.flags.json) this.printer.json({ version: 1, tag, thawed });
    else this.printer.say(thawed ? `Thawed ${tag}` : `${tag} was not frozen`);
    return 0;
  }
}
