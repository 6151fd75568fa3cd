import { string } from '@oclif/core/flags';
import { toText } from '../../bytes.js';
import { usageError } from '../../errors.js';
import { runCases, type CaseResult } from '../../policy/cases.js';
import { explainHere } from '../../policy/explain-here.js';
import { compilePolicy } from '../../policy/index.js';
import { readNamed } from '../../policy/read.js';
import { AgentfwCommand, common } from '../../ui/command.js';
import { escapeForTerminal } from '../../ui/escape.js';
import { originText, requestHere } from '../../ui/policy.js';

export default class PolicyTest extends AgentfwCommand {
  static override id = 'policy test';
  static override summary = 'check the policy against a table of subjects and expected verdicts';
  static override description = 'CASES is YAML, for example {version: 1, cases: [{path: ./.env, expect: deny}, {host: example.org, expect: ask}]}. The exit status is 1 when a verdict is another one.';
  static override usage = ['policy test CASES'];
  static override examples = ['agentfw policy test cases.yaml'];
  static override flags = { ...common, agent: string({ description: 'for this agent: a profile or a command', helpValue: 'A' }) };

  protected override async main(): Promise<number> {
    const { flags, words, after } = await this.line(PolicyTest);
    const [file, ...more] = [...words, ...after].map(toText);
    if (file === undefined || more.length > 0) throw usageError('policy test takes one file of cases.', 'See agentfw policy test --help');
    const request = await requestHere(flags.agent ?? null);
    const { policy } = await compilePolicy(request);
    const results = runCases(policy, file, readNamed(file).toString('utf8'), request.cwd, explainHere);
    const failed = results.filter(({ ok }) => !ok);
    if (flags.json) this.printer.json({ version: 1, ok: failed.length === 0, passed: results.length - failed.length, failed });
    else this.printer.product(failed.map((result) => failureText(file, result)).join('') + `${results.length - failed.length} of ${results.length} cases hold\n`);
    return failed.length === 0 ? 0 : 1;
  }
}

function failureText(file: string, { line, expected, got }: CaseResult): string {
  const subject = `${got.kind} ${got.op === null ? '' : `${got.op} `}${got.subject}`;
  return escapeForTerminal(`${file}:${line}: ${subject}`) + `\n  - ${expected}\n  + ${escapeForTerminal(`${got.verdict} by ${got.rule}, ${originText(got.origin)}`)}\n`;
}
