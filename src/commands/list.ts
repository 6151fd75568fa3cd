import { listRecords } from '../sandbox/store.js';
import { AgentfwCommand, common } from '../ui/command.js';
import { reportOf } from '../ui/error.js';
import { showBytes } from '../ui/escape.js';
import { age, table } from '../ui/table.js';

export default class List extends AgentfwCommand {
  static override id = 'list';
  static override summary = 'list the sandboxes, newest first';
  static override usage = ['list'];
  static override flags = { ...common };

  protected override async main(): Promise<number> {
    const { flags } = await this.line(List);
    const store = await this.store();
    const { records, broken } = listRecords(store);
    const now = store.context.now();
    if (records.length === 0) this.printer.say('No sandboxes.');
    this.printer.product(
      table(records.map((record) => [record.tag, record.state, age(record.created, now), showBytes(record.cwd)])),
    );
    for (const { tag, error } of broken) this.printer.warn(`${tag}: ${reportOf(error).message}`);
    return flags.json ? 0 : 0;
  }
}
