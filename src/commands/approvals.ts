import { boolean, string } from '@oclif/core/flags';
import { AgentfwError } from '../errors.js';
import { forgetAnswer, readAnswers } from '../gate/approvals.js';
import { withAnswers } from '../sandbox/network.js';
import { liveSandboxes, type Live, type Mute } from '../sandbox/questions.js';
import type { Store } from '../sandbox/store.js';
import { AgentfwCommand, common } from '../ui/command.js';
import { escapeForTerminal } from '../ui/escape.js';
import { questionRows } from '../ui/questions.js';
import { table } from '../ui/table.js';

const POLL_MS = 300;
const HOW = 'Answer from any terminal: agentfw approve ID, or agentfw deny ID; --for session or --for project for more than once.';

export default class Approvals extends AgentfwCommand {
  static override id = 'approvals';
  static override summary = 'list what agents ask for and nobody has answered yet';
  static override description = 'Answer with `agentfw approve ID` or `agentfw deny ID`, from any terminal.';
  static override usage = ['approvals [--watch | --stored | --forget RULE]'];
  static wordless = 'To answer one: agentfw approve ID';
  static override flags = {
    ...common,
    watch: boolean({ char: 'w', description: 'go on, and show each question as it comes', exclusive: ['stored', 'forget'] }),
    stored: boolean({ description: 'list the answers that were kept for a project', exclusive: ['forget'] }),
    forget: string({ description: 'forget the answers kept for a rule', helpValue: 'RULE' }),
  };

  protected override readonly shows = true;

  protected override async main(): Promise<number> {
    const { flags } = await this.line(Approvals);
    const store = await this.store();
    if (flags.forget !== undefined) return this.forget(store, flags.forget, flags.json === true);
    if (flags.stored === true) return this.stored(store, flags.json === true);
    if (flags.watch === true) return this.watch(store, flags.json === true);
    const { live, mute } = await liveSandboxes(store);
    if (flags.json === true) this.printer.json({ version: 1, questions: questionsJson(live), mute: mute.map(({ tag }) => tag) });
    else this.show(store, live);
    mute.forEach((one) => this.warnOf(one));
    return mute.length > 0 ? 1 : 0;
  }

  private show(store: Store, live: readonly Live[]): void {
    const text = live.map(({ tag, state }) => questionRows(tag, state.questions, store.context.now())).join('');
    if (text === '') this.printer.say('No open questions.');
    else {
      this.printer.product(text);
      this.printer.say(HOW);
    }
  }

  private warnOf({ tag, error: { message, hint } }: Mute): void {
    this.printer.warn(`${tag}: ${message}${hint === null ? '' : ` ${hint}`}`);
  }

  /** Until it is interrupted. */
  private async watch(store: Store, json: boolean): Promise<number> {
    const seen = new Set<string>();
    let warned = new Set<string>();
    if (!json) this.printer.say(`${HOW} Ctrl-C ends this.`);
    for (;;) {
      const { live, mute } = await liveSandboxes(store);
      for (const one of mute) if (!warned.has(one.tag)) this.warnOf(one);
      warned = new Set(mute.map(({ tag }) => tag));
      for (const { tag, state } of live) {
        const fresh = state.questions.filter(({ id }) => !seen.has(id));
        for (const { id } of fresh) seen.add(id);
        if (json) for (const question of fresh) this.printer.json({ version: 1, tag, ...question });
        else if (fresh.length > 0) this.printer.product(questionRows(tag, fresh, store.context.now()));
      }
      await new Promise((next) => void setTimeout(next, POLL_MS));
    }
  }

  private stored(store: Store, json: boolean): number {
    const answers = readAnswers(store.kernel, store.dir);
    if (json) this.printer.json({ version: 1, answers });
    else if (answers.length === 0) this.printer.say('No stored answers.');
    else this.printer.product(table(answers.map(({ project, rule, verdict, at, by }) => [verdict, rule, project, at, by].map(escapeForTerminal))));
    return 0;
  }

  private forget(store: Store, rule: string, json: boolean): number {
    const projects = readAnswers(store.kernel, store.dir).filter((answer) => answer.rule === rule).map(({ project }) => project);
    if (projects.length === 0) throw new AgentfwError('AFW_NO_ANSWER', `No answer is kept for ${rule}.`, { hint: 'List them: agentfw approvals --stored' });
    withAnswers(store, () => projects.forEach((project) => forgetAnswer(store.kernel, store.dir, project, rule)));
    if (json) this.printer.json({ version: 1, rule, forgotten: projects });
    else this.printer.say(`Forgot ${escapeForTerminal(rule)} for ${projects.map(escapeForTerminal).join(', ')}`);
    return 0;
  }
}

function questionsJson(live: readonly Live[]): object[] {
  return live.flatMap(({ tag, state }) => state.questions.map((question) => ({ tag, ...question })));
}
