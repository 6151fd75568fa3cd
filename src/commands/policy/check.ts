import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { toText } from '../../bytes.js';
import { AgentfwError, usageError } from '../../errors.js';
import { problemText, type LoadResult } from '../../policy/document.js';
import { compilePolicy } from '../../policy/index.js';
import { loadBytes } from '../../policy/load.js';
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
    if (files.length > 1) throw usageError('policy check takes one file.');
    const [file] = files;
    if (file !== undefined) {
      const result = await load(file);
      const problems = result.kind === 'invalid' ? result.problems : [];
      if (problems.length > 0) {
        if (flags.json) this.printer.json({ version: 1, ok: false, problems });
        else this.printer.product(problems.map((problem) => `${problemText(problem).split('\n').map(escapeForTerminal).join('\n')}\n`).join(''));
        return 1;
      }
    }
    const { policy, notes } = await compilePolicy(await requestHere(null, file === undefined ? {} : { policyFiles: [resolve(file)] }));
    if (flags.json) this.printer.json({ version: 1, ok: true, problems: [], digest: policy.digest, files: policy.files, loosened: policy.loosened, notes });
    else this.printer.product(`${file === undefined ? `${policy.files.length} policy files are valid` : `${escapeForTerminal(file)} is valid`}\n${loosenedText(policy.loosened)}`);
    for (const note of notes) this.printer.warn(escapeForTerminal(note));
    return 0;
  }
}

async function load(file: string): Promise<LoadResult> {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw new AgentfwError('AFW_POLICY_UNREADABLE', `Can't read ${file}`, { cause: error });
  }
  const result = await loadBytes(file, bytes, '');
  if (result.kind === 'empty') throw new AgentfwError('AFW_POLICY_EMPTY', `The policy file ${file} is empty.`, { hint: 'Write at least `version: 1`' });
  return result;
}
