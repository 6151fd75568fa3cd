import { recoverRecorded } from '../changes/effects.js';
import { AgentfwCommand, common } from '../ui/command.js';
import { resultJson, sayRecovered } from '../ui/commits.js';

export default class Recover extends AgentfwCommand {
  static override id = 'recover';
  static override summary = 'finish or take back what a crash interrupted';
  static override description = 'commit, undo, discard and run --in do this first, by themselves.';
  static override usage = ['recover'];
  static wordless = true as const;
  static override flags = { ...common };
  protected override readonly decides = true;

  protected override async main(): Promise<number> {
    const { flags } = await this.line(Recover);
    const recovered = recoverRecorded(await this.store(), {
      onWait: (what) => this.printer.say(`Waiting for ${what}.`),
    });
    if (flags.json) {
      const entries = recovered.map(({ id, outcome, result, error }) => ({ id, outcome, error, result: result === null ? null : resultJson(result) }));
      this.printer.json({ version: 1, recovered: entries });
    } else if (recovered.length === 0) this.printer.say('Nothing was interrupted.');
    else sayRecovered(this.printer, recovered);
    return recovered.some(({ outcome }) => outcome === 'blocked') ? 1 : 0;
  }
}
