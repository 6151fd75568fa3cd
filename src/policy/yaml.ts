import { isAlias, isMap, isNode, isPair, isScalar, LineCounter, parseDocument, visit, type Document, type Node } from 'yaml';
import type { Place, Problem } from './document.js';

/** YAML parsed with the place of every node, and everything surprising refused. */
export interface PositionedYaml {
  readonly value: unknown;
  /** place of the node at a path, or of its nearest parent; `key` asks for the key of the last step */
  place(path: readonly PropertyKey[], key?: boolean): Place;
}

/** A document as plain values with their places, or what is wrong with it. */
export type YamlResult =
  | { readonly kind: 'ok'; readonly yaml: PositionedYaml }
  | { readonly kind: 'empty' }
  | { readonly kind: 'invalid'; readonly problems: readonly Problem[] };

const MAX_SIZE = 1024 * 1024;

/** YAML 1.2, core schema, without aliases, merge keys, tags and double keys; at most 1 MiB. Problems come with line and column, never as an error. */
export function parseYaml(file: string, text: string): YamlResult {
  if (text.length > MAX_SIZE) return refused(file, 'the file is larger than 1 MiB');
  if (text.includes('\u0000')) return refused(file, 'the file has NUL bytes');
  const deep = nestingBeyond(text, MAX_DEPTH);
  if (deep) return refused(file, `brackets are nested more than ${MAX_DEPTH} deep`);
  const lines = new LineCounter();
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true, merge: false, schema: 'core', version: '1.2', strict: true });
  const problemAt = problemMaker(file, text, lines);
  const problems = doc.errors.map((error) => problemAt(error.pos[0], syntaxMessage(error.code, error.message), syntaxHint(text, error.pos[0], error.code)));
  if (problems.length === 0) problems.push(...surprises(doc, problemAt));
  for (const warning of doc.warnings) problems.push(problemAt(warning.pos[0], warning.message, null));
  if (problems.length > 0) return { kind: 'invalid', problems };
  if (doc.contents === null || (isScalar(doc.contents) && doc.contents.value === null)) return { kind: 'empty' };
  return { kind: 'ok', yaml: { value: doc.toJS({ maxAliasCount: 0 }) as unknown, place: placeIn(doc, lines) } };
}

/** No policy needs more, and the reader's own stack has an end. Brackets in text count too: harmless below so many. */
const MAX_DEPTH = 200;

function nestingBeyond(text: string, most: number): boolean {
  let depth = 0;
  for (const mark of text.match(/[[\]{}]/g) ?? []) {
    depth = Math.max(0, depth + (mark === '[' || mark === '{' ? 1 : -1));
    if (depth > most) return true;
  }
  return false;
}

/** The source line of a place, trimmed and cut, for messages. */
export function sourceLine(text: string, line: number): string | null {
  const source = text.split('\n')[line - 1]?.trim() ?? '';
  const shown = source.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/g, '\ufffd');
  return shown === '' ? null : shown.slice(0, 160);
}

type ProblemAt = (offset: number, message: string, hint: string | null) => Problem;

function problemMaker(file: string, text: string, lines: LineCounter): ProblemAt {
  return (offset, message, hint) => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(line, 1), col: Math.max(col, 1), message, text: sourceLine(text, line), hint };
  };
}

function refused(file: string, message: string): YamlResult {
  return { kind: 'invalid', problems: [{ file, line: 1, col: 1, message, text: null, hint: null }] };
}

function syntaxMessage(code: string, message: string): string {
  if (code === 'DUPLICATE_KEY') return 'the key is given twice';
  if (message.includes('call stack')) return 'it is nested too deeply';
  if (code === 'MULTIPLE_DOCS') return 'the file has more than one document';
  if (/Unresolved alias|Aliased anchor/.test(message)) return 'a word that starts with `*` is an alias in YAML';
  return message.split('\n')[0] ?? message;
}

function syntaxHint(text: string, offset: number, code: string): string | null {
  if (code === 'DUPLICATE_KEY') return 'Put both under one key.';
  if (code === 'MULTIPLE_DOCS') return 'Keep one: remove the `---` between them.';
  const word = /^\S+/.exec(text.slice(offset))?.[0]?.replace(/[,\]}]+$/, '') ?? '';
  if (/^[*&!%@`|>]/.test(word)) return `Quote it: "${word}"`;
  return code === 'TAB_AS_INDENT' ? 'Indent with spaces.' : null;
}

/** What YAML allows and a policy does not: anchors, aliases, merge keys, tags, keys that are no words. */
function surprises(doc: Document.Parsed, problemAt: ProblemAt): Problem[] {
  const problems: Problem[] = [];
  const at = (node: unknown): number => (isNode(node) ? (node.range?.[0] ?? 0) : 0);
  visit(doc, (key, node) => {
    if (isPair(node)) {
      if (isScalar(node.key) && node.key.value === '<<') problems.push(problemAt(at(node.key), 'merge keys are not supported', 'Use `extends`, or write the keys out.'));
      // Readers of the shape pass it over.
      else if (isScalar(node.key) && node.key.value === '__proto__') problems.push(problemAt(at(node.key), '`__proto__` names nothing', 'Remove it.'));
      else if (!isScalar(node.key) || typeof node.key.value !== 'string') problems.push(problemAt(at(node.key), 'a key is not a word', 'Quote it.'));
      return;
    }
    if (isAlias(node)) problems.push(problemAt(at(node), 'a word that starts with `*` is an alias in YAML', `Quote it: "*${node.source}"`));
    if (!isNode(node)) return;
    if ('anchor' in node && node.anchor !== undefined) problems.push(problemAt(at(node), 'anchors are not supported', 'Write the value out.'));
    if (node.tag !== undefined && !isAlias(node)) problems.push(problemAt(at(node), `the tag ${node.tag} is not supported`, 'A word that starts with `!` must be quoted.'));
    if (key !== 'key' && isScalar(node) && typeof node.value === 'string' && node.type === 'PLAIN' && /^(yes|no|on|off|y|n)$/i.test(node.value)) {
      problems.push(problemAt(at(node), `\`${node.value}\` means different things to different YAML readers`, 'Write `true` or `false`, or quote it.'));
    }
    if (key !== 'key' && isScalar(node) && node.value === null) {
      problems.push(problemAt(at(node), node.source === '~' ? '`~` alone is nothing in YAML' : 'there is no value', node.source === '~' ? 'Quote it: "~"' : 'Remove the key, or write `[]` for nothing.'));
    }
  });
  return isEmptyRoot(doc) ? [] : problems;
}

function isEmptyRoot(doc: Document.Parsed): boolean {
  return isScalar(doc.contents) && doc.contents.value === null;
}

function placeIn(doc: Document.Parsed, lines: LineCounter): PositionedYaml['place'] {
  return (path, key = false) => {
    let node: unknown = doc.contents;
    let range = rangeOf(node);
    for (const [i, step] of path.entries()) {
      if (isMap(node)) {
        const pair = node.items.find((item) => isScalar(item.key) && item.key.value === step);
        if (pair === undefined) break;
        node = key && i === path.length - 1 ? pair.key : pair.value;
        range = rangeOf(node) ?? rangeOf(pair.key) ?? range;
      } else if (isNode(node) && 'items' in node && typeof step === 'number') {
        node = (node as { items: unknown[] }).items[step];
        range = rangeOf(node) ?? range;
      } else break;
    }
    const { line, col } = lines.linePos(range ?? 0);
    return { line: Math.max(line, 1), col: Math.max(col, 1) };
  };
}

function rangeOf(node: unknown): number | null {
  return isNode(node) ? ((node as Node).range?.[0] ?? null) : null;
}
