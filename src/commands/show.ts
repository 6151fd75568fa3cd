import { toText } from '../bytes.js';
import { storeContextOf } from '../changes/context.js';
import { contentOf } from '../changes/show.js';
import { hasCommit, keptContent } from '../changes/vault/kept.js';
import { usageError } from '../errors.js';
import { resolveOnly, splitTagPath } from '../sandbox/resolve.js';
import { hasSandbox } from '../sandbox/store.js';
import { AgentfwCommand, common } from '../ui/command.js';
import { bytesJson } from '../ui/record.js';

export default class Show extends AgentfwCommand {
  static override id = 'show';
  static override summary = 'print a file as the agent left it, or as it was before a commit';
  static override usage = ['show TAG:PATH', 'show COMMIT:PATH'];
  static override flags = { ...common };

  protected override async main(): Promise<number> {
    const { flags, words, after } = await this.line(Show);
    const [word, ...rest] = [...words, ...after];
    if (word === undefined || rest.length > 0) throw usageError('Expected one TAG:PATH.', 'For example: agentfw show fix-login:src/main.c');
    const store = await this.store();
    const { name, path } = splitTagPath(store.context.cwd, word);
    const context = storeContextOf(store);
    const commit = !hasSandbox(store, name) && hasCommit(context, name) ? toText(name) : null;
    const record = commit === null ? resolveOnly(store, { tag: null, words: name === '' ? [] : [name], after: [] }, { certain: false }) : null;
    const pieces = record === null ? keptContent(context, name, path) : contentOf(store, record, path);
    if (flags.json) {
      const content = Buffer.concat([...pieces]).toString('base64');
      this.printer.json({ version: 1, ...(record === null ? { commit } : { tag: record.tag }), ...bytesJson('path', path), content });
      return 0;
    }
    for (const piece of pieces) this.printer.product(piece);
    return 0;
  }
}
