import { string } from '@oclif/core/flags';
import type { Scope } from '../gate/ask.js';
import { giveAnswer } from '../ui/answer.js';
import { AgentfwCommand, common } from '../ui/command.js';

export default class Deny extends AgentfwCommand {
  static override id = 'deny';
  static override summary = 'refuse what an agent asks for';
  static override description = 'The answer is about exactly the rule that `agentfw approvals` shows. A deny of the policy can’t be answered away.';
  static override usage = ['deny ID [--for once|session|project]'];
  static override flags = {
    ...common,
    for: string({ description: 'how long the answer holds (default: once)', options: ['once', 'session', 'project'] }),
  };
  protected override readonly decides = true;

  protected override async main(): Promise<number> {
    const { flags, words, after } = await this.line(Deny);
    return giveAnswer(await this.store(), this.printer, { words: [...words, ...after], verdict: 'deny', scope: (flags.for ?? 'once') as Scope, json: flags.json ?? false });
  }
}
