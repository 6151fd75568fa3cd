import { posix } from 'node:path';
import { usageError } from '../errors.js';
import type { PolicyDocument, RuleList, RuleText, SettingKey, SettingText, VariableText } from './document.js';
import { isLiteral, literalPattern, parsePattern } from './pattern.js';
import { parseDuration, parseMemory, parseProcesses, parseSize, type Parsed } from './units.js';

/** Flags of `run` that are policy. Paths as typed: relative to the working directory. */
export interface PolicyFlags {
  readonly net?: 'allow' | 'ask' | 'deny' | 'off';
  readonly hide?: readonly string[];
  readonly passthrough?: readonly string[];
  readonly share?: readonly string[];
  /** `NAME` or `NAME=VALUE` */
  readonly env?: readonly string[];
  readonly memory?: string;
  readonly pids?: string;
  readonly time?: string;
  readonly layer?: string;
  readonly audit?: 'exec';
}

const NOWHERE = { line: 0, col: 0 };

/** The command line as a document of its own, the last layer. */
export function flagsDocument(flags: PolicyFlags, cwd: string): PolicyDocument {
  const paths = (list: RuleList, flag: string, texts: readonly string[] | undefined): RuleText[] =>
    (texts ?? []).map((text) => rule(list, `--${flag}`, [pathOf(text, flag, cwd)]));
  const keep = (flags.env ?? []).filter((word) => !word.includes('='));
  return {
    version: 1, description: null, extends: [], agent: null, moves: {}, sets: [], socketNames: {}, holes: [],
    rules: [
      ...paths('files.hide', 'hide', flags.hide), ...paths('files.share', 'share', flags.share),
      ...paths('files.passthrough', 'passthrough', flags.passthrough), ...namedTwice(flags.passthrough ?? [], cwd),
      ...keep.map((name) => rule('environment.keep', '--env', [variableName(name)])),
    ],
    settings: settingsOf(flags),
    variables: variablesOf(flags.env ?? []),
  };
}

/** A passthrough that is given twice accepts the class of what it names. */
function namedTwice(texts: readonly string[], cwd: string): RuleText[] {
  const paths = texts.map((text) => pathOf(text, 'passthrough', cwd));
  return [...new Set(paths.filter((path, i) => paths.indexOf(path) !== i))].map((path) => rule('changes.accept', '--passthrough', [path]));
}

function rule(list: RuleList, id: string, subjects: readonly string[]): RuleText {
  return { list, id: `${id} ${subjects.join(' ')}`, subjects, except: [], note: null, ports: null, private: false, silent: false, keys: [], at: NOWHERE };
}

function pathOf(text: string, flag: string, cwd: string): string {
  const anchored = /^(\/|~(\/|$)|\*\*(\/|$))/.test(text);
  const path = anchored ? text : posix.join(literalPattern(cwd), text);
  const parsed = parsePattern(path);
  if (!parsed.ok) throw usageError(`--${flag}: ${parsed.why}`, parsed.hint ?? `See agentfw run --help`);
  const literal = parsed.alternatives.every(({ root, rel }) => root !== 'anywhere' && isLiteral(rel));
  if (!literal && flag !== 'hide') throw usageError(`--${flag} takes a path, not a pattern: ${text}`, 'Name each directory');
  return path;
}

function variableName(name: string): string {
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return name;
  throw usageError(`--env takes NAME or NAME=VALUE, not \`${name}\``, 'For example: --env EDITOR=vi');
}

function variablesOf(words: readonly string[]): VariableText[] {
  return words.filter((word) => word.includes('=')).map((word) => {
    const equals = word.indexOf('=');
    return { name: variableName(word.slice(0, equals)), value: word.slice(equals + 1), at: NOWHERE };
  });
}

function settingsOf(flags: PolicyFlags): SettingText[] {
  const found: SettingText[] = [];
  const add = (key: SettingKey, flag: string, text: string | undefined, parse: (text: string) => Parsed): void => {
    if (text === undefined) return;
    const parsed = parse(text);
    if (!parsed.ok) throw usageError(`--${flag}: ${parsed.why}`, parsed.hint);
    found.push({ key, value: parsed.value, at: NOWHERE });
  };
  add('limits.memory', 'memory', flags.memory, parseMemory);
  add('limits.layer', 'layer', flags.layer, parseSize);
  add('limits.time', 'time', flags.time, parseDuration);
  add('limits.pids', 'pids', flags.pids, parseProcesses);
  if (flags.audit === 'exec') found.push({ key: 'audit.exec', value: 'on', at: NOWHERE });
  // `off` has no gate at all: for whoever still asks, it denies.
  if (flags.net !== undefined) found.push({ key: 'network.default', value: flags.net === 'off' ? 'deny' : flags.net, at: NOWHERE });
  return found;
}
