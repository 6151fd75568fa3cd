import { boolean } from '@oclif/core/flags';
import { usageError } from '../errors.js';
import { resolveOnly } from '../sandbox/resolve.js';
import { killSandbox } from '../sandbox/stop.js';
import { listRecords } from '../sandbox/store.js';
import { recordEffect } from '../sandbox/trail.js';
import { AgentfwCommand, common, wordsOf } from '../ui/command.js';

export default class Kill extends AgentfwCommand {
  static override id = 'kill';
  static override summary = 'end a running sandbox with all its processes; its changes stay';
  static override usage = ['kill [TAG | --all]'];
  static override flags = { ...common, all: boolean({ description: 'end every running sandbox' }) };
  protected override readonly decides = true;

  protected override async main(): Promise<number> {
    const line = await this.line(Kill);
    if (line.flags.all && line.words.length + line.after.length > 0) throw usageError('Expected a tag or --all, not both.', 'List them: agentfw list');
    const store = await this.store();
    const running = listRecords(store).records.filter(({ state }) => state === 'running' || state === 'starting');
    const tags = line.flags.all ? running.map(({ tag }) => tag) : [resolveOnly(store, wordsOf(line), { certain: false }).tag];
    const killed: string[] = [];
    for (const tag of tags) {
      if (running.some((record) => record.tag === tag)) recordEffect(store, tag, { kind: 'kill', detail: { by: 'agentfw kill' } });
      if (await killSandbox(store, tag)) killed.push(tag);
    }
    if (line.flags.json) this.printer.json({ version: 1, killed });
    else if (killed.length === 0) this.printer.say('Nothing was running.');
    else for (const tag of killed) this.printer.say(`Killed ${tag}`);
    return 0;
  }
}
