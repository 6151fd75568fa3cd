import { boolean, string } from '@oclif/core/flags';
import { decodeWord } from '../argv.js';
import { AgentfwError } from '../errors.js';
import type { PolicyFlags } from '../policy/index.js';
import { acceptedNames } from '../sandbox/accepted.js';
import { literalPath } from '../sandbox/policy.js';
import { runSandbox, type RunOptions } from '../sandbox/run.js';
import { parseConnectHost, parsePublish } from '../gate/publish.js';
import type { Store } from '../sandbox/store.js';
import { hasOwnTerminal } from '../kernel/process.js';
import { attention, warning } from '../ui/attention.js';
import { AgentfwCommand } from '../ui/command.js';
import { sayRecovered } from '../ui/commits.js';
import { escapeForTerminal } from '../ui/escape.js';
import { endRun, type RunEnding } from '../ui/runend.js';
import { failedReport, reportFile } from '../ui/report.js';

const many = { multiple: true, multipleNonGreedy: true } as const;

export default class Run extends AgentfwCommand {
  static override id = 'run';
  static override summary = 'run an agent in a copy-on-write view of this machine';
  static override description =
    'Everything from the agent’s name on is the agent’s own, byte for byte; agentfw’s flags come before it. ' +
    'The exit status is the agent’s, 128+n for a signal; 125, 126 and 127 mean that it never started.';
  static override usage = ['run [FLAGS] [--] AGENT [ARG...]'];
  static override examples = ['agentfw run claude', 'agentfw run --tag fix-login --net off -- make test'];
  static override flags = {
    tag: string({ description: 'name of the sandbox (default: the agent’s name and four letters)', helpValue: 'TAG' }),
    in: string({ description: 'run again in a stopped sandbox, with its changes', helpValue: 'TAG', exclusive: ['tag'] }),
    net: string({ description: 'the network: a gate that asks (the default) or refuses, loopback only, or the host’s own, unfiltered', options: ['off', 'allow', 'ask', 'deny'] }),
    'no-ask': boolean({ description: 'refuse at once what would be asked' }),
    publish: string({ description: 'a host port that leads to one of the sandbox (can be repeated)', helpValue: '[ADDR:]HOST[:SANDBOX]', ...many }),
    'connect-host': string({ description: 'a port of the sandbox’s loopback that leads to the host’s (can be repeated)', helpValue: 'PORT[:HOSTPORT]', ...many }),
    rm: boolean({ description: 'discard the sandbox when the agent ends' }),
    detach: boolean({ description: 'return at once; the sandbox ends with its last process' }),
    durable: boolean({ description: 'sync each copy-up, so that a machine crash loses nothing (slow)' }),
    env: string({ description: 'let a variable pass, or set one (can be repeated)', helpValue: 'NAME[=VALUE]', ...many }),
    hide: string({ description: 'make a path invisible (can be repeated)', helpValue: 'PATH', ...many }),
    passthrough: string({ description: 'let writes below a directory go to the host (can be repeated)', helpValue: 'DIR', ...many }),
    share: string({ description: 'show a host path read-only where it would be private (can be repeated)', helpValue: 'PATH', ...many }),
    policy: string({ description: 'one more policy file, on top of all others (can be repeated)', helpValue: 'FILE', ...many }),
    profile: string({ description: 'the agent’s profile, whatever its command', helpValue: 'NAME' }),
    ci: boolean({ description: 'add the profile for runs that nobody watches' }),
    audit: string({ description: 'also record every program that starts', options: ['exec'] }),
    'on-exit': string({ description: 'what the policy commits and discards when the agent ends: as it says, or nothing', options: ['policy', 'keep'] }),
    'fail-on-escalate': boolean({ description: 'status 3 when the agent ended well and something waits for a decision' }),
    report: string({ description: 'write what happened to a file, as one JSON object', helpValue: 'FILE' }),
    memory: string({ description: 'the most memory its processes may hold', helpValue: 'SIZE' }),
    pids: string({ description: 'the most processes and threads', helpValue: 'N' }),
    time: string({ description: 'end it after this time', helpValue: '30m' }),
    layer: string({ description: 'the most that its changes may take on disk', helpValue: 'SIZE' }),
    'accept-degraded': string({ description: 'run without protections that this machine lacks, by name (comma list)', helpValue: 'NAMES', ...many }),
    'no-color': boolean({ description: 'never colour what agentfw itself says' }),
  };
  protected override readonly failure = 125;

  protected override async main(): Promise<number> {
    const { flags, after } = await this.line(Run);
    if (after.length === 0) {
      throw new AgentfwError('AFW_USAGE', 'No agent is named.', { status: 125, hint: 'agentfw run claude, or agentfw run -- sh -c "…"' });
    }
    if (after[0] === '') throw new AgentfwError('AFW_NOT_FOUND', "The name of the program is empty.", { status: 127, hint: 'Is a variable empty? agentfw run claude' });
    const { processContext } = await import('../ui/context.js');
    const context = processContext();
    const paths = (flag: 'hide' | 'passthrough' | 'share'): string[] =>
      (flags[flag] ?? []).map((word) => literalPath(decodeWord(word), flag));
    const report = flags.report === undefined ? null : reportFile(decodeWord(flags.report), flags.detach);
    const write = (value: () => object): void => {
      const failed = report === null ? null : report.write(value());
      if (failed !== null) this.printer.say(`agentfw: ${failed}`);
    };
    const run = runSandbox({
      ...{ context, argv: after, tag: flags.tag ?? null, resume: flags.in ?? null, onResume: async (store: Store) => this.finishCommits(store) },
      net: (flags.net ?? 'ask') as RunOptions['net'],
      network: {
        person: hasOwnTerminal(),
        noAsk: flags['no-ask'] === true,
        publish: (flags.publish ?? []).map(parsePublish),
        connectHost: new Map((flags['connect-host'] ?? []).map(parseConnectHost).map(({ port, to }) => [port, to])),
        onQuestions: attention(),
      },
      accepted: acceptedNames(flags['accept-degraded'] ?? []),
      ...{ rm: flags.rm ?? false, detach: flags.detach ?? false, durable: flags.durable ?? false },
      wish: {
        flags: { hide: paths('hide'), passthrough: paths('passthrough'), share: paths('share'), env: flags.env ?? [], ...netFlag(flags.net), ...limitFlags(flags), ...(flags.audit === undefined ? {} : { audit: 'exec' as const }) },
        ...{ files: flags.policy ?? [], profile: flags.profile ?? null, ci: flags.ci ?? false },
      },
      self: [process.execPath, ...process.execArgv, ...process.argv.slice(1)],
      say: (line) => this.printer.say(escapeForTerminal(line)),
      warn: warning((line) => this.printer.say(escapeForTerminal(line))),
      onStopped: async (store, record, policy, facts) => this.unlessFailed(facts.status, write, async () => {
        const how: RunEnding = { policy, keep: flags['on-exit'] === 'keep', removed: flags.rm === true && (flags.in === undefined ? 'fresh' : 'resumed'), say: (line: string) => this.printer.say(line) };
        const { ended, isEmpty } = await endRun(store, record, how);
        const held = flags['fail-on-escalate'] === true && (!isEmpty || ended.failed !== null) ? 3 : null;
        if (report === null) return held;
        const { runReport } = await import('../ui/runreport.js');
        write(() => runReport(store, record, { ended, facts, status: facts.status === 0 ? (held ?? 0) : facts.status }));
        return held;
      }),
      onDetached: (tag) => this.printer.say(detachedLine(tag, (flags.net ?? 'ask') === 'ask' && flags['no-ask'] !== true && hasOwnTerminal())),
    });
    return report === null ? run : run.catch((error: unknown) => {
      write(() => failedReport(error, this.statusOf(error)));
      throw error;
    });
  }

  /** The status of an agent that failed is its caller's to know, whatever became of its changes; nobody may take its 0 for all is well. */
  private async unlessFailed<T>(status: number, write: (report: () => object) => void, end: () => Promise<T>): Promise<T | 'failed'> {
    try {
      return await end();
    } catch (error) {
      if (status === 0) throw error;
      this.report(error);
      write(() => failedReport(error, status));
      return 'failed';
    }
  }

  private async finishCommits(store: Store): Promise<void> {
    const [{ recoverRecorded }, { unfinishedError }] = await Promise.all([import('../changes/effects.js'), import('../changes/recover.js')]);
    const recovered = recoverRecorded(store, { onWait: (what) => this.printer.say(`agentfw: waiting for ${what}`) });
    const blocked = recovered.find(({ outcome }) => outcome === 'blocked');
    // What it left belongs on the host or in the layer before the agent sees either.
    if (blocked !== undefined) throw unfinishedError(blocked, 125);
    sayRecovered(this.printer, recovered);
  }
}

function limitFlags({ memory, pids, time, layer }: { memory?: string | undefined; pids?: string | undefined; time?: string | undefined; layer?: string | undefined }): Pick<PolicyFlags, 'memory' | 'pids' | 'time' | 'layer'> {
  return Object.fromEntries(Object.entries({ memory, pids, time, layer }).filter(([, text]) => text !== undefined));
}

function netFlag(net: string | undefined): Pick<PolicyFlags, 'net'> {
  return net === undefined ? {} : { net: net as NonNullable<PolicyFlags['net']> };
}

function detachedLine(tag: string, asks: boolean): string {
  return `agentfw: sandbox ${tag} runs in the background; agentfw status ${tag}${asks ? ', and for what it asks agentfw approvals' : ''}`;
}
