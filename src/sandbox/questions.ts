import { toText } from '../bytes.js';
import { AgentfwError } from '../errors.js';
import type { Question, Scope } from '../gate/ask.js';
import { askSandbox, type ControlReply, type ControlRequest, type ControlState } from '../gate/control.js';
import type { SandboxRecord } from './sandbox.js';
import { listRecords, readRecord, sandboxDir, type Store } from './store.js';

/** A running sandbox as its supervisor tells it. */
export interface Live {
  readonly tag: string;
  readonly state: ControlState;
}

/** What a running sandbox's gate says of itself; null when it has none, or nothing runs there. */
export async function liveState(store: Store, tag: string): Promise<ControlState | null> {
  const reply = await ask(store, tag, { do: 'state' });
  if (reply === null) return null;
  // Nothing to see would be taken for nothing asked.
  if (!reply.ok || !('state' in reply)) throw new AgentfwError('AFW_CONTROL', `Sandbox ${tag} doesn't tell its state${reply.ok ? '' : `: ${reply.why}`}.`, { hint: `See what it asked for: agentfw log ${tag} --kind ask` });
  return reply.state;
}

/** A running sandbox that doesn't answer, such as one whose `run` is stopped by Ctrl-Z. */
export interface Mute {
  readonly tag: string;
  readonly error: AgentfwError;
}

/** All running sandboxes with a gate, newest first: one that doesn't answer is no hindrance to the others. */
export async function liveSandboxes(store: Store): Promise<{ readonly live: readonly Live[]; readonly mute: readonly Mute[] }> {
  const running = listRecords(store).records.filter(({ state, net }) => state === 'running' && (net === 'ask' || net === 'deny'));
  const mute: Mute[] = [];
  const found = await Promise.all(running.map(async ({ tag }) => {
    try {
      return { tag, state: await liveState(store, tag) };
    } catch (error) {
      if (!(error instanceof AgentfwError)) throw error;
      mute.push({ tag, error });
      return { tag, state: null };
    }
  }));
  return { live: found.flatMap(({ tag, state }) => (state === null ? [] : [{ tag, state }])), mute };
}

/** A question that was answered from here. */
export interface Answered {
  readonly tag: string;
  readonly question: Question;
  /** open connections that a no reset */
  readonly cut: number;
}

/** Answers the open question of that id, wherever it is, with the very rule that it shows. */
export async function answerQuestion(store: Store, id: string, verdict: 'allow' | 'deny', scope: Scope, by: string): Promise<Answered> {
  const { live, mute: [silent] } = await liveSandboxes(store);
  const open = live.flatMap(({ tag, state }) => state.questions.map((question) => ({ tag, question })));
  const found = open.find(({ question }) => question.id === id);
  if (found === undefined && silent !== undefined) {
    const { tag, error: { code, hint } } = silent;
    throw new AgentfwError(code, `Sandbox ${tag} does not answer, and no other asks ${id}.`, hint === null ? {} : { hint });
  }
  if (found === undefined) {
    throw new AgentfwError('AFW_NO_QUESTION', `There is no open question ${id}.`, { hint: 'List them: agentfw approvals' });
  }
  const { tag, question } = found;
  const { cut } = done(store, tag, await ask(store, tag, { do: 'answer', id, rule: question.rule, verdict, scope, by }), 'See what it asks for: agentfw approvals');
  return { tag, question, cut };
}

/** A rule for the rest of a run. */
export async function liveRule(store: Store, tag: string, op: 'allow' | 'deny' | 'revoke', rule: string): Promise<{ readonly result: string; readonly cut: number }> {
  return done(store, tag, await ask(store, tag, { do: 'net', op, rule }), `A rule is HOST:PORT; those of this run: agentfw status ${tag}`);
}

function ask(store: Store, tag: string, request: ControlRequest): Promise<ControlReply | null> {
  return askSandbox(toText(sandboxDir(store, tag)), request);
}

function done(store: Store, tag: string, reply: ControlReply | null, hint: string): { readonly result: string; readonly cut: number } {
  if (reply === null) throw noGate(readRecord(store, tag));
  if (!reply.ok) throw new AgentfwError('AFW_CONTROL', `Refused: ${reply.why}.`, { hint: reply.mend ?? hint });
  if ('state' in reply) throw new Error('the supervisor answered something else');
  return reply;
}

function noGate({ tag, state, net }: SandboxRecord): AgentfwError {
  const hasGate = net === 'ask' || net === 'deny';
  if (state === 'running' && !hasGate) return new AgentfwError('AFW_NO_GATE', `Sandbox ${tag} does not run behind the network gate.`, { hint: 'Start it with agentfw run --net ask or --net deny' });
  return new AgentfwError('AFW_NOT_RUNNING', `Sandbox ${tag} is not running.`, { hint: 'Rules for all runs: network in ~/.config/agentfw/policy.yaml' });
}
