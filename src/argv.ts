/**
 * Splits the command line before oclif sees any of it. An agent's own words
 * are bytes and never parsed; oclif reorders repeated words and answers
 * `--help` and `--json` wherever they stand.
 */
import type { Bytes } from './bytes.js';
import { fromBuffer, fromText, isText, toText } from './bytes.js';

/** What the words ask for. */
export type Route =
  /** help, the version, or a command that doesn't exist: oclif answers */
  | { readonly kind: 'oclif'; readonly argv: readonly string[] }
  | { readonly kind: 'command'; readonly id: string; readonly argv: readonly string[]; readonly after: readonly Bytes[] };

/** How a command's own part of the line ends. */
interface Grammar {
  /** own flags that take the next word */
  readonly values: ReadonlySet<string>;
  /** own words before the agent's begin: `exec TAG` has one, `run` none */
  readonly words: number;
}

const RUN_VALUES =
  'tag policy profile net publish connect-host in audit on-exit accept-degraded hide passthrough share env report memory pids time layer';

/** Commands that are followed by a program with arguments of its own. */
const PROGRAMS: ReadonlyMap<string, Grammar> = new Map([
  ['run', { values: new Set(RUN_VALUES.split(' ')), words: 0 }],
  ['exec', { values: new Set(['env', 'cwd']), words: 1 }],
]);

/** The words of this process, byte for byte, without the interpreter's. */
export function exactWords(argv: readonly string[], cmdline: () => Buffer): Bytes[] {
  // Node decodes argv as UTF-8 and puts U+FFFD where that fails; only then the kernel's copy is needed.
  if (!argv.some((word) => word.includes('\uFFFD'))) return argv.map(fromText);
  const all = fromBuffer(cmdline()).split('\0') as Bytes[];
  all.pop();
  return all.slice(all.length - argv.length);
}

/** Decides what the words ask for. Pure. */
export function routeOf(words: readonly Bytes[]): Route {
  const [first, ...rest] = words;
  if (first === undefined || first === '--help' || first === '-h') return help([]);
  if (first === 'help') return help(rest.slice(0, TOPICS.has(rest[0] ?? '') ? 2 : 1));
  if (first.startsWith('-')) return { kind: 'oclif', argv: [encodeWord(first)] };
  if (TOPICS.has(first)) return topicRoute(first, rest);
  const grammar = PROGRAMS.get(first);
  const [own, after] = grammar === undefined ? splitAtDashes(rest) : splitAtProgram(rest, grammar);
  if (own.some((word) => word === '--help' || word === '-h')) return help([first]);
  return { kind: 'command', id: toText(first), argv: joinPairs(first, own).map(encodeWord), after };
}

/** Words that are followed by a command of their own: `policy check`. */
const TOPICS: ReadonlySet<string> = new Set(['policy']);

function topicRoute(topic: Bytes, [command, ...rest]: readonly Bytes[]): Route {
  if (command === undefined || command === '--help' || command === '-h') return help([topic]);
  const [own, after] = splitAtDashes(rest);
  const asksHelp = own.some((word) => word === '--help' || word === '-h');
  // No such command: whoever answers says so.
  if (command.startsWith('-')) return asksHelp ? help([topic]) : { kind: 'command', id: toText(topic), argv: [command, ...own].map(encodeWord), after };
  if (asksHelp) return help([topic, command]);
  return { kind: 'command', id: `${toText(topic)} ${toText(command)}`, argv: own.map(encodeWord), after };
}

function help(command: readonly Bytes[]): Route {
  return { kind: 'oclif', argv: [...command.map(toText), '--help'] };
}

type Split = readonly [own: readonly Bytes[], after: readonly Bytes[]];

/** What follows `--` is paths, whatever they look like. */
function splitAtDashes(words: readonly Bytes[]): Split {
  const dashes = words.indexOf('--' as Bytes);
  return dashes === -1 ? [words, []] : [words.slice(0, dashes), words.slice(dashes + 1)];
}

/** Own flags end at the program's name or at `--`; from there on every word is the program's. */
function splitAtProgram(words: readonly Bytes[], grammar: Grammar): Split {
  let index = 0;
  for (let own = 0; index < words.length; index += 1) {
    const word = words[index] as Bytes;
    if (word === '--') return [words.slice(0, index), words.slice(index + 1)];
    if (word.startsWith('-') && word !== '-') {
      if (grammar.values.has(word.slice(2)) && words[index + 1] !== '--') index += 1;
      continue;
    }
    if (own === grammar.words) break;
    own += 1;
  }
  return [words.slice(0, index), words.slice(index)];
}

/** Flags with a shape that oclif has no word for: `--take SIDE PATH`, and `--merge` with an optional value. */
function joinPairs(command: Bytes, words: readonly Bytes[]): Bytes[] {
  if (command !== 'commit') return [...words];
  const joined: Bytes[] = [];
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] as Bytes;
    const [side, path] = words.slice(index + 1, index + 3);
    // A path that begins with a dash is written ./-x, as for other programs: this one is the next flag.
    if (word === '--take' && side !== undefined && path !== undefined && !path.startsWith('-')) {
      joined.push(`--take=${side}:${path}` as Bytes);
      index += 2;
    } else {
      joined.push(word === '--merge' ? ('--merge=clean' as Bytes) : word);
    }
  }
  return joined;
}

const ESCAPE = 0xdc00;

/**
 * A word for oclif, which works on text: bytes that aren't UTF-8 become lone
 * surrogates, one per byte, so that `decodeWord` gives the bytes back.
 */
export function encodeWord(word: Bytes): string {
  if (isText(word)) return toText(word);
  let text = '';
  for (let index = 0; index < word.length; ) {
    const length = sequenceLength(word, index);
    if (length === 0) text += String.fromCharCode(ESCAPE + word.charCodeAt(index));
    else text += toText(word.slice(index, index + length) as Bytes);
    index += Math.max(length, 1);
  }
  return text;
}

/** Length of the valid UTF-8 sequence at `index`, 0 when there is none. */
function sequenceLength(word: Bytes, index: number): number {
  for (let length = 1; length <= 4 && index + length <= word.length; length += 1) {
    if (isText(word.slice(index, index + length) as Bytes)) return length;
  }
  return 0;
}

/** The bytes of a word that went through oclif. */
export function decodeWord(text: string): Bytes {
  let word = '';
  for (const char of text) {
    const code = char.charCodeAt(0);
    const escaped = char.length === 1 && code >= ESCAPE + 0x80 && code <= ESCAPE + 0xff;
    word += escaped ? String.fromCharCode(code - ESCAPE) : fromText(char);
  }
  return word as Bytes;
}
