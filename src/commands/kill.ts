import { boolean } from '@oclif/core/flags';
import { usageError } from '../errors.js';
import { resolveOnly } from '../sandbox/resolve.js';
import type { SandboxRecord } from '../sandbox/sandbox.js';
import { killSandbox } from '../sandbox/stop.js';
import { listRecords, supervisorOf, type Store } from '../sandbox/store.js';
import { recordEffect } from '../sandbox/trail.js';
import { AgentfwCommand, common, wordsOf } from '../ui/command.js';
import { reportOf } from '../ui/error.js';
import { escapeForTerminal } from '../ui/escape.js';

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
    const { killed, failed } = line.flags.all ? await this.every(store) : { killed: await this.one(store, resolveOnly(store, wordsOf(line), { certain: false })), failed: 0 };
    if (line.flags.json) this.printer.json({ version: 1, killed });
    else if (killed.length + failed === 0) this.printer.say('Nothing was running.');
    else for (const tag of killed) this.printer.say(`Killed ${tag}`);
    return failed === 0 ? 0 : 1;
  }

  /** One that can't be ended keeps none of the others alive. */
  private async every(store: Store): Promise<{ readonly killed: readonly string[]; readonly failed: number }> {
    const { records, broken } = listRecords(store);
    const killed: string[] = [];
    const unread = broken.filter(({ tag }) => supervisorOf(store, tag) !== null);
    for (const { tag, error } of unread) this.stays(tag, error);
    let failed = unread.length;
    for (const record of records) {
      try {
        killed.push(...(await this.one(store, record)));
      } catch (error) {
        this.stays(record.tag, error);
        failed += 1;
      }
    }
    return { killed, failed };
  }

  private stays(tag: string, error: unknown): void {
    this.printer.warn(`${tag} is not ended: ${escapeForTerminal(reportOf(error).message)}`);
  }

  /** Its tag, where it ran. */
  private async one(store: Store, { tag, state }: SandboxRecord): Promise<readonly string[]> {
    if (state === 'running' || state === 'starting') this.note(store, tag);
    return (await killSandbox(store, tag)) ? [tag] : [];
  }

  /** An agent that fills the disk, and a log that was damaged, must be no reason to let it go on. */
  private note(store: Store, tag: string): void {
    try {
      recordEffect(store, tag, { kind: 'kill', detail: { by: 'agentfw kill' } });
    } catch (error) {
      this.printer.warn(`That ${tag} is killed can't be written into its audit log: ${escapeForTerminal(reportOf(error).message)}`);
    }
  }
}
