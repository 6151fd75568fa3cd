import { realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { toText } from '../../bytes.js';
import { AgentfwError, usageError } from '../../errors.js';
import { projectFiles } from '../../policy/sources.js';
import { untrust } from '../../policy/trust.js';
import { AgentfwCommand, common } from '../../ui/command.js';
import { escapeForTerminal } from '../../ui/escape.js';
import { requestHere } from '../../ui/policy.js';

export default class PolicyUntrust extends AgentfwCommand {
  static override id = 'policy untrust';
  static override summary = 'let a project file only tighten again';
  static override usage = ['policy untrust [FILE]'];
  static override flags = { ...common };
  protected override readonly decides = true;

  protected override async main(): Promise<number> {
    const { flags, words, after } = await this.line(PolicyUntrust);
    const request = await requestHere(null);
    const [named, ...more] = [...words, ...after].map(toText);
    if (more.length > 0) throw usageError('policy untrust takes one file.', 'See agentfw policy untrust --help');
    const file = named ?? projectFiles(request.cwd, request.home)[0];
    if (file === undefined) throw new AgentfwError('AFW_POLICY_MISSING', 'There is no project policy here.', { hint: 'Name the file: agentfw policy untrust FILE' });
    const path = realOrAsNamed(resolve(file));
    if (!untrust(request.stateDir, path)) throw new AgentfwError('AFW_NOT_TRUSTED', `${path} is not trusted`, { hint: 'What holds here, and what is trusted: agentfw policy show' });
    if (flags.json) this.printer.json({ version: 1, file: path });
    else this.printer.say(`No longer trusted: ${escapeForTerminal(path)}`);
    return 0;
  }
}

/** A file that is gone can still be taken out of the store. */
function realOrAsNamed(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    return file;
  }
}
