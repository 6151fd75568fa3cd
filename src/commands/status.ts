import type { Bytes } from '../bytes.js';
import { countBases, readBases, type BaseCounts } from '../changes/base.js';
import { storeContextOf } from '../changes/context.js';
import type { KindCounts } from '../changes/gather.js';
import { countChanges } from '../changes/tally.js';
import { interruptedCommits } from '../changes/journal/unfinished.js';
import { processesOf, type SandboxProcess } from '../sandbox/processes.js';
import type { ControlState } from '../gate/control.js';
import { placeText } from '../gate/names.js';
import { limitUse, limitUseText, type LimitUse } from '../sandbox/limit-words.js';
import { isFrozen } from '../sandbox/frozen.js';
import { liveState } from '../sandbox/questions.js';
import { readPolicyOf, type StoredPolicy } from '../sandbox/policy-file.js';
import { resolveOnly } from '../sandbox/resolve.js';
import type { SandboxRecord } from '../sandbox/sandbox.js';
import { sandboxDir } from '../sandbox/store.js';
import { hiddenTracked } from '../sandbox/tracked.js';
import { countsText } from '../ui/changes.js';
import { AgentfwCommand, common, wordsOf } from '../ui/command.js';
import { sayInterrupted } from '../ui/commits.js';
import { reportOf } from '../ui/error.js';
import { escapeForTerminal, showBytes } from '../ui/escape.js';
import { MOST_HIDES, mountText } from '../ui/mounts.js';
import { policyJson, policyNotes, policyRow } from '../ui/policystatus.js';
import { bytesJson, exitText, recordJson } from '../ui/record.js';
import { age, table } from '../ui/table.js';

export default class Status extends AgentfwCommand {
  static override id = 'status';
  static override summary = 'show what is enforced, what is not, and what runs';
  static override usage = ['status [TAG]'];
  static override flags = { ...common };

  protected override async main(): Promise<number> {
    const line = await this.line(Status);
    const store = await this.store();
    const record = resolveOnly(store, wordsOf(line), { certain: false });
    sayInterrupted(this.printer, interruptedCommits(storeContextOf(store)));
    const processes = processesOf(record);
    const counts = await this.told(() => countChanges(store, record));
    const policy = readPolicyOf(store, record.tag);
    const gate = record.state === 'running' ? await this.told(() => liveState(store, record.tag)) : null;
    const limits = await limitUse(store.kernel, record, { dir: sandboxDir(store, record.tag), now: store.context.now() });
    const tracked = hiddenTracked(store.kernel, record);
    const frozen = isFrozen(store, record);
    const bases = countBases(readBases(store.kernel, sandboxDir(store, record.tag)));
    if (line.flags.json) this.printer.json({ ...statusJson(record, processes, counts), bases, frozen, hiddenTracked: tracked.map((path) => bytesJson('path', path)), limits, limited: record.limited ?? null, policy: policyJson(policy), gate });
    else this.printer.product(statusText(record, { processes, counts, gate, policy, limits, tracked, frozen, bases, now: store.context.now() }));
    return 0;
  }

  /** The rest is worth telling all the same. */
  private async told<T>(look: () => T | Promise<T>): Promise<T | null> {
    try {
      return await look();
    } catch (error) {
      const { message, hint } = reportOf(error);
      this.printer.warn(escapeForTerminal(hint === null ? message : `${message} ${hint}.`));
      return null;
    }
  }
}

function statusJson(record: SandboxRecord, processes: readonly SandboxProcess[], counts: KindCounts | null): object {
  return {
    version: 1,
    ...recordJson(record),
    counts,
    processes: processes.map(({ pid, argv }) => ({ pid, ...bytesJson('command', argv.join(' ') as SandboxRecord['cwd']) })),
    mounts: record.mounts.map(({ path, decision, why }) => ({ ...bytesJson('path', path), decision, why })),
  };
}

interface Seen {
  readonly processes: readonly SandboxProcess[];
  /** null: they can't be counted */
  readonly counts: KindCounts | null;
  readonly gate: ControlState | null;
  readonly policy: StoredPolicy | null;
  readonly limits: readonly LimitUse[];
  readonly tracked: readonly Bytes[];
  readonly frozen: boolean;
  readonly bases: BaseCounts;
  readonly now: Date;
}

function statusText(record: SandboxRecord, { processes, counts, gate, policy, limits, tracked, frozen, bases, now }: Seen): string {
  const exit = exitText(record.exit);
  const facts = table([
    ['sandbox', record.tag],
    ['state', `${record.state}${frozen ? ', frozen: agentfw thaw lets it go on' : ''}${exit === '' ? '' : `, agent ended with ${exit}`}`],
    ['agent', record.argv.map(showBytes).join(' ')],
    ['directory', showBytes(record.cwd)],
    ['started', `${record.started} (${age(record.started, now)} ago)`],
    ['mode', record.mode === 'root' ? 'root: whole machine in one view' : 'user: what you may not write is read-only'],
    ['network', `${NETWORK[record.net]}${gate === null ? '' : `; rung ${gate.rung ?? 'unknown'}`}`],
    ...gateRows(gate),
    ...policyRow(policy),
    ...limits.map((limit, i) => [i === 0 ? 'limits' : '', limitUseText(limit)]),
    ...(record.limited === undefined ? [] : [['ended', `because ${escapeForTerminal(record.limited)}`]]),
    ['changes', counts === null ? '?' : countsText(counts)],
    ['bases', basesText(bases)],
    ['processes', processes.length === 0 ? 'none' : String(processes.length)],
  ]);
  return facts + processText(processes) + policyNotes(policy) + lossText(record) + trackedText(tracked) + mountText(record) + crashText(record);
}

/** How exact conflicts can be. */
function basesText({ captured, uncaptured }: BaseCounts): string {
  const missing = Object.entries(uncaptured).map(([why, count]) => `${count} ${escapeForTerminal(why)}`).join(', ');
  return `${captured} captured${missing === '' ? '' : `; not captured: ${missing}`}`;
}

const NETWORK = {
  off: 'off: loopback only',
  allow: 'allow: the host’s own network, unfiltered',
  ask: 'ask: the gate asks for what no rule names',
  deny: 'deny: the gate refuses and records',
} as const;

/** What only a running gate knows. */
function gateRows(gate: ControlState | null): string[][] {
  if (gate === null) return [];
  const { connections, questions, doors, rules, upstream } = gate;
  return [
    ['connections', String(connections.filter(({ state }) => state === 'open').length)],
    ...(upstream === null ? [] : [['upstream', `the proxy ${escapeForTerminal(upstream)}`]]),
    ['questions', questions.length === 0 ? 'none' : `${questions.length}: agentfw approvals`],
    ...doors.map(({ addr, port, inside }) => ['published', `${placeText(addr, port)} leads to port ${inside} inside`]),
    ...rules.map(({ rule, verdict, by }) => ['rule', `${verdict} ${escapeForTerminal(rule)} (${escapeForTerminal(by)})`]),
  ];
}

function processText(processes: readonly SandboxProcess[]): string {
  return processes.map(({ pid, argv }) => `  ${pid}  ${argv.map(showBytes).join(' ').slice(0, 200)}\n`).join('');
}

function lossText({ degraded }: SandboxRecord): string {
  if (degraded.length === 0) return '';
  return `\nNot enforced on this machine:\n${degraded.map(({ name, why, accepted }) => `  ${escapeForTerminal(name)}${accepted === true ? ' (accepted)' : ''}: ${escapeForTerminal(why)}\n`).join('')}`;
}

/** Else a user wonders what git says inside. */
function trackedText(tracked: readonly Bytes[]): string {
  if (tracked.length === 0) return '';
  const more = tracked.length > MOST_HIDES ? `  and ${tracked.length - MOST_HIDES} more\n` : '';
  return `\nTracked by git and hidden: git inside takes them for deleted or changed, no change here does:\n${tracked.slice(0, MOST_HIDES).map((path) => `  ${showBytes(path)}\n`).join('')}${more}`;
}

function crashText({ state }: SandboxRecord): string {
  return state === 'unclean' ? '\nThe machine went down while this sandbox ran: look at each change before you commit it.\n' : '';
}
