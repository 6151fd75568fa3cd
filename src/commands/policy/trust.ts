import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { boolean } from '@oclif/core/flags';
import { toText } from '../../bytes.js';
import { AgentfwError, usageError } from '../../errors.js';
import { comparePolicies } from '../../policy/compare.js';
import { compilePolicy } from '../../policy/index.js';
import { readNamed } from '../../policy/read.js';
import { projectFiles } from '../../policy/sources.js';
import { trust } from '../../policy/trust.js';
import { AgentfwCommand, common } from '../../ui/command.js';
import { confirm } from '../../ui/confirm.js';
import { escapeForTerminal } from '../../ui/escape.js';
import { requestHere } from '../../ui/policy.js';

export default class PolicyTrust extends AgentfwCommand {
  static override id = 'policy trust';
  static override summary = 'let a project file loosen the policy, as it is now';
  static override description = 'The trust is for the file as it is: once it changes, it only tightens until you trust it again.';
  static override usage = ['policy trust [FILE]'];
  static override flags = { ...common, yes: boolean({ char: 'y', description: 'do not ask' }) };
  protected override readonly decides = true;

  protected override async main(): Promise<number> {
    const { flags, words, after: paths } = await this.line(PolicyTrust);
    await this.store();
    const request = await requestHere(null);
    const [named, ...more] = [...words, ...paths].map(toText);
    if (more.length > 0) throw usageError('policy trust takes one file.', 'See agentfw policy trust --help');
    const file = named ?? projectFiles(request.cwd, request.home)[0];
    if (file === undefined) throw new AgentfwError('AFW_POLICY_MISSING', 'There is no project policy here.', { hint: 'Write one with agentfw policy init --project' });
    const real = realOrNull(resolve(file));
    if (real === null) throw new AgentfwError('AFW_POLICY_MISSING', `There is no file ${file}`, { hint: 'Without a file it is about the one of this project: agentfw policy trust' });
    const digest = createHash('sha256').update(readNamed(real)).digest('hex');
    const record = { digest, at: new Date().toISOString() };
    // What it would allow is found in a policy that trusts it already.
    const before = await compilePolicy(request);
    const after = await compilePolicy({ ...request, trusting: { [real]: record } });
    if (after.policy.files.some((one) => realOrNull(one.file) === real && one.digest !== digest)) throw new AgentfwError('AFW_POLICY_CHANGED', `${real} changed while it was read`, { hint: 'Look at it once more, and try again' });
    const gains = comparePolicies(before.policy, after.policy).filter(({ effect }) => effect !== 'forbids');
    if (!flags.json) {
      this.printer.say(gains.length === 0 ? `${escapeForTerminal(real)} loosens nothing here.` : `${escapeForTerminal(real)} will:`);
      for (const { effect, what } of gains) this.printer.say(`  ${effect === 'allows' ? 'allow' : 'change'} ${escapeForTerminal(what)}`);
    }
    const trusted = flags.yes === true || (await confirm(this.printer, 'Trust it?'));
    if (trusted) trust(request.stateDir, real, record);
    if (flags.json) this.printer.json({ version: 1, file: real, digest, gains, trusted });
    else if (trusted) this.printer.say(`Trusted ${escapeForTerminal(real)}`);
    return trusted ? 0 : 1;
  }
}

function realOrNull(file: string): string | null {
  try {
    return realpathSync(file);
  } catch {
    return null; // the command line is no file
  }
}
