import { boolean, string } from '@oclif/core/flags';
import { decodeWord } from '../argv.js';
import type { Bytes } from '../bytes.js';
import { closeIfDone, landPlan, withCommitLocks, type Locked } from '../changes/commit.js';
import { chooseHunks, mergeConflicts } from '../changes/conflict/compose.js';
import { changesOf, gather, type Gathered, type GatherOptions } from '../changes/gather.js';
import { offerOf, WHOLE, type Offer, type Wish } from '../changes/offer.js';
import type { Take } from '../changes/plan/refusal.js';
import { commitStatus, nothing } from '../changes/result.js';
import { filterChanges } from '../changes/words.js';
import { AgentfwError, usageError } from '../errors.js';
import { absolutePath, refuseUnmatched, resolveTag, type Resolved } from '../sandbox/resolve.js';
import { requirePolicy } from '../sandbox/policy-file.js';
import type { SandboxRecord } from '../sandbox/sandbox.js';
import type { Freezer } from '../sandbox/freezer.js';
import type { Store } from '../sandbox/store.js';
import { AgentfwCommand, common, wordsOf } from '../ui/command.js';
import { resultJson, sayRecovered, sayResult } from '../ui/commits.js';
import { confirm } from '../ui/confirm.js';
import { showBytes } from '../ui/escape.js';
import { offerJson, sayMerges, sayOffer, sayWithheld } from '../ui/offer.js';
import { pickPaths } from '../ui/pathpicker.js';
import { progressOn } from '../ui/progress.js';
import { bytesJson } from '../ui/record.js';
import { askControl, pickPatch } from '../ui/review.js';
import { settlingHint } from '../ui/conflict-hint.js';

const many = { multiple: true, multipleNonGreedy: true } as const;

/** What the flags say, once parsed. */
interface Flags {
  readonly json: boolean;
  readonly yes: boolean;
  readonly dryRun: boolean;
  readonly expect: string | null;
  readonly pick: 'paths' | 'hunks' | null;
  readonly merge: 'clean' | 'markers' | null;
  readonly hunks: readonly string[];
}

interface Job {
  readonly store: Store;
  readonly record: SandboxRecord;
  readonly gathered: Gathered;
  readonly flags: Flags;
  readonly freezer: Freezer | null;
  readonly resolved: Resolved;
}

export default class Commit extends AgentfwCommand {
  static override id = 'commit';
  static override summary = 'land changes of a sandbox on the host';
  static override description =
    'Without paths, everything. What changed on the host meanwhile is not overwritten; what takes effect by itself lands only when it is named. ' +
    'Each file lands whole or not at all, and `agentfw undo` takes it back. Status 3: something needs a decision.';
  static override usage = ['commit [TAG] [PATH...]'];
  static override examples = ['agentfw commit fix-login src --yes', 'agentfw commit fix-login -p', 'agentfw commit fix-login --take host README.md --merge'];
  static override flags = {
    ...common,
    tag: string({ description: 'the sandbox, whatever files are called', helpValue: 'TAG' }),
    yes: boolean({ char: 'y', description: 'do not ask' }),
    'dry-run': boolean({ char: 'n', description: 'only show what would land' }),
    patch: boolean({ char: 'p', description: 'choose hunk by hunk', exclusive: ['yes', 'interactive', 'json'] }),
    interactive: boolean({ char: 'i', description: 'choose paths from a list', exclusive: ['yes', 'json'] }),
    hunk: string({ description: 'land a hunk of diff --json --hunks (can be repeated)', helpValue: 'ID', ...many, exclusive: ['patch', 'interactive'] }),
    expect: string({ description: 'refuse to land anything but what has this digest', helpValue: 'DIGEST' }),
    merge: string({ description: 'merge text that both sides changed; markers: also where that is unclean', options: ['clean', 'markers'] }),
    take: string({ description: 'settle conflicts for a path, all below it, or a pattern: land the agent’s version, or drop it (can be repeated)', helpValue: 'sandbox|host PATH', ...many }),
    'accept-control': string({ description: 'let a path, all below it, or a pattern land that takes effect by itself (can be repeated)', helpValue: 'PATH', ...many }),
    live: boolean({ description: 'of a sandbox that runs: stop it for a moment, and copy' }),
    'keep-special': boolean({ description: 'keep setuid, setgid and file capabilities, and land FIFOs' }),
    message: string({ char: 'm', description: 'a note for agentfw log --commits', helpValue: 'NOTE' }),
  };
  protected override readonly decides = true;

  protected override async main(): Promise<number> {
    const line = await this.line(Commit);
    const flags = flagsOf(line.flags);
    const store = await this.store();
    const resolved = resolveTag(store, wordsOf(line), { certain: flags.yes });
    const { record, paths } = resolved;
    if ((flags.pick !== null || (!flags.yes && !flags.dryRun)) && !this.printer.interactive) throw noTerminal(store, resolved, flags);
    const absolute = (words: readonly string[] | undefined): Bytes[] => (words ?? []).map((word) => absolutePath(store.context.cwd, decodeWord(word)));
    const take = takesOf(line.flags.take ?? [], (word) => absolutePath(store.context.cwd, decodeWord(word)));
    const accept = absolute(line.flags['accept-control']);
    const onWait = (what: string): void => this.printer.say(`Waiting for ${what}.`);
    const live = line.flags.live ?? false;
    const run = (locked: Locked): Promise<number> => {
      requirePolicy(store, locked.record);
      const wish: Wish = { ...WHOLE, words: paths, accept, take, keepSpecial: line.flags['keep-special'] ?? false, note: line.flags.message ?? null, live: locked.freezer !== null };
      // Nobody is shown what lands, nor chooses from it.
      const isSilent = flags.yes && !flags.dryRun && flags.merge === null && flags.hunks.length === 0;
      const isWhole = isSilent && !wish.live && paths.length + accept.length + take.size === 0;
      return this.withChanges(store, locked, { controlOnly: isSilent, crowds: isWhole ? 'landed' : undefined }, (gathered) => this.settle({ store, record: locked.record, gathered, flags, freezer: locked.freezer, resolved }, wish));
    };
    try {
      return await withCommitLocks(store, record.tag, onWait, run, live);
    } catch (error) {
      throw live ? error : orLive(error, resolved);
    }
  }

  /** One moment of a running sandbox; it goes on while the user looks, and is held again to be copied. */
  private async withChanges(store: Store, { record, recovered, freezer }: Locked, how: GatherOptions, act: (gathered: Gathered) => Promise<number>): Promise<number> {
    sayRecovered(this.printer, recovered);
    try {
      await freezer?.hold();
      const gathered = gather(store, record, how);
      try {
        return await act(gathered);
      } finally {
        gathered.contents.close();
      }
    } finally {
      freezer?.letGo();
    }
  }

  /** From what was asked to what is landed. */
  private async settle(job: Job, asked: Wish): Promise<number> {
    const { store, record, gathered, flags, freezer } = job;
    if (!flags.yes) freezer?.letGo();
    if (record.state === 'unclean') this.printer.warn(`The machine went down while ${record.tag} ran: these changes are unverified.`);
    const wish = await this.narrow(job, asked);
    if (wish === null) return this.leave(job, null);
    let offer = offerOf(store, record, { gathered, wish });
    refuseUnmatched(job.resolved, offer.unmatched);
    if (!flags.yes && !flags.dryRun && offer.withheld.length > 0) {
      const accepted = await askControl(this.printer, offer.withheld, { gathered, root: record.cwd });
      if (accepted === null) return this.leave(job, offer);
      offer = offerOf(store, record, { gathered, wish: { ...wish, accept: [...wish.accept, ...accepted] } });
    }
    if (flags.expect !== null && flags.expect !== offer.digest) throw otherDigest(flags.expect, offer.digest);
    if (flags.dryRun) return this.wouldLand(job, offer);
    if (!flags.yes) {
      this.offer(job, offer);
      if (offer.plan.steps.length === 0) {
        closeIfDone(store, record);
        this.tellNothing(job, offer);
        return statusOf(offer, 'nothing');
      }
      if (!(await confirm(this.printer, `Land this on the host?`))) return this.leave(job, offer);
    }
    // What the agent changed since then is not what was shown: such a path is refused.
    await freezer?.hold();
    return this.land(job, offer);
  }

  /** Hunks, merges and choices from a list. Null: the user broke off. */
  private async narrow({ store, record, gathered, flags, resolved }: Job, wish: Wish): Promise<Wish | null> {
    const merged = flags.merge === null ? wish : { ...wish, merges: mergeConflicts(store, record, { gathered, markers: flags.merge === 'markers' }) };
    if (flags.hunks.length > 0) return { ...merged, hunks: chooseHunks(gathered, flags.hunks) };
    if (flags.pick === null) return merged;
    const { changes, unmatched } = filterChanges(gathered.shown, wish.words);
    refuseUnmatched(resolved, unmatched);
    if (flags.pick === 'hunks') {
      const choice = await pickPatch(this.printer, changes, { gathered, root: record.cwd });
      if (choice === null || choice.paths.length + choice.hunks.size === 0) return null;
      return { ...merged, words: choice.paths, hunks: choice.hunks };
    }
    const picked = await pickPaths(changes, this.printer.paintErr);
    if (picked === null || picked.length === 0) return null;
    return { ...merged, words: picked };
  }

  /** Without an offer it was `-p` or `-i`, and nobody asked for JSON. */
  private leave(job: Job, offer: Offer | null): number {
    this.printer.say('Nothing landed.');
    if (offer !== null) this.tellNothing(job, offer);
    return 1;
  }

  private tellNothing({ record, flags }: Job, offer: Offer): void {
    const { digest, plan: { refused } } = offer;
    if (flags.json) this.printer.json({ version: 1, tag: record.tag, ...offerJson(offer), ...resultJson(nothing({ digest }, refused)) });
  }

  private offer(job: Job, offer: Offer): void {
    sayOffer(this.printer, offer);
    this.hint(job, offer, offer.plan.refused);
  }

  private hint({ record: { tag }, flags, resolved: { said } }: Job, { selected, merges }: Offer, refused: Offer['plan']['refused']): void {
    const hint = settlingHint({ tag, said }, refused, { selected, merges: flags.merge === null ? null : merges });
    if (hint !== null) this.printer.say(`${this.printer.paintErr('cyan', 'Hint:')} ${hint}`);
  }

  private wouldLand(job: Job, offer: Offer): number {
    if (job.flags.json) {
      const refused = offer.plan.refused.map(({ path, why, conflict, text }) => ({ ...bytesJson('path', path), why, conflict, text }));
      const dropped = offer.dropped.map(({ path }) => bytesJson('path', path));
      this.printer.json({ version: 1, dryRun: true, ...offerJson(offer), dropped, refused });
    } else this.offer(job, offer);
    return statusOf(offer, 'nothing');
  }

  private land(job: Job, offer: Offer): number {
    const { store, record, flags, freezer } = job;
    const progress = progressOn(this.printer, 'Landing');
    const result = landPlan(store, record, offer.plan, {
      onProgress: progress.step,
      isLate: !flags.yes || flags.pick !== null,
      ...(freezer === null ? {} : { onStaged: freezer.release }),
      onWait: (what) => this.printer.say(`Waiting for ${what}.`),
    });
    progress.end();
    if (flags.json) this.printer.json({ version: 1, tag: record.tag, ...offerJson(offer), ...resultJson(result) });
    else {
      sayMerges(this.printer, offer.merges);
      sayResult(this.printer, result, 'Landed');
      if (flags.yes && offer.withheld.length > 0) sayWithheld(this.printer, offer.withheld);
      this.hint(job, offer, result.refused);
      if (result.state === 'landed') this.printer.say(`digest ${result.digest}\nTake it back: agentfw undo ${result.id ?? ''}`);
    }
    const status = commitStatus(result);
    return offer.withheld.length > 0 ? 3 : status;
  }
}

function flagsOf(flags: { json?: boolean; yes?: boolean; 'dry-run'?: boolean; patch?: boolean; interactive?: boolean; expect?: string | undefined; merge?: string | undefined; hunk?: string[] | undefined }): Flags {
  return {
    ...{ json: flags.json ?? false, yes: flags.yes ?? false, dryRun: flags['dry-run'] ?? false },
    ...{ expect: flags.expect ?? null, hunks: flags.hunk ?? [] },
    pick: flags.patch === true ? 'hunks' : flags.interactive === true ? 'paths' : null,
    merge: flags.merge === 'markers' ? 'markers' : flags.merge === undefined ? null : 'clean',
  };
}

/** `--take SIDE PATH` arrives as `SIDE:PATH`, see src/argv.ts. */
function takesOf(words: readonly string[], absolute: (word: string) => Bytes): ReadonlyMap<Bytes, Take> {
  const takes = new Map<Bytes, Take>();
  for (const word of words) {
    const side = word.slice(0, word.indexOf(':'));
    if (side !== 'sandbox' && side !== 'host') throw usageError('Expected --take sandbox PATH or --take host PATH.', 'See agentfw commit --help');
    const path = absolute(word.slice(side.length + 1));
    if ((takes.get(path) ?? side) !== side) throw usageError(`--take names both sides for ${showBytes(path)}.`, 'Choose one');
    takes.set(path, side);
  }
  return takes;
}

/** Whoever mistyped a word learns of that first. */
function noTerminal(store: Store, resolved: Resolved, { pick }: Flags): AgentfwError {
  if (resolved.paths.length > 0) refuseUnmatched(resolved, filterChanges(changesOf(store, resolved.record), resolved.paths).unmatched);
  return usageError('There is no terminal to ask on.', pick !== null ? 'Name what you choose: agentfw commit --yes PATH, or --hunk ID of agentfw diff --json --hunks' : 'Say --yes to land it, or --dry-run to see what would');
}

/** A running sandbox has two ways out. */
function orLive(error: unknown, { record: { tag }, said }: Resolved): unknown {
  if (!(error instanceof AgentfwError) || error.code !== 'AFW_RUNNING') return error;
  return new AgentfwError(error.code, error.message, { hint: `End it first: agentfw kill ${tag}; or land what it has now: agentfw commit ${said} --live` });
}

function otherDigest(expected: string, digest: string): AgentfwError {
  return new AgentfwError('AFW_DIGEST', `What would land is not what was expected: its digest is ${digest}`, {
    cause: `expected ${expected}`,
    hint: 'Review it again: agentfw diff',
  });
}

/** Before anything is written: conflicts and what is held back need a decision. */
function statusOf({ plan, withheld }: Offer, state: 'nothing'): number {
  return withheld.length > 0 ? 3 : commitStatus({ state, refused: plan.refused });
}
