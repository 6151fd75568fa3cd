import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { usageError } from '../errors.js';
import { completionFor, SHELLS, type Described } from '../render/completion.js';
import { AgentfwCommand, common } from '../ui/command.js';

const MANIFEST = fileURLToPath(new URL('../../oclif.manifest.json', import.meta.url));

interface Manifest {
  readonly commands: Readonly<Record<string, {
    readonly summary?: string;
    readonly flags: Readonly<Record<string, { readonly name: string; readonly char?: string; readonly type: string; readonly options?: readonly string[]; readonly description?: string }>>;
  }>>;
}

export default class Completion extends AgentfwCommand {
  static override id = 'completion';
  static override summary = 'print a script that completes agentfw’s commands, flags and sandboxes in your shell';
  static override usage = ['completion bash|zsh|fish'];
  static override examples = ['eval "$(agentfw completion bash)"    # in ~/.bashrc', 'agentfw completion fish > ~/.config/fish/completions/agentfw.fish'];
  static override flags = { json: common.json };
  protected override readonly shows = true;

  protected override async main(): Promise<number> {
    const { flags, words, after } = await this.line(Completion);
    const [word, ...more] = [...words, ...after];
    const shell = SHELLS.find((known) => known === word);
    if (shell === undefined || more.length > 0) {
      throw usageError(word === undefined ? 'For which shell?' : `There is no completion for ${[word, ...more].join(' ')}.`, `agentfw completion ${SHELLS.join('|')}`);
    }
    const script = completionFor(shell, described(JSON.parse(readFileSync(MANIFEST, 'utf8')) as Manifest));
    if (flags.json) this.printer.json({ version: 1, shell, script });
    else this.printer.product(script);
    return 0;
  }
}

function described({ commands }: Manifest): readonly Described[] {
  return Object.entries(commands).map(([id, { summary = '', flags }]) => ({
    id: id.replaceAll(':', ' '),
    summary,
    flags: Object.values(flags).map(({ name, char = null, type, options = [], description = '' }) => ({ name, char, takesValue: type === 'option', options, summary: description })),
  }));
}
