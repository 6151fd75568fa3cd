import { Command } from '@oclif/core/command';
import { boolean } from '@oclif/core/flags';
import type { FlagInput, InferredFlags } from '@oclif/core/interfaces';
import { parse } from '@oclif/core/parser';
import { stripVTControlCharacters } from 'node:util';
import { decodeWord } from '../argv.js';
import type { Bytes } from '../bytes.js';
import { isShortage, usageError, type FailureStatus } from '../errors.js';
import { suggest } from '../policy/suggest.js';
import type { Words } from '../sandbox/resolve.js';
import { refuseInside } from '../sandbox/nested.js';
import { refuseOwnStore } from '../sandbox/place.js';
import { hasTrash } from '../sandbox/trash.js';
import { openStore, type Store } from '../sandbox/store.js';
import { errorJson, renderError, reportOf } from './error.js';
import { makePrinter, Unread, type Printer } from './print.js';

/** Flags that nearly every command has. */
export const common = {
  json: boolean({ description: 'print one JSON object instead of text' }),
  'no-color': boolean({ description: 'never colour the output' }),
};

/** What the parser made of a command's own words. */
export interface Line<F> {
  readonly flags: F;
  /** words before `--` that are no flags */
  readonly words: readonly Bytes[];
  /** words after `--`, or the agent's */
  readonly after: readonly Bytes[];
}

/** What a command class must state. */
interface CommandClass<I extends FlagInput> {
  readonly id: string;
  readonly flags: I;
  /** flags of the contract that this version doesn't have yet: refused by name */
  readonly unbuilt?: readonly string[];
  /** it takes flags only; or why not words, and what instead */
  readonly wordless?: true | string;
}

/**
 * The frame around each command: its words parsed, its errors printed in one
 * form, its exit status set, and the trash swept when there is any.
 */
export abstract class AgentfwCommand extends Command {
  static override strict = false;
  /** Status of a failure, when it isn't the error's own: `run` answers 125 before its agent starts. */
  protected readonly failure: FailureStatus | null = null;
  /** It decides over sandboxes or what they may do: refused inside one. */
  protected readonly decides: boolean = false;
  /** It does nothing but print: it ends when nobody reads that any more. */
  protected readonly shows: boolean = false;
  /** words that never go through the parser */
  after: readonly Bytes[] = [];
  protected printer!: Printer;
  private opened: Store | null = null;

  /** Returns the exit status. */
  protected abstract main(): Promise<number>;

  override async run(): Promise<void> {
    // Until it is done it has failed: where nothing is left to wait for the process ends by itself.
    process.exitCode = this.failure ?? 70;
    this.printer = await makePrinter({ color: !this.argv.includes('--no-color'), endUnread: this.shows });
    try {
      if (this.decides) refuseInside((this.constructor as unknown as { readonly id: string }).id);
      process.exitCode = await this.main();
    } catch (error) {
      process.exitCode = error instanceof Unread ? 0 : this.reportTo(error);
    }
    await this.leavePager();
    await this.sweep();
  }

  /** What the machine lacks for that is no fault of the command: the next one that sees trash sweeps. */
  private async sweep(): Promise<void> {
    try {
      if (this.opened === null || !hasTrash(this.opened)) return;
      (await import('../kernel/background.js')).startSweeper(this.opened.dir);
    } catch (error) {
      if (!isShortage(error)) throw error;
    }
  }

  private async leavePager(): Promise<void> {
    try {
      await this.printer.end();
    } catch (error) {
      process.exitCode = this.reportTo(error);
    }
  }

  protected async store(): Promise<Store> {
    // Loaded late, because it loads the addon, which generating the manifest must not need.
    const { processContext } = await import('./context.js');
    if (this.opened !== null) return this.opened;
    const context = processContext();
    refuseOwnStore(context);
    this.opened = openStore(context);
    return this.opened;
  }

  protected async line<I extends FlagInput>(command: CommandClass<I>): Promise<Line<InferredFlags<I>>> {
    refuseUnbuilt(command, this.argv);
    const { flags, argv } = await this.flagsAndWords(command);
    if (command.wordless !== undefined && argv.length + this.after.length > 0) {
      throw usageError(`${command.id} takes no words.`, command.wordless === true ? `See agentfw ${command.id} --help` : command.wordless);
    }
    return { flags: flags as InferredFlags<I>, words: (argv as string[]).map(decodeWord), after: this.after };
  }

  private async flagsAndWords<I extends FlagInput>(command: CommandClass<I>): Promise<{ readonly flags: object; readonly argv: unknown[] }> {
    try {
      return await parse(this.argv, { args: {}, flags: command.flags, strict: false });
    } catch (error) {
      throw flagError(command, error);
    }
  }

  /** The status stays what it is where nobody reads. */
  private reportTo(error: unknown): number {
    try {
      return this.report(error);
    } catch (unread) {
      if (!(unread instanceof Unread)) throw unread;
      return this.statusOf(error);
    }
  }

  /** Says what went wrong; its status. */
  protected report(error: unknown): number {
    const report = reportOf(error);
    if (this.argv.includes('--json')) this.printer.json(errorJson(report));
    else this.printer.say(renderError(report, this.printer.paintErr));
    if (process.env['AGENTFW_DEBUG'] === '1' && error instanceof Error) this.printer.say(error.stack ?? '');
    return this.statusOf(error);
  }

  /** The exit status that an error means here. */
  protected statusOf(error: unknown): number {
    const { status } = reportOf(error);
    const own = status === 126 || status === 127;
    return this.failure === null || own ? this.failed(status) : this.failure;
  }

  /** The status of an error, where one of this command's means something else. */
  protected failed(status: number): number {
    return status;
  }
}

/** The words of a command that takes `[TAG] [PATH…]` and `--tag T`. */
export function wordsOf(line: Line<object>): Words {
  const tag = 'tag' in line.flags && typeof line.flags.tag === 'string' ? line.flags.tag : null;
  return { tag, words: line.words, after: line.after };
}

function refuseUnbuilt(command: CommandClass<FlagInput>, argv: readonly string[]): void {
  for (const word of argv) {
    const flag = word.split('=')[0] ?? '';
    if (command.unbuilt?.includes(flag.replace(/^--/, '')) === true && flag.startsWith('--')) {
      throw usageError(`${flag} is not available in this version.`, 'Leave it out');
    }
  }
}

/** The parser's complaint in our form, with the nearest flag. */
function flagError(command: CommandClass<FlagInput>, error: unknown): unknown {
  if (!(error instanceof Error) || !('oclif' in error)) return error;
  // On a terminal the parser puts colours into its words.
  const [first = ''] = stripVTControlCharacters(error.message).split('\nSee more help');
  const flag = /^Nonexistent flags?: (-[^\s=,]+)/.exec(first)?.[1];
  const unknown = flag?.replace(/^--?/, '');
  const near = unknown === undefined ? null : suggest(unknown, Object.keys(command.flags));
  const together = /--(\S+?)=.* cannot also be provided when using (--\S+)/s.exec(first);
  if (together !== null) return usageError(`--${together[1] ?? ''} and ${together[2] ?? ''} can’t be used together.`, `See agentfw ${command.id} --help`);
  const needed = /when using (--\S+): (--\S+)$/.exec(first.trim());
  if (needed !== null) return usageError(`${needed[1] ?? ''} needs ${needed[2] ?? ''}.`, `Say both, or see agentfw ${command.id} --help`);
  const text = unknown === undefined ? first.replaceAll('\n', ' ').trim() : `There is no flag ${flag ?? ''}`;
  return usageError(text, near === null ? `See agentfw ${command.id} --help` : `Did you mean --${near}?`);
}
