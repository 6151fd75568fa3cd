import { string } from '@oclif/core/flags';
import type { Scope } from '../gate/ask.js';
import { giveAnswer } from '../ui/answer.js';
import { AgentfwCommand, common } from '../ui/command.js';

export default class Approve extends AgentfwCommand {
  static override id = 'approve';
  static override summary = 'let an agent reach what it asks for';
  static override description = 'The answer is about exactly the rule that `agentfw approvals` shows. A deny of the policy can’t be answered away.';
  static override usage = ['approve ID [--for once|session|project]'];
  static override flags = {
    ...common,
    for: string({ description: 'how long the answer holds (default: once)', options: ['once', 'session', 'project'] }),
  };
  protected override readonly decides = true;

  protected override async main(): Promise<number> {
    const { flags, words, after } = await this.line(Approve);
    return giveAnswer(await this.store(), this.printer, { words: [...words, ...after], verdict: 'allow', scope: (flags.for ?? 'once') as Scope, json: flags.json ?? false });
  }
}
