import { resolve } from 'node:path';
import { string } from '@oclif/core/flags';
import { toText } from '../../bytes.js';
import { usageError } from '../../errors.js';
import { comparePolicies } from '../../policy/compare.js';
import { compilePolicy } from '../../policy/index.js';
import { AgentfwCommand, common } from '../../ui/command.js';
import { escapeForTerminal } from '../../ui/escape.js';
import { originText, requestHere } from '../../ui/policy.js';

export default class PolicyDiff extends AgentfwCommand {
  static override id = 'policy diff';
  static override summary = 'show what one policy file allows or forbids that another does not';
  static override usage = ['policy diff A B'];
  static override flags = { ...common, agent: string({ description: 'for this agent: a profile or a command', helpValue: 'A' }) };

  protected override async main(): Promise<number> {
    const { flags, words, after } = await this.line(PolicyDiff);
    const [a, b, ...more] = [...words, ...after].map(toText);
    if (a === undefined || b === undefined || more.length > 0) throw usageError('policy diff takes two policy files.', 'See agentfw policy diff --help');
    const compiled = async (file: string) => (await compilePolicy(await requestHere(flags.agent ?? null, { policyFiles: [resolve(file)] }))).policy;
    const differences = comparePolicies(await compiled(a), await compiled(b));
    if (flags.json) this.printer.json({ version: 1, differences });
    else if (differences.length === 0) this.printer.say('No difference.');
    else this.printer.product(differences.map(({ effect, how, what, origin }) => `${effect.padEnd(7)}  ${escapeForTerminal(what)} (${how}, ${escapeForTerminal(originText(origin))})\n`).join(''));
    return 0;
  }
}
