import { string } from '@oclif/core/flags';
import { toText, type Bytes } from '../bytes.js';
import { storeContextOf } from '../changes/context.js';
import { contentOf } from '../changes/show.js';
import { holderOf, surveyInfos } from '../changes/vault/commits.js';
import { idNamed } from '../changes/vault/named.js';
import { keptContent, type Side } from '../changes/vault/kept.js';
import { usageError } from '../errors.js';
import { resolveOnly, splitTagPath } from '../sandbox/resolve.js';
import { hasSandbox, type Store } from '../sandbox/store.js';
import { AgentfwCommand, common } from '../ui/command.js';
import { contentPrinter } from '../ui/content.js';
import { bytesJson } from '../ui/record.js';

export default class Show extends AgentfwCommand {
  static override id = 'show';
  static override summary = 'print a file as the agent left it, or as it was before a commit';
  static override description = 'Of the id of a commit its first letters do, four or more that only one begins with. Byte for byte; on a terminal what would act on it is escaped, and it goes through AGENTFW_PAGER or PAGER, else less; `cat` for none.';
  static override usage = ['show TAG:PATH', 'show COMMIT:PATH [--side host|sandbox]'];
  static override examples = ['agentfw show fix-login:src/main.c', 'agentfw show 01m89d2x4wj829fpcsdrv5nvg9:src/main.c'];
  static override flags = {
    ...common,
    side: string({ description: 'of a commit: whose version, the host’s before it (default), or the agent’s that it merged or dropped', options: ['host', 'sandbox'] }),
  };

  protected override readonly shows = true;

  protected override async main(): Promise<number> {
    const { flags, words, after } = await this.line(Show);
    const [word, ...rest] = [...words, ...after];
    if (word === undefined || rest.length > 0) throw usageError('Expected one TAG:PATH.', 'For example: agentfw show fix-login:src/main.c');
    const store = await this.store();
    const { name, path } = splitTagPath(store.context.cwd, word);
    const { source, pieces } = versionAt(store, { name, path, side: (flags.side ?? null) as Side | null });
    if (flags.json) {
      const content = Buffer.concat([...pieces]).toString('base64');
      this.printer.json({ version: 1, ...source, ...bytesJson('path', path), content });
      return 0;
    }
    await this.printer.page();
    const content = contentPrinter(this.printer);
    for (const piece of pieces) content.write(piece);
    content.end();
    return 0;
  }
}

interface Version {
  readonly source: { readonly tag: string } | { readonly commit: string };
  readonly pieces: Iterable<Buffer>;
}

interface Wanted {
  readonly name: Bytes;
  readonly path: Bytes;
  readonly side: Side | null;
}

/** A sandbox's version, or what a commit replaced. */
function versionAt(store: Store, { name, path, side }: Wanted): Version {
  const context = storeContextOf(store);
  const survey = hasSandbox(store, name) ? { commits: [], broken: [] } : surveyInfos(context);
  const { commits, broken } = survey;
  const named = idNamed(survey, toText(name));
  const commit = commits.find(({ id }) => id === named);
  const damaged = broken.find(({ id }) => id === named);
  if (damaged !== undefined) throw damaged.error;
  if (commit !== undefined) return { source: { commit: commit.id }, pieces: keptContent(context, [holderOf(commits, commit).id, commit.id], path, side ?? 'host') };
  if (side !== null) throw usageError('--side is about a commit, and that is none.', 'Of a sandbox show prints what the agent left: agentfw show TAG:PATH');
  const record = resolveOnly(store, { tag: null, words: name === '' ? [] : [name], after: [] }, { certain: false });
  return { source: { tag: record.tag }, pieces: contentOf(store, record, path) };
}
