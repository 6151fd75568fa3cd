import { freezeSandbox } from '../sandbox/frozen.js';
import { resolveOnly } from '../sandbox/resolve.js';
import { AgentfwCommand, common, wordsOf } from '../ui/command.js';

export default class Freeze extends AgentfwCommand {
  static override id = 'freeze';
  static override summary = 'stop a running sandbox where it is, with all its processes, until thaw';
  static override usage = ['freeze [TAG]'];
  static override flags = { ...common };
  protected override readonly decides = true;

  protected override async main(): Promise<number> {
    const line = await this.line(Freeze);
    const store = await this.store();
    const { tag } = resolveOnly(store, wordsOf(line), { certain: false });
    const frozen = await freezeSandbox(store, tag, () => this.printer.say('Waiting for a commit of this sandbox to end.'));
    if (line.flags.json) this.printer.json({ version: 1, tag, frozen });
    else this.printer.say(frozen ? `Froze ${tag}` : `${tag} was frozen already`);
    return 0;
  }
}
