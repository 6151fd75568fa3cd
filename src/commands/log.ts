import { boolean } from '@oclif/core/flags';
import { storeContextOf } from '../changes/context.js';
import { listCommits, type CommitInfo } from '../changes/engine.js';
import { usageError } from '../errors.js';
import { resolveOnly } from '../sandbox/resolve.js';
import { countsText } from '../ui/changes.js';
import { AgentfwCommand, common, wordsOf } from '../ui/command.js';
import { infoJson } from '../ui/commits.js';
import { escapeForTerminal } from '../ui/escape.js';
import { age, size, table } from '../ui/table.js';

export default class Log extends AgentfwCommand {
  static override id = 'log';
  static override summary = 'list the commits, newest first';
  static override usage = ['log --commits [TAG]'];
  static override flags = { ...common, commits: boolean({ description: 'what landed on the host' }) };
  static unbuilt = ['follow', 'verify'];

  protected override async main(): Promise<number> {
    const line = await this.line(Log);
    if (line.flags.commits !== true) throw usageError('Only `log --commits` is built yet.', 'agentfw log --commits');
    const store = await this.store();
    const tag = line.words.length > 0 ? resolveOnly(store, wordsOf(line), { certain: false }).tag : null;
    const commits = listCommits(storeContextOf(store)).filter((commit) => tag === null || commit.tag === tag);
    if (line.flags.json) {
      this.printer.json({ version: 1, commits: commits.map(infoJson) });
      return 0;
    }
    if (commits.length === 0) this.printer.say('No commits.');
    const now = store.context.now();
    this.printer.product(table(commits.map((commit) => rowOf(commit, now))));
    return 0;
  }
}

function rowOf(commit: CommitInfo, now: Date): string[] {
  const { id, tag, created, note, counts, undoes, undoneBy, state, bytes } = commit;
  const facts = [
    undoes === null ? null : `undoes ${undoes}`,
    undoneBy === null ? null : `undone by ${undoneBy}`,
    state === 'landed' ? null : state,
    note === null ? null : escapeForTerminal(note),
  ].filter((fact) => fact !== null);
  return [id, tag, age(created, now), countsText(counts), size(bytes), facts.join('; ')];
}
