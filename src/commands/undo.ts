import { layersIn, storeContextOf } from '../changes/context.js';
import { withBoxOf } from '../changes/commit.js';
import { changeRecords, effectOf, recoverRecorded } from '../changes/effects.js';
import { commitStatus, undoCommit, type Box, type BrokenCommit, type CommitInfo, type CommitResult } from '../changes/engine.js';
import { holderOf, surveyInfos } from '../changes/vault/commits.js';
import { idNamed } from '../changes/vault/named.js';
import { isAround } from '../changes/undo/around.js';
import { keepOf, keepWithin } from '../changes/vault/keep.js';
import { AgentfwError, usageError } from '../errors.js';
import { isWithin, toText } from '../bytes.js';
import { afterwards } from '../changes/apply/afterwards.js';
import { hasSandbox, readRecord, type Store } from '../sandbox/store.js';
import { checkTrail, recordEffect } from '../sandbox/trail.js';
import { AgentfwCommand, common } from '../ui/command.js';
import { resultJson, sayBroken, sayRecovered, sayResult, total } from '../ui/commits.js';
import { progressOn } from '../ui/progress.js';
import { plural } from '../ui/table.js';

export default class Undo extends AgentfwCommand {
  static override id = 'undo';
  static override summary = 'take a commit back: the newest, or the one named';
  static override description =
    'Of an id its first letters do, four or more that only one begins with. What changed on the host since the commit is not overwritten but reported. What it dropped (--take host, discard PATH, a policy) goes back into the sandbox. ' +
    'An undo is a commit too: undo it to have the commit again.';
  static override usage = ['undo [COMMIT]'];
  static override examples = ['agentfw undo', 'agentfw undo 01m89d2x4wj829fpcsdrv5nvg9'];
  static override flags = { ...common };
  protected override readonly decides = true;

  protected override async main(): Promise<number> {
    const { flags, words, after } = await this.line(Undo);
    const [id, ...rest] = [...words, ...after];
    if (rest.length > 0) throw usageError('Expected one commit.', 'List them: agentfw log --commits');
    const store = await this.store();
    const context = storeContextOf(store);
    const keep = keepOf(store.context.env);
    const onWait = (what: string): void => this.printer.say(`Waiting for ${what}.`);
    sayRecovered(this.printer, recoverRecorded(store, { onWait }));
    const progress = progressOn(this.printer, 'Taking back');
    const survey = surveyInfos(context);
    const { commits, broken } = survey;
    sayBroken(this.printer, broken);
    const named = id === undefined ? newestOf(store, commits, broken) : (idNamed(survey, toText(id)) ?? toText(id));
    const found = commits.find((commit) => commit.id === named);
    const of = found === undefined ? undefined : holderOf(commits, found);
    const undone = of?.id ?? named;
    checkTrail(store, of?.tag);
    const act = (box: Box): CommitResult => undoCommit(context, undone, { onProgress: progress.step, onWait }, { box, layers: layersIn(store) });
    const result = of === undefined ? act('gone') : withBoxOf(store, of, onWait, act);
    progress.end();
    afterwards(result.id, () => {
      keepWithin(store, keep, result.id);
      if (of !== undefined && result.id !== null) recordEffect(store, of.tag, { kind: 'undo', ...effectOf(result) }, ...changeRecords(result));
    });
    if (flags.json) this.printer.json({ version: 1, ...resultJson(result) });
    else {
      sayResult(this.printer, result, 'Took back');
      if (result.refused.some(({ why }) => why === 'conflict')) this.printer.say(`${this.printer.paintErr('cyan', 'Hint:')} agentfw show ${undone}:PATH prints a file as it was before that commit`);
      if (result.id !== null && result.refused.length > 0) this.printer.say(`The rest, when nothing stands in its way: agentfw undo ${undone}`);
    }
    return commitStatus(result);
  }
}

type Info = Omit<CommitInfo, 'bytes'>;

/** The newest that isn't undone, where it did something to the host and no other one might be meant. */
function newestOf(store: Store, commits: readonly Info[], broken: readonly BrokenCommit[]): string {
  const own = commits.filter(({ state, undoes }) => state === 'landed' && undoes === null);
  const found = own.find(({ undoneBy, counts }) => undoneBy === null && total(counts) > 0);
  const newer = own.slice(0, found === undefined ? own.length : own.indexOf(found));
  const other = newer.find(({ undoneBy, left, tag, dropped }) => (undoneBy === null ? dropped > 0 && hasSandbox(store, tag) : found !== undefined && left.length > 0));
  if (other !== undefined && found !== undefined) throw ambiguous(other, found);
  const newest = found ?? other;
  if (newest === undefined && broken[0] !== undefined) throw broken[0].error;
  if (newest === undefined) throw new AgentfwError('AFW_NO_COMMIT', 'There is no commit to take back.', { hint: 'List them: agentfw log --commits' });
  if (!isFromHere(store, newest) && isAround(storeContextOf(store), newest.id, store.context.cwd) === false) throw elsewhere(newest);
  return newest.id;
}

/** Its sandbox was started in this directory, or above. */
function isFromHere(store: Store, { tag, created }: Info): boolean {
  if (!hasSandbox(store, tag)) return false;
  try {
    const record = readRecord(store, tag);
    return record.created <= created && isWithin(store.context.cwd, record.cwd);
  } catch (error) {
    // A record that can't be read says nothing, and holds up nothing.
    if (!(error instanceof AgentfwError)) throw error;
    return false;
  }
}

/** Nobody means what landed in another project. */
function elsewhere({ id, tag }: Info): AgentfwError {
  return new AgentfwError('AFW_WHICH_COMMIT', `The newest commit ${id} of ${tag} changed nothing around this directory: say which commit you mean.`, {
    status: 3,
    hint: `agentfw undo ${id} takes it back; agentfw log --commits lists all`,
  });
}

/** Who repeats an undo means the rest of it, or the commit before it; who dropped changes last wants them back, perhaps: nobody knows which. */
function ambiguous({ id, undoneBy, left, tag }: Info, { id: older }: Info): AgentfwError {
  const [what, then] = undoneBy === null ? [`only dropped changes of ${tag}`, 'gives them back to it'] : [`is taken back but for ${plural(left.length, 'path')}`, 'takes the rest'];
  return new AgentfwError('AFW_WHICH_COMMIT', `The newest commit ${id} ${what}: say which commit you mean.`, {
    status: 3,
    hint: `agentfw undo ${id} ${then}, agentfw undo ${older} ${undoneBy === null ? 'takes the commit before it back' : 'the commit before it'}`,
  });
}
