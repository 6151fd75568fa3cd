import { readFileSync } from 'node:fs';
import { exactWords, routeOf } from '../argv.js';
import { usageError, type AgentfwError } from '../errors.js';
import { suggest } from '../policy/suggest.js';
import type { AgentfwCommand } from './command.js';
import { errorJson, renderError, reportOf } from './error.js';
import { isTerminalDevice, makePrinter } from './print.js';

type CommandModule = { readonly default: new (argv: string[], config: never) => AgentfwCommand };

/** Each command is its own chunk of the bundle, loaded when it is asked for. */
export const COMMANDS: Readonly<Record<string, () => Promise<CommandModule>>> = {
  approvals: () => import('../commands/approvals.js'),
  approve: () => import('../commands/approve.js'),
  commit: () => import('../commands/commit.js'),
  completion: () => import('../commands/completion.js'),
  deny: () => import('../commands/deny.js'),
  diff: () => import('../commands/diff.js'),
  discard: () => import('../commands/discard.js'),
  doctor: () => import('../commands/doctor.js'),
  exec: () => import('../commands/exec.js'),
  export: () => import('../commands/export.js'),
  freeze: () => import('../commands/freeze.js'),
  kill: () => import('../commands/kill.js'),
  list: () => import('../commands/list.js'),
  log: () => import('../commands/log.js'),
  net: () => import('../commands/net.js'),
  'policy check': () => import('../commands/policy/check.js'),
  'policy diff': () => import('../commands/policy/diff.js'),
  'policy explain': () => import('../commands/policy/explain.js'),
  'policy init': () => import('../commands/policy/init.js'),
  'policy show': () => import('../commands/policy/show.js'),
  'policy test': () => import('../commands/policy/test.js'),
  'policy trust': () => import('../commands/policy/trust.js'),
  'policy untrust': () => import('../commands/policy/untrust.js'),
  prune: () => import('../commands/prune.js'),
  recover: () => import('../commands/recover.js'),
  run: () => import('../commands/run.js'),
  selftest: () => import('../commands/selftest.js'),
  shell: () => import('../commands/shell.js'),
  show: () => import('../commands/show.js'),
  status: () => import('../commands/status.js'),
  thaw: () => import('../commands/thaw.js'),
  undo: () => import('../commands/undo.js'),
};

/** Runs one command line, and ends the process. `root` is the package's directory, for oclif's help. */
export async function main(argv: readonly string[], root: string): Promise<void> {
  const command = await perform(argv, root);
  if (command === null) return;
  await leave();
  // Of an agent there may be something to wait for. Else nothing is: Node would wait for what it compiles, 12 of 70 ms of a small diff.
  if (!STARTERS.has(command)) process.exit();
}

/** The same without an end; gives the command, if there is one. */
export async function perform(argv: readonly string[], root: string): Promise<string | null> {
  const route = routeOf(exactWords(argv, () => readFileSync('/proc/self/cmdline')));
  if (route.kind === 'oclif') return none(askOclif(route.argv, root, argv));
  const load = commandOf(route.id);
  if (load === undefined) return none(refuse(route.id, route.argv));
  try {
    const { default: Command } = await load();
    const command = new Command([...route.argv], { bin: 'agentfw' } as never);
    command.after = route.after;
    await command.run();
  } catch (error) {
    // A command reports its own errors: this one could not even be loaded, or its report not be written.
    await report(error, STARTERS.has(route.id) ? 125 : null);
  }
  return route.id;
}

async function none(answered: Promise<void>): Promise<null> {
  await answered;
  return null;
}

/**
 * All is written by now: what Node would take apart piece by piece goes with the process, 10 ms
 * after a large diff. In `agentfw … | less` the terminal is the pager's: Node must not set it
 * back. But where it is ours Node sets it back, and what was asked of Node itself, a profile,
 * it writes at its exit.
 */
async function leave(): Promise<void> {
  if (isTerminalDevice(1) || process.execArgv.length > 0 || process.env['NODE_V8_COVERAGE'] !== undefined) {
    process.once('exit', () => process.exit());
    return;
  }
  const { exitNow } = await import('../kernel/native.js');
  process.once('exit', (status) => exitNow(status));
}

/** Commands whose own failures are 125, as they return another program's status. */
const STARTERS: ReadonlySet<string> = new Set(['run', 'exec', 'shell']);

/** In oclif's words, without the time that loading it takes: scripts ask for the version often. */
async function tellVersion(root: string): Promise<void> {
  const { name, version } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as { name: string; version: string };
  try {
    (await makePrinter({ color: false })).product(`${name}/${version} ${process.platform}-${process.arch} node-${process.version}\n`);
  } catch (error) {
    await report(error, null);
  }
}

/** Help comes from oclif and its manifest; no command is loaded for it. */
async function askOclif(argv: readonly string[], root: string, all: readonly string[]): Promise<void> {
  const words = argv.filter((word) => word !== '--help');
  const command = words.join(' ');
  const isKnown = command === '' || command === '--version' || commandOf(command) !== undefined || isTopic(command);
  if (!isKnown) return refuse(command, all);
  if (argv.length === 1 && command === '--version') return tellVersion(root);
  // Else oclif asks the account database for it, which may not know the user (in a container).
  process.env['SHELL'] ??= 'unknown';
  const { run } = await import('@oclif/core/run');
  await run([...argv], { root, devPlugins: false, userPlugins: false });
}

/** Not `constructor` and the like, which every object has. */
function commandOf(word: string): (typeof COMMANDS)[string] | undefined {
  return Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : undefined;
}

function isTopic(word: string): boolean {
  return Object.keys(COMMANDS).some((id) => id.startsWith(`${word} `));
}

/** What git, Docker and their like call it. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  ls: 'list', ps: 'list', rm: 'discard', remove: 'discard', delete: 'discard', stop: 'kill', pause: 'freeze', unpause: 'thaw', logs: 'log',
  attach: 'shell', enter: 'shell', start: 'run', resume: 'run --in TAG', apply: 'commit', merge: 'commit', revert: 'undo', reset: 'discard',
  cat: 'show', cp: 'export', save: 'export', inspect: 'status', info: 'status', gc: 'prune', clean: 'prune', allow: 'approve', config: 'policy show', init: 'policy init', rollback: 'undo', restore: 'discard', abandon: 'discard',
  '-v': '--version', '-V': '--version',
};

/** `argv` says whether the answer is to be JSON. */
async function refuse(word: string, argv: readonly string[]): Promise<void> {
  if (isTopic(word)) return answer(usageError(`${word} needs a subcommand.`, `See agentfw ${word} --help`), argv);
  const near = (Object.hasOwn(ELSEWHERE, word) ? ELSEWHERE[word] : undefined) ?? suggest(word, [...Object.keys(COMMANDS), '--help', '--version']) ?? (await agentAs(word));
  const [topic = ''] = word.split(' ');
  const hint = near === null ? `See agentfw ${isTopic(topic) ? `${topic} ` : ''}--help` : `Did you mean ${near}?`;
  return answer(usageError(`There is no ${word.startsWith('-') ? 'flag' : 'command'} ${word}`, hint), argv);
}

/** `agentfw claude` means an agent. */
async function agentAs(word: string): Promise<string | null> {
  if (!/^\w[\w.+-]*$/.test(word)) return null;
  const { findInPath } = await import('../kernel/pager.js');
  return findInPath(word, process.env['PATH'] ?? '') === null ? null : `run ${word}`;
}

async function answer(error: AgentfwError, argv: readonly string[]): Promise<void> {
  if (!argv.includes('--json')) return report(error, null);
  try {
    (await makePrinter({ color: false })).json(errorJson(reportOf(error)));
    process.exitCode = error.status;
  } catch (cause) {
    await report(cause, null);
  }
}

async function report(error: unknown, status: number | null): Promise<void> {
  const printer = await makePrinter({ color: true });
  const told = reportOf(error);
  printer.say(renderError(told, printer.paintErr));
  process.exitCode = status ?? told.status;
}
