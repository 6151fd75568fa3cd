import { boolean, string } from '@oclif/core/flags';
import { compilePolicy } from '../../policy/index.js';
import { AgentfwCommand, common } from '../../ui/command.js';
import { escapeForTerminal } from '../../ui/escape.js';
import { policyText, requestHere } from '../../ui/policy.js';

export default class PolicyShow extends AgentfwCommand {
  static override id = 'policy show';
  static override summary = 'show the policy that holds here, each rule with its place';
  static override usage = ['policy show [--effective] [--agent A]'];
  static wordless = true as const;
  static override flags = {
    ...common,
    agent: string({ description: 'for this agent: a profile or a command', helpValue: 'A' }),
    effective: boolean({ description: 'with the shipped rules too' }),
  };

  protected override async main(): Promise<number> {
    const { flags } = await this.line(PolicyShow);
    const { policy, notes } = await compilePolicy(await requestHere(flags.agent ?? null));
    const shown = flags.effective === true ? policy : { ...policy, rules: policy.rules.filter(({ origin }) => origin.layer !== 'built-in') };
    if (flags.json) this.printer.json({ ...shown, notes });
    else this.printer.product(policyText(shown));
    for (const note of notes) this.printer.warn(escapeForTerminal(note));
    return 0;
  }
}
