import { string } from '@oclif/core/flags';
import { decodeWord } from '../argv.js';
import { fromText, isWithin, toText, type Bytes } from '../bytes.js';
import type { JudgedChange } from '../changes/change.js';
import { gather, type Gathered } from '../changes/gather.js';
import { filterChanges } from '../changes/words.js';
import { AgentfwError, usageError } from '../errors.js';
import { openOutput, type Output } from '../kernel/output.js';
import { renderArchive } from '../render/archive.js';
import { diffJson } from '../render/json.js';
import { renderOci } from '../render/oci.js';
import { renderPatch } from '../render/patch.js';
import type { Omitted } from '../render/source.js';
import { summarise } from '../render/summary.js';
import { absolutePath, refuseUnmatched, resolveTag } from '../sandbox/resolve.js';
import type { SandboxRecord } from '../sandbox/sandbox.js';
import type { Store } from '../sandbox/store.js';
import { checkTrail, recordEffect } from '../sandbox/trail.js';
import { AgentfwCommand, common, wordsOf } from '../ui/command.js';
import { contentPrinter } from '../ui/content.js';
import { escapeForTerminal, safeJson, showBytes } from '../ui/escape.js';
import { bytesJson } from '../ui/record.js';

const FORMATS = ['patch', 'tar', 'oci', 'json'] as const;
type Format = (typeof FORMATS)[number];

export default class Export extends AgentfwCommand {
  static override id = 'export';
  static override summary = 'write changes as a patch, an archive or JSON, to use elsewhere';
  static override description =
    'patch: for `git apply`, binary files included; tar: the new versions, and whiteouts for deletions, as a layer of an OCI image; ' +
    'oci: the same as an image; json: as diff --json. What a format can’t hold is said on stderr.';
  static override usage = ['export [TAG] [PATH...] [-o FILE]'];
  static override examples = ['agentfw export fix-login -o changes.patch', 'agentfw export fix-login --format tar -o changes.tar'];
  static override flags = {
    ...common,
    tag: string({ description: 'the sandbox, whatever files are called', helpValue: 'TAG' }),
    format: string({ description: 'what to write', options: [...FORMATS], default: 'patch' }),
    output: string({ char: 'o', description: 'where to; - is stdout', helpValue: 'FILE', default: '-' }),
    root: string({ description: 'names are relative to it (default: / ; for a patch the sandbox’s directory)', helpValue: 'DIR' }),
  };

  protected override async main(): Promise<number> {
    const line = await this.line(Export);
    const { flags } = line;
    const format = flags.format as Format;
    if (flags.output === '-' && flags.json === true) throw usageError('The export and the report of --json can’t both go to stdout.', 'Write to a file: -o FILE');
    if (flags.output === '-' && this.printer.screen && format !== 'json' && format !== 'patch') throw usageError('An archive can’t be shown on a terminal.', 'Write to a file: -o FILE');
    const store = await this.store();
    const resolved = resolveTag(store, wordsOf(line), { certain: false });
    const { record, paths } = resolved;
    checkTrail(store, record.tag);
    const gathered = gather(store, record);
    try {
      const { changes, unmatched } = filterChanges(gathered.shown, paths);
      // As `git archive`: what was asked for is in it, or there is none.
      refuseUnmatched(resolved, unmatched);
      const root = flags.root === undefined ? null : absolutePath(store.context.cwd, decodeWord(flags.root));
      if (root !== null && format !== 'json') refuseOutside(changes, root);
      const pieces = piecesOf({ store, record, gathered, changes, root: root ?? (format === 'patch' ? record.cwd : fromText('/')) }, format);
      const omitted = this.write(this.outputOf(store, flags.output), pieces);
      recordEffect(store, record.tag, { kind: 'export', object: { format, to: flags.output ?? null }, detail: { changes: changes.length, omitted: omitted.length } });
      if (flags.json === true) {
        const lost = omitted.map(({ path, why }) => ({ ...bytesJson('path', path), why }));
        this.printer.json({ version: 1, tag: record.tag, format, changes: changes.length, omitted: lost });
      } else {
        for (const { path, why } of omitted) this.printer.warn(`${showBytes(path)}: left out, ${escapeForTerminal(why)}`);
        if (changes.length === 0) this.printer.say(`Sandbox ${record.tag} has no changes.`);
      }
      return 0;
    } finally {
      gathered.contents.close();
    }
  }

  private outputOf(store: Store, word: string): Output {
    if (word !== '-') return openOutput(store.kernel, absolutePath(store.context.cwd, decodeWord(word)));
    const { write, end } = contentPrinter(this.printer);
    return { write, done: end, drop: () => undefined };
  }

  private write(output: Output, pieces: Generator<Buffer, readonly Omitted[]>): readonly Omitted[] {
    try {
      let next = pieces.next();
      for (; next.done !== true; next = pieces.next()) output.write(next.value);
      output.done();
      return next.value;
    } catch (error) {
      output.drop();
      throw error;
    }
  }
}

/** A directory that is none of theirs is misspelt. */
function refuseOutside(changes: readonly JudgedChange[], root: Bytes): void {
  if (changes.length === 0 || changes.some(({ path, from }) => isWithin(path, root) || (from !== null && isWithin(from, root)))) return;
  throw new AgentfwError('AFW_NO_CHANGE', `None of the changes lies in ${toText(root)}.`, { hint: 'Give --root a directory that they lie in' });
}

interface Job {
  readonly store: Store;
  readonly record: SandboxRecord;
  readonly gathered: Gathered;
  readonly changes: readonly JudgedChange[];
  readonly root: Bytes;
}

function* piecesOf(job: Job, format: Format): Generator<Buffer, readonly Omitted[]> {
  const { changes, root, record, store, gathered } = job;
  const { contents, parts } = gathered;
  // Archives hold objects, not renames: each stands for its parts.
  const single = changes.flatMap((change) => parts.get(change) ?? [change]);
  if (format === 'patch') return yield* renderPatch(changes, { root, contents, parts });
  if (format === 'tar') return yield* renderArchive(single, { root, contents });
  if (format === 'oci') {
    const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
    const options = { architecture, created: store.context.now().toISOString(), ref: record.tag };
    return yield* renderOci(() => renderArchive(single, { root, contents }), options);
  }
  const document = diffJson({ tag: record.tag, digest: null, changes, summaryOf: (change) => summarise(change, contents) });
  yield Buffer.from(`${safeJson(document)}\n`);
  return [];
}
