import { boolean, string } from '@oclif/core/flags';
import { fromText, isText, toBuffer, toText, type Bytes } from '../bytes.js';
import type { Change, JudgedChange } from '../changes/change.js';
import { storeContextOf } from '../changes/context.js';
import { interruptedCommits } from '../changes/journal/unfinished.js';
import { hunkFileOf } from '../changes/conflict/compose.js';
import { weightOf } from '../changes/scan/crowd.js';
import { countKinds, gather, type Gathered } from '../changes/gather.js';
import { changedPaths, changesTold } from '../changes/tally.js';
import { wholeDigest } from '../changes/offer.js';
import { filterChanges } from '../changes/words.js';
import { diffJson } from '../render/json.js';
import { quoteName } from '../render/quote.js';
import { summarise } from '../render/summary.js';
import { refuseMistyped, resolveTag, type Resolved } from '../sandbox/resolve.js';
import type { SandboxRecord } from '../sandbox/sandbox.js';
import type { Store } from '../sandbox/store.js';
import { classHeading, countsText } from '../ui/changes.js';
import { AgentfwCommand, common, wordsOf } from '../ui/command.js';
import { sayInterrupted } from '../ui/commits.js';
import { showBytes } from '../ui/escape.js';
import { viewOf } from '../ui/patch.js';
import { statText } from '../ui/stat.js';

const CLASSES = ['control', 'later', 'normal'] as const;

export default class Diff extends AgentfwCommand {
  static override id = 'diff';
  static override summary = 'show what an agent changed, against the host as it is now';
  static override description =
    'What takes effect by itself comes first, then what runs code later, then deletions, then the rest. ' +
    'Text is a patch that `git apply` takes in the directory where the sandbox was started. --exit-code: 0 none, 1 changes, 2 and more a failure. On a terminal it goes through AGENTFW_PAGER or PAGER, else less; `cat` for none.';
  static override usage = ['diff [TAG] [PATH...]'];
  static override examples = ['agentfw diff', 'agentfw diff fix-login src --stat', 'agentfw diff fix-login --conflicts'];
  static override flags = {
    ...common,
    tag: string({ description: 'the sandbox, whatever files are called', helpValue: 'TAG' }),
    stat: boolean({ description: 'one line a change, with lines added and removed', exclusive: ['name-only'] }),
    'name-only': boolean({ description: 'absolute paths only, a rename as both of its names' }),
    null: boolean({ char: 'z', description: 'with --name-only: names as they are, each ended by a NUL, for xargs -0', dependsOn: ['name-only'], exclusive: ['json'] }),
    'exit-code': boolean({ description: 'exit with 1 when there are changes' }),
    hunks: boolean({ description: 'with --json: number the hunks, for commit --hunk', dependsOn: ['json'] }),
    conflicts: boolean({ description: 'only what changed on the host meanwhile' }),
    class: string({ description: 'only one class of risk', options: [...CLASSES] }),
  };

  protected override readonly shows = true;

  protected override async main(): Promise<number> {
    const line = await this.line(Diff);
    const { flags } = line;
    const store = await this.store();
    const resolved = resolveTag(store, wordsOf(line), { certain: false });
    const { record } = resolved;
    // Scripts ask for a status, and for JSON.
    if (flags.json !== true && flags['exit-code'] !== true) await this.printer.page();
    this.sayState(record);
    sayInterrupted(this.printer, interruptedCommits(storeContextOf(store)));
    // Names need no contents: that is ten times as fast.
    if (flags['name-only'] === true && flags.json !== true && flags.class === undefined && flags.conflicts !== true) {
      const paths = resolved.paths.length === 0 ? changedPaths(store, record) : this.named(changesTold(store, record), resolved).map(({ path }) => path);
      this.names(paths.sort(), flags.null);
      return flags['exit-code'] === true && paths.length > 0 ? 1 : 0;
    }
    const counts = flags.stat === true || flags.json === true;
    const crowds = flags.stat === true && flags.json !== true && resolved.paths.length === 0 ? ('shown' as const) : undefined;
    const gathered = gather(store, record, { look: counts ? 'lines' : 'head', crowds });
    try {
      const named = crowds !== undefined ? gathered.shown : this.named(gathered.shown, resolved);
      const changes = named.filter(
        (change) => (flags.class === undefined || change.class === flags.class) && (flags.conflicts !== true || change.conflict !== null),
      );
      if (flags.json === true) this.object(changes, { store, record, gathered }, flags.hunks ?? false);
      else if (flags['name-only'] === true) this.names(changes.map(({ path }) => path), flags.null);
      else if (flags.stat === true) this.stat(changes, gathered);
      else this.patch(changes, gathered, record);
      return flags['exit-code'] === true && changes.length > 0 ? 1 : 0;
    } finally {
      gathered.contents.close();
    }
  }

  /** With --exit-code 1 says that there are changes. */
  protected override failed(status: number): number {
    return this.argv.includes('--exit-code') ? Math.max(status, 2) : status;
  }

  private object(changes: readonly JudgedChange[], { store, record, gathered }: Looked, hunks: boolean): void {
    const { contents } = gathered;
    const digest = wholeDigest(store, record, gathered);
    const document = diffJson({ tag: record.tag, digest, changes, summaryOf: (change) => summarise(change, contents) });
    if (!hunks) this.printer.json(document);
    else this.printer.json({ ...document, changes: document.changes.map((change, index) => ({ ...change, hunks: hunksJson(changes[index], contents) })) });
  }

  private sayState({ state, tag }: SandboxRecord): void {
    if (state === 'running' || state === 'starting') this.printer.say(`Sandbox ${tag} is running: this is a snapshot.`);
    if (state === 'unclean') this.printer.warn(`The machine went down while ${tag} ran: these changes are unverified.`);
  }

  /** As git does: for programs quoted where a line wouldn't tell, or exact, with NULs; escaped for a screen. */
  private names(paths: readonly Bytes[], isExact = false): void {
    const show = this.printer.screen ? (path: Bytes): string => fromText(showBytes(path)) : quoteName;
    this.printer.product(toBuffer(paths.map((path) => (isExact ? `${path}\0` : `${show(path)}\n`)).join('') as Bytes));
  }

  private named<T extends Change>(changes: readonly T[], resolved: Resolved): readonly T[] {
    const { changes: named, unmatched } = filterChanges(changes, resolved.paths);
    refuseMistyped(resolved, unmatched);
    for (const word of unmatched) this.printer.warn(`No change at ${showBytes(word)}`);
    return named;
  }

  private stat(changes: readonly JudgedChange[], { contents }: Gathered): void {
    for (const [heading, members] of sections(changes)) {
      const text = statText(members, contents, this.printer.paint);
      this.printer.product(heading === null ? text : Buffer.concat([Buffer.from(`${this.printer.paint('bold', heading)}:\n`), text]));
    }
    this.printer.product(`${countsText(countKinds(changes))}\n`);
  }

  private patch(changes: readonly JudgedChange[], gathered: Gathered, record: SandboxRecord): void {
    const { paint, screen } = this.printer;
    const view = { gathered, root: record.cwd, screen, paint };
    const out = gatherPieces(this.printer.product);
    for (const [heading, members] of sections(changes)) {
      if (heading !== null) out.add(`${paint('dim', '#')} ${paint('bold', heading)}:\n`);
      for (const change of members) for (const piece of viewOf(change, view)) out.add(piece);
    }
    out.flush();
    if (gathered.shown.length === 0) this.printer.say(`Sandbox ${record.tag} has no changes.`);
  }
}

const BLOCK = 128 * 1024;

/** One write for many pieces: there may be 20,000 patches. */
function gatherPieces(write: (block: Uint8Array) => void): { readonly add: (piece: string | Buffer) => void; readonly flush: () => void } {
  let pieces: Buffer[] = [];
  let length = 0;
  const flush = (): void => {
    if (length > 0) write(Buffer.concat(pieces));
    [pieces, length] = [[], 0];
  };
  const add = (piece: string | Buffer): void => {
    const bytes = typeof piece === 'string' ? Buffer.from(piece) : piece;
    pieces.push(bytes);
    length += bytes.length;
    if (length >= BLOCK) flush();
  };
  return { add, flush };
}

interface Looked {
  readonly store: Store;
  readonly record: SandboxRecord;
  readonly gathered: Gathered;
}

/** Lines are text where they are UTF-8; else `linesBytes` holds them in base64. Null where a change has no hunks. */
function hunksJson(change: JudgedChange | undefined, contents: Gathered['contents']): object[] | null {
  const file = change === undefined ? null : hunkFileOf(change, contents);
  if (file === null) return null;
  return file.hunks.map(({ lines, ...hunk }) => {
    const exact = lines.every((line) => isText(line as Bytes));
    const text = lines.map((line) => toText(line as Bytes));
    return exact ? { ...hunk, lines: text } : { ...hunk, lines: text, linesBytes: lines.map((line) => toBuffer(line as Bytes).toString('base64')) };
  });
}

function numberOf(changes: readonly JudgedChange[]): number {
  return changes.reduce((sum, change) => sum + weightOf(change), 0);
}

/** By class, with a heading where there is more than the ordinary. */
function sections(changes: readonly JudgedChange[]): [string | null, readonly JudgedChange[]][] {
  const risky = changes.some((change) => change.class !== 'normal');
  return CLASSES.flatMap((name): [string | null, readonly JudgedChange[]][] => {
    const members = changes.filter((change) => change.class === name);
    return members.length === 0 ? [] : [[risky ? classHeading(name, numberOf(members)) : null, members]];
  });
}
