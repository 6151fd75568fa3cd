import { string } from '@oclif/core/flags';
import { decodeWord } from '../argv.js';
import { AgentfwError } from '../errors.js';
import { toText } from '../bytes.js';
import { enterSandbox } from '../sandbox/enter.js';
import { absolutePath } from '../sandbox/resolve.js';
import { AgentfwCommand } from '../ui/command.js';

export default class Exec extends AgentfwCommand {
  static override id = 'exec';
  static override summary = 'run a command in a running sandbox, confined as its agent is';
  static override description = 'The exit status is the command’s, 128+n for a signal; 125, 126 and 127 mean that it never started. What it leaves running goes on until the sandbox ends.';
  static override usage = ['exec TAG -- COMMAND [ARG...]'];
  static override examples = ['agentfw exec fix-login -- git status', 'agentfw exec fix-login --cwd /tmp -- ls'];
  static override flags = {
    env: string({ description: 'let a variable pass, or set one (can be repeated)', helpValue: 'NAME[=VALUE]', multiple: true, multipleNonGreedy: true }),
    cwd: string({ description: 'start in this directory (default: the sandbox’s)', helpValue: 'DIR' }),
  };
  protected override readonly decides = true;
  protected override readonly failure = 125;

  protected override async main(): Promise<number> {
    const { flags, words, after } = await this.line(Exec);
    const [tag] = words;
    if (tag === undefined || words.length > 1 || after.length === 0) {
      throw new AgentfwError('AFW_USAGE', 'Expected TAG -- COMMAND.', { status: 125, hint: 'For example: agentfw exec fix-login -- git status' });
    }
    if (after[0] === '') throw new AgentfwError('AFW_NOT_FOUND', 'The name of the program is empty.', { status: 127, hint: 'Is a variable empty? agentfw exec fix-login -- git status' });
    const { processContext } = await import('../ui/context.js');
    const context = processContext();
    const cwd = flags.cwd === undefined ? null : absolutePath(context.cwd, decodeWord(flags.cwd));
    return enterSandbox({ context, tag: toText(tag), argv: after, env: flags.env ?? [], cwd });
  }
}
