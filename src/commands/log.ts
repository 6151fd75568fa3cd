import { boolean, string } from '@oclif/core/flags';
import { publicKeyOf } from '../audit/chain.js';
import { AUDIT_KINDS, type AuditKind, type AuditRecord } from '../audit/event.js';
import { userKey } from '../audit/files.js';
import { followLog, readLog, type LogFilter } from '../audit/read.js';
import { verifyLog } from '../audit/verify.js';
import { storeContextOf } from '../changes/context.js';
import { surveyCommits } from '../changes/engine.js';
import { usageError } from '../errors.js';
import { resolveOnly } from '../sandbox/resolve.js';
import { readRecord, sandboxDir, type Store } from '../sandbox/store.js';
import { AgentfwCommand, common, wordsOf, type Line } from '../ui/command.js';
import { commitTable } from '../ui/commitlog.js';
import { infoJson, sayBroken } from '../ui/commits.js';
import { reportOf } from '../ui/error.js';
import { escapeForTerminal, safeJson } from '../ui/escape.js';
import { recordLine } from '../ui/log.js';
import { bytesJson } from '../ui/record.js';
import { plural } from '../ui/table.js';

type Flags = { readonly json?: boolean | undefined; readonly follow?: boolean | undefined; readonly denied?: boolean | undefined; readonly kind?: string[] | undefined };

export default class Log extends AgentfwCommand {
  static override id = 'log';
  static override summary = 'show what a sandbox did and was refused; prove that the record is whole; list commits';
  static override description =
    '`log verify` reads the whole log again and names the first record that was changed, moved or cut off; its status is 1 then. docs/audit.md describes a record. On a terminal it goes through AGENTFW_PAGER or PAGER, else less; `cat` for none.';
  static override usage = ['log [TAG]', 'log verify [TAG]', 'log --commits [TAG]'];
  static override examples = ['agentfw log fix-login --denied', 'agentfw log verify fix-login', 'agentfw log --commits'];
  static override flags = {
    ...common,
    follow: boolean({ char: 'f', description: 'go on with what is added' }),
    kind: string({ description: 'only records of this kind (can be repeated)', helpValue: 'KIND', options: [...AUDIT_KINDS], multiple: true, multipleNonGreedy: true }),
    denied: boolean({ description: 'only what was refused' }),
    commits: boolean({ description: 'what landed on the host, newest first', exclusive: ['follow', 'kind', 'denied'] }),
  };

  protected override readonly shows = true;

  protected override async main(): Promise<number> {
    const line = await this.line(Log);
    const store = await this.store();
    if (line.flags.json !== true && line.flags.follow !== true) await this.printer.page();
    if (line.flags.commits === true) return this.commits(store, line);
    const [first, ...rest] = line.words;
    if (first === 'verify') {
      const odd = (['follow', 'kind', 'denied'] as const).find((flag) => line.flags[flag] !== undefined);
      if (odd !== undefined) throw usageError(`log verify reads every record: --${odd} is not for it.`, 'See agentfw log --help');
      return this.verify(store, { ...line, words: rest });
    }
    const { tag } = resolveOnly(store, wordsOf(line), { certain: false });
    return line.flags.follow === true ? this.follow(store, tag, line.flags) : this.show(store, tag, line.flags);
  }

  private show(store: Store, tag: string, flags: Flags): number {
    const records = readLog(store.kernel, sandboxDir(store, tag), filterOf(flags));
    if (flags.json === true) for (const piece of piecesOfJson(tag, records)) this.printer.product(piece);
    else for (const record of records) this.printer.product(`${recordLine(record, this.printer.paint)}\n`);
    return 0;
  }

  /** Until it is interrupted, or the sandbox is gone: a line of text or of JSON for each record. */
  private async follow(store: Store, tag: string, flags: Flags): Promise<number> {
    const stop = new AbortController();
    process.once('SIGINT', () => stop.abort());
    for await (const record of followLog(store.kernel, sandboxDir(store, tag), filterOf(flags), stop.signal)) {
      if (flags.json === true) this.printer.json(record);
      else this.printer.product(`${recordLine(record, this.printer.paint)}\n`);
    }
    if (!stop.signal.aborted) this.printer.say(`${tag} is gone, and its log with it.`);
    return 0;
  }

  private verify(store: Store, line: Line<Flags>): number {
    const { tag } = resolveOnly(store, wordsOf(line), { certain: false });
    const key = publicKeyOf(userKey(store.kernel, store.dir));
    const anchor = readRecord(store, tag).audit ?? null;
    const found = verifyLog(store.kernel, sandboxDir(store, tag), tag, { publicKey: key, anchor });
    if (line.flags.json === true) this.printer.json({ version: 1, tag, ...found });
    else if (!found.ok) this.printer.say(`${this.printer.paintErr('red', 'BAD')}  record ${found.index} of ${tag} (${escapeForTerminal(found.file)}, line ${found.line}): ${escapeForTerminal(found.why)}`);
    else this.printer.say(`ok  ${plural(found.records, 'record')} of ${tag}, ${found.end === 'signed' ? 'complete: the end is signed' : 'unbroken; nothing proves that the last one is the end'}`);
    return found.ok ? 0 : 1;
  }

  private commits(store: Store, line: Line<Flags>): number {
    const tag = line.words.length + line.after.length > 0 ? resolveOnly(store, wordsOf(line), { certain: false }).tag : null;
    const { commits: all, broken } = surveyCommits(storeContextOf(store));
    const commits = all.filter((commit) => tag === null || commit.tag === tag);
    if (line.flags.json === true) this.printer.json({ version: 1, commits: commits.map(infoJson), broken: broken.map(({ id, error }) => ({ ...bytesJson('id', id), error: reportOf(error).message })) });
    else if (commits.length === 0 && broken.length === 0) this.printer.say('No commits.');
    else this.printer.product(commitTable(commits, store.context.now()));
    if (line.flags.json !== true) sayBroken(this.printer, broken);
    return broken.length === 0 ? 0 : 1;
  }
}

/** A short log that turns out to be unreadable has printed nothing by then. */
const PIECE = 1 << 20;

/** One object in pieces: of a long log it is more text than Node can hold. */
function* piecesOfJson(tag: string, records: Iterable<AuditRecord>): Generator<string> {
  let text = `{"version":1,"tag":${safeJson(tag)},"records":[`;
  let comma = '';
  for (const record of records) {
    text += `${comma}${safeJson(record)}`;
    comma = ',';
    if (text.length < PIECE) continue;
    yield text;
    text = '';
  }
  yield `${text}]}\n`;
}

function filterOf({ kind, denied }: Flags): LogFilter {
  return { ...(kind === undefined ? {} : { kinds: kind as AuditKind[] }), denied: denied === true };
}
