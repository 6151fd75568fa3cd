import { parseCommentedJson } from '../json.js';

/** JSON values as `JSON.parse` gives them. */
type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** An agent's state file, merged key by key. */
export interface StateMerge {
  /** what the host's file becomes */
  readonly text: string;
  /** key paths that start programs and were changed: left as on the host, a person decides */
  readonly escalated: readonly string[];
  /** key paths that both sides changed; the agent's value, being the newer, stands */
  readonly contested: readonly string[];
}

/** Three versions of a state file, as text. */
export interface StateInput {
  /** the file when the sandbox started, null when there was none or it was not captured */
  readonly base: string | null;
  readonly host: string | null;
  readonly agent: string;
  /** key paths that start programs, `*` for any key: `mcpServers`, `projects.*.mcpServers` */
  readonly keys: readonly string[];
}

/**
 * An agent's state file (`files.state`), merged by key: two sandboxes may both
 * have written it. Comments are passed over. Null when one side is no JSON object, or nested beyond what can
 * be looked through: which of its keys start programs is not known then. Pure.
 */
export function mergeState(input: StateInput): StateMerge | null {
  const blank = input.host?.trim() === '' ? null : input.host;
  return mergedState({ ...input, host: blank });
}

function mergedState(input: StateInput): StateMerge | null {
  const [base, host, agent] = [parse(input.base), parse(input.host), parse(input.agent)];
  if (agent === null || (input.host !== null && host === null)) return null;
  const merge: Merge = { keys: input.keys.map((key) => key.split('.')), escalated: [], contested: [] };
  const merged = mergeObjects(merge, [], base ?? host ?? {}, host ?? {}, agent);
  const text = equal(merged, agent) ? input.agent : equal(merged, host ?? {}) && input.host !== null ? input.host : print(merged, input.agent);
  return { text, escalated: merge.escalated, contested: merge.contested };
}

interface Merge {
  readonly keys: readonly (readonly string[])[];
  readonly escalated: string[];
  readonly contested: string[];
}

type JsonObject = { [key: string]: Json };

function mergeObjects(merge: Merge, path: readonly string[], base: JsonObject, host: JsonObject, agent: JsonObject): JsonObject {
  const names = [...new Set([...Object.keys(host), ...Object.keys(agent)])];
  return Object.fromEntries(names.flatMap((name) => {
    const value = mergeValue(merge, [...path, name], own(base, name), own(host, name), own(agent, name));
    return value === undefined ? [] : [[name, value]];
  }));
}

function mergeValue(merge: Merge, path: readonly string[], base: Json | undefined, host: Json | undefined, agent: Json | undefined): Json | undefined {
  if (equal(agent, host)) return host;
  if (equal(agent, base)) return host; // the agent did not touch it
  // Agents write such keys empty for each project that is new to them.
  const starts = merge.keys.some((key) => isAt(key, path)) && !(host === undefined && isEmpty(agent));
  // Programs that copy their settings key by key give the copy all that is in it.
  if (starts || path.at(-1) === '__proto__') {
    merge.escalated.push(path.join('.'));
    return host;
  }
  // Programs may be started from further inside, and both sides may have changed different keys.
  if (isObject(agent) && (isObject(host) || merge.keys.some((key) => isBelow(key, path)))) {
    return mergeObjects(merge, path, isObject(base) ? base : {}, isObject(host) ? host : {}, agent);
  }
  if (!equal(host, base)) merge.contested.push(path.join('.'));
  return agent;
}

function isAt(key: readonly string[], path: readonly string[]): boolean {
  return key.length === path.length && key.every((part, i) => part === '*' || part === path[i]);
}

function isBelow(key: readonly string[], path: readonly string[]): boolean {
  return key.length > path.length && path.every((part, i) => key[i] === '*' || key[i] === part);
}

/** Starts nothing. */
function isEmpty(value: Json | undefined): boolean {
  return Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0;
}

function own(object: JsonObject, name: string): Json | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parse(text: string | null): JsonObject | null {
  if (text === null) return null;
  try {
    const value = parseCommentedJson(text) as Json;
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

function equal(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => equal(item, b[i]));
  if (!isObject(a) || !isObject(b)) return false;
  const [left, right] = [Object.keys(a), Object.keys(b)];
  return left.length === right.length && left.every((name) => Object.hasOwn(b, name) && equal(a[name], b[name]));
}

/** Indented as the agent's file is. */
function print(value: JsonObject, like: string): string {
  const indent = /^\{\n([ \t]+)/.exec(like)?.[1];
  return JSON.stringify(value, null, indent) + (like.endsWith('\n') ? '\n' : '');
}
