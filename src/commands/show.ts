import { contentOf } from '../changes/show.js';
import { usageError } from '../errors.js';
import { splitTagPath } from '../sandbox/resolve.js';
import { AgentfwCommand, common } from '../ui/command.js';
import { bytesJson } from '../ui/record.js';

export default class Show extends AgentfwCommand {
  static override id = 'show';
  static override summary = 'print a file as the agent left it';
  static override usage = ['show TAG:PATH'];
  static override flags = { ...common };

  protected override async main(): Promise<number> {
    const { flags, words, after } = await this.line(Show);
    const [word, ...rest] = [...words, ...after];
    if (word === undefined || rest.length > 0) throw usageError('Expected one TAG:PATH.', 'For example: agentfw show fix-login:src/main.c');
    const store = await this.store();
    const { record, path } = splitTagPath(store, word);
    const pieces = contentOf(store, record, path);
    if (flags.json) {
      const content = Buffer.concat([...pieces]).toString('base64');
      this.printer.json({ version: 1, tag: record.tag, ...bytesJson('path', path), content });
      return 0;
    }
    for (const piece of pieces) this.printer.product(piece);
    return 0;
  }
}
