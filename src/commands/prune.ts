import { boolean, string } from '@oclif/core/flags';
import { joinBytes, type Bytes } from '../bytes.js';
import { storeContextOf } from '../changes/context.js';
import { discardSandbox } from '../changes/discarding.js';
import { recoverRecorded } from '../changes/effects.js';
import { pruneCommits, type BrokenCommit } from '../changes/engine.js';
import { AgentfwError, usageError } from '../errors.js';
import type { Leftover } from '../kernel/remove.js';
import { parseDuration, parseSize, type Parsed } from '../policy/units.js';
import { prunableSandboxes } from '../sandbox/prune.js';
import type { SandboxRecord } from '../sandbox/sandbox.js';
import type { Store } from '../sandbox/store.js';
import { Away } from '../sandbox/foreign.js';
import { sweepTrash } from '../sandbox/trash.js';
import { AgentfwCommand, common } from '../ui/command.js';
import { confirm } from '../ui/confirm.js';
import { infoJson, sayBroken, sayRecovered } from '../ui/commits.js';
import { escapeForTerminal, showBytes } from '../ui/escape.js';
import { age, plural, size, table } from '../ui/table.js';

export default class Prune extends AgentfwCommand {
  static override id = 'prune';
  static override summary = 'remove sandboxes that are committed, and by age what is older';
  static override description =
    'Without an age: sandboxes of which everything is committed. With --older-than also other stopped sandboxes and what older commits keep for undo. What goes is shown first. AGENTFW_KEEP_UNDO, such as 10GB,30d, bounds what is kept after each commit.';
  static override usage = ['prune'];
  static wordless = true as const;
  static override examples = ['agentfw prune --dry-run', 'agentfw prune --older-than 30d --keep-undo 2GB --yes'];
  static override flags = {
    ...common,
    'older-than': string({ description: 'also what ended or landed longer ago, such as 30d', helpValue: 'AGE' }),
    'keep-undo': string({ description: 'of what commits keep for undo, leave the newest, up to a size such as 2GB', helpValue: 'SIZE' }),
    'dry-run': boolean({ char: 'n', description: 'only show what would go' }),
    yes: boolean({ char: 'y', description: 'do not ask' }),
  };
  protected override readonly decides = true;

  protected override async main(): Promise<number> {
    const { flags } = await this.line(Prune);
    const seconds = valueOf(flags['older-than'], parseDuration);
    const olderThanMs = seconds === null ? null : seconds * 1000;
    const maxBytes = valueOf(flags['keep-undo'], parseSize);
    const store = await this.store();
    const context = storeContextOf(store);
    const dryRun = flags['dry-run'] ?? false;
    if (!dryRun) sayRecovered(this.printer, recoverRecorded(store, { onWait: this.sayWait }));
    const sandboxes = prunableSandboxes(store, olderThanMs);
    const undo = olderThanMs !== null || maxBytes !== null;
    const broken: BrokenCommit[] = [];
    const commits = undo ? pruneCommits(context, { olderThanMs, maxBytes, dryRun: true, onBroken: (one) => void broken.push(one) }) : [];
    sayBroken(this.printer, broken);
    const now = store.context.now();
    if (flags.json !== true) {
      this.printer.product(table([
        ...sandboxes.map(({ record, why }) => ['sandbox', record.tag, why, age(record.stopped ?? record.started, now), showBytes(record.cwd)]),
        ...commits.map(({ id, created, bytes }) => ['undo of', id, size(bytes), age(created, now), '']),
      ]));
    }
    let [complete, going] = [broken.length === 0, sandboxes];
    const left = (dir: Bytes, { count, first }: Leftover): void => {
      complete = false;
      if (first instanceof Away) return this.printer.warn(`${showBytes(first.dir)} lies on a filesystem that isn't mounted. Mount it and run agentfw prune again; if it is gone for good, remove ${showBytes(first.notedIn)}.`);
      this.printer.warn(`${plural(count, 'file')} in ${showBytes(dir)} can't be removed: ${escapeForTerminal(first instanceof Error ? first.message : String(first))}. Where lsattr shows i or a, chattr -i -a lets it be removed.`);
    };
    const nothing = sandboxes.length === 0 && commits.length === 0;
    if (!dryRun && !nothing) {
      if (flags.yes !== true && !(await confirm(this.printer, 'Remove them for good?'))) return this.leave(flags.json === true);
      going = sandboxes.filter(({ record }) => this.removeOne(store, record));
      complete &&= going.length === sandboxes.length;
      if (undo) pruneCommits(context, { olderThanMs, maxBytes, dryRun: false, only: new Set(commits.map(({ id }) => id)), onLeft: left });
    }
    if (!dryRun) for (const one of sweepTrash(store, { stuckToo: true })) left(joinBytes(store.dir, 'trash' as Bytes), one);
    if (flags.json) this.printer.json({ version: 1, dryRun, sandboxes: going.map(({ record, why }) => ({ tag: record.tag, why })), commits: commits.map(infoJson) });
    else if (nothing) this.printer.say('Nothing to prune.');
    return complete ? 0 : 1;
  }

  private leave(json: boolean): number {
    if (json) this.printer.json({ version: 1, dryRun: false, sandboxes: [], commits: [] });
    return 1;
  }

  private readonly sayWait = (what: string): void => this.printer.say(`Waiting for ${what}.`);

  /** False: it stays, and the others go all the same. */
  private removeOne(store: Store, record: SandboxRecord): boolean {
    try {
      const { gone } = discardSandbox(store, record.tag, { onWait: this.sayWait, seen: record });
      if (!gone) this.printer.warn(`${record.tag} was used since it was listed: it stays.`);
      return gone;
    } catch (error) {
      if (error instanceof AgentfwError && error.code === 'AFW_NO_SANDBOX') return true;
      if (!(error instanceof AgentfwError) || !STAYS.has(error.code)) throw error;
      this.printer.warn(`${record.tag} stays: ${escapeForTerminal(error.message)}`);
      return false;
    }
  }
}

/** What the sandbox is doing, or did since it was shown, may not be lost. */
const STAYS = new Set(['AFW_RUNNING', 'AFW_BUSY', 'AFW_UNFINISHED']);

function valueOf(text: string | undefined, parse: (text: string) => Parsed): number | null {
  if (text === undefined) return null;
  const parsed = parse(text);
  if (!parsed.ok) throw usageError(`${parsed.why}.`, parsed.hint);
  return parsed.value;
}
