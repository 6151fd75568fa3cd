import { enterSandbox } from '../sandbox/enter.js';
import { resolveOnly } from '../sandbox/resolve.js';
import { AgentfwCommand, wordsOf } from '../ui/command.js';

export default class Shell extends AgentfwCommand {
  static override id = 'shell';
  static override summary = 'open your shell in a running sandbox';
  static override description = 'It is confined as the agent is. To go on in a stopped sandbox: agentfw run --in TAG -- sh';
  static override usage = ['shell [TAG]'];
  static override flags = {};
  protected override readonly decides = true;
  protected override readonly failure = 125;

  protected override async main(): Promise<number> {
    const line = await this.line(Shell);
    const store = await this.store();
    const { tag } = resolveOnly(store, wordsOf(line), { certain: false });
    return enterSandbox({ context: store.context, tag, argv: [], env: [], cwd: null });
  }
}
