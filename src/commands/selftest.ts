import { string } from '@oclif/core/flags';
import { AgentfwError } from '../errors.js';
import { acceptedNames } from '../sandbox/accepted.js';
import { AgentfwCommand, common } from '../ui/command.js';
import { escapeForTerminal } from '../ui/escape.js';
import { plural } from '../ui/table.js';

export default class Selftest extends AgentfwCommand {
  static override id = 'selftest';
  static override summary = 'try to break out of a sandbox, and say which walls held';
  static override description =
    'Runs a throw-away sandbox under your own policy, with an agent that tries to get at the host. No attempt does harm where it succeeds. The exit status is 1 when a wall did not hold.';
  static override usage = ['selftest'];
  static wordless = true as const;
  static override flags = {
    ...common,
    'accept-degraded': string({ description: 'run without protections that this machine lacks, by name (comma list)', helpValue: 'NAMES', multiple: true, multipleNonGreedy: true }),
  };
  protected override readonly decides = true;

  protected override async main(): Promise<number> {
    const { flags } = await this.line(Selftest);
    const { processContext } = await import('../ui/context.js');
    const { selfTest } = await import('../sandbox/selftest.js');
    const { contentOf } = await import('../changes/show.js');
    const { attempts, degraded } = await selfTest(processContext(), acceptedNames(flags['accept-degraded'] ?? []), contentOf).catch((error: unknown) => {
      throw asOwn(error);
    });
    const fallen = attempts.filter(({ held }) => !held);
    if (flags.json === true) {
      this.printer.json({ version: 1, held: fallen.length === 0, attempts, degraded });
      return fallen.length === 0 ? 0 : 1;
    }
    const { paint } = this.printer;
    for (const { name, held, meaning, detail } of attempts) {
      const note = detail === '' ? '' : ` (${escapeForTerminal(detail)})`;
      this.printer.product(`${held ? paint('green', 'held') : paint('red', 'FELL')}  ${name.padEnd(23)}  ${meaning}${note}\n`);
    }
    for (const { name, why } of degraded) this.printer.say(`agentfw: this kernel lacks ${name}: ${why}`);
    this.printer.say(fallen.length === 0 ? `All ${plural(attempts.length, 'wall')} held.` : `${plural(fallen.length, 'wall')} of ${attempts.length} did not hold.`);
    return fallen.length === 0 ? 0 : 1;
  }
}

/** A start that failed is 125 for who starts agents: this command has failed. */
function asOwn(error: unknown): unknown {
  if (!(error instanceof AgentfwError) || error.status < 125) return error;
  return new AgentfwError(error.code, error.message, { cause: error.cause, status: 1, ...(error.hint === null ? {} : { hint: error.hint }) });
}
