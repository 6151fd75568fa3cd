import { resolve } from 'node:path';
import { toText } from '../../bytes.js';
import { AgentfwError, usageError } from '../../errors.js';
import { PolicyError, problemText, type LoadResult, type Problem } from '../../policy/document.js';
import { compilePolicy, type Compiled } from '../../policy/index.js';
import { NAME_ANOTHER, readPolicy } from '../../policy/read.js';
import { AgentfwCommand, common } from '../../ui/command.js';
import { escapeForTerminal } from '../../ui/escape.js';
import { loosenedText, requestHere } from '../../ui/policy.js';

export default class PolicyCheck extends AgentfwCommand {
  static override id = 'policy check';
  static override summary = 'check a policy file, or all that hold here';
  static override usage = ['policy check [FILE]'];
  static override flags = { ...common };

  protected override async main(): Promise<number> {
    const { flags, words, after } = await this.line(PolicyCheck);
    const files = [...words, ...after].map(toText);
    if (files.length > 1) throw usageError('policy check takes one file.', 'Without one it checks all that hold here: agentfw policy check');
    const [file] = files;
    const checked = await check(file);
    if ('problems' in checked) {
      if (flags.json) this.printer.json({ version: 1, ok: false, problems: checked.problems });
      else this.printer.product(checked.problems.map((problem) => `${problemText(problem).split('\n').map(escapeForTerminal).join('\n')}\n`).join(''));
      return 1;
    }
    const { policy, notes } = checked;
    if (flags.json) this.printer.json({ version: 1, ok: true, problems: [], digest: policy.digest, files: policy.files, loosened: policy.loosened, notes });
    else this.printer.product(`${file === undefined ? `${policy.files.length} policy files are valid` : `${escapeForTerminal(file)} is valid`}\n${loosenedText(policy.loosened)}`);
    for (const note of notes) this.printer.warn(escapeForTerminal(note));
    return 0;
  }
}

/** What is wrong in the file itself, or in all of the policy with it. */
async function check(file: string | undefined): Promise<Compiled | { readonly problems: readonly Problem[] }> {
  const result = file === undefined ? null : await load(file);
  if (result?.kind === 'invalid') return { problems: result.problems };
  try {
    return await compilePolicy(await requestHere(null, file === undefined ? {} : { policyFiles: [resolve(file)] }));
  } catch (error) {
    if (error instanceof PolicyError) return { problems: error.problems };
    throw error;
  }
}

async function load(file: string): Promise<LoadResult> {
  const result = await readPolicy({ file, owner: { by: 'anybody' }, follow: true, cache: null });
  if (result.kind === 'missing') throw new AgentfwError('AFW_POLICY_MISSING', `There is no file ${file}`, { hint: 'agentfw policy init writes one' });
  if (result.kind === 'unreadable') throw new AgentfwError('AFW_POLICY_UNREADABLE', `Can't use ${file}: ${result.why}.`, { hint: NAME_ANOTHER });
  if (result.kind === 'empty') throw new AgentfwError('AFW_POLICY_EMPTY', `The policy file ${file} is empty.`, { hint: 'Write at least `version: 1`' });
  return result;
}
