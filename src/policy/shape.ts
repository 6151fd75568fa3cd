import type { z } from 'zod';
import type { Place, Problem } from './document.js';
import { policySchema, RESERVED, type PolicyInput } from './schema.js';
import { suggest } from './suggest.js';
import { parseDuration, parseMemory, parseSize, parseWait, type Parsed } from './units.js';
import { sourceLine, type PositionedYaml } from './yaml.js';

/** Checks the shape of a parsed file; zod's issues become problems with their place. */
export function checkShape(file: string, text: string, yaml: PositionedYaml): { ok: true; input: PolicyInput } | { ok: false; problems: Problem[] } {
  const parsed = policySchema.safeParse(yaml.value);
  if (parsed.success) return { ok: true, input: parsed.data };
  const problems = parsed.error.issues.flatMap((issue) => problemsOf(issue, [], yaml.value));
  return {
    ok: false,
    problems: problems.map(({ path, key, message, hint }) => {
      const place: Place = yaml.place(path, key);
      return { file, ...place, message, text: sourceLine(text, place.line), hint };
    }),
  };
}

type Issue = z.core.$ZodIssue;
interface Finding {
  readonly path: readonly PropertyKey[];
  readonly key: boolean;
  readonly message: string;
  readonly hint: string | null;
}

function problemsOf(issue: Issue, prefix: readonly PropertyKey[], root: unknown): Finding[] {
  const path = [...prefix, ...issue.path];
  const name = path.filter((step) => typeof step === 'string').join('.') || 'the file';
  const value = valueAt(root, path);
  switch (issue.code) {
    case 'unrecognized_keys': return issue.keys.map((key) => unknownKey(path, key));
    case 'invalid_union': return unionProblems(issue, path, root, name, value);
    case 'invalid_value': return [{ path, key: false, ...valueProblem(issue.values, value, name) }];
    case 'invalid_type': return [{ path, key: false, ...typeProblem(issue.expected, value, name) }];
    case 'invalid_key': return [{ path, key: true, message: `\`${String(path.at(-1))}\` is not a valid name here`, hint: null }];
    case 'invalid_format': return [{ path, key: false, message: `\`${String(value)}\` is not a valid ${name}`, hint: formatHint(path) }];
    default: return [{ path, key: false, message: `\`${name}\`: ${issue.message}`, hint: null }];
  }
}

/** The branch whose own type fits is the one that was meant. */
function unionProblems(issue: Extract<Issue, { code: 'invalid_union' }>, path: readonly PropertyKey[], root: unknown, name: string, value: unknown): Finding[] {
  const meant = issue.errors.find((branch) => !branch.some((inner) => inner.code === 'invalid_type' && inner.path.length === 0));
  if (meant !== undefined) return meant.flatMap((inner) => problemsOf(inner, path, root));
  const hint = typeof value === 'number' || typeof value === 'boolean' ? `Quote it: "${String(value)}"` : null;
  return [{ path, key: false, message: `\`${name}\` is ${kindOf(value)}, which is not expected here`, hint }];
}

function unknownKey(path: readonly PropertyKey[], key: string): Finding {
  const where = path.filter((step) => typeof step === 'string').join('.');
  const message = `unknown key \`${key}\`${where === '' ? '' : ` in \`${where}\``}`;
  const reserved = path.length === 0 && Object.hasOwn(RESERVED, key) ? RESERVED[key] : undefined;
  if (reserved !== undefined) return { path: [...path, key], key: true, message: `\`${key}\` is reserved for ${reserved}`, hint: 'This version does not read it.' };
  const near = suggest(key, keysAt(path));
  return { path: [...path, key], key: true, message, hint: near === null ? null : `Did you mean \`${near}\`?` };
}

/** Known keys of the object at a path of the schema. */
function keysAt(path: readonly PropertyKey[]): string[] {
  let schemas: unknown[] = [policySchema];
  for (const step of path) schemas = schemas.flatMap(unwrap).flatMap((schema) => childOf(schema, step));
  return schemas.flatMap(unwrap).flatMap((schema) => Object.keys(shapeOf(schema) ?? {}));
}

interface Def { readonly type: string; readonly innerType?: unknown; readonly options?: readonly unknown[]; readonly element?: unknown; readonly shape?: Record<string, unknown> }

function defOf(schema: unknown): Def {
  return (schema as { _zod: { def: Def } })._zod.def;
}

function unwrap(schema: unknown): unknown[] {
  const def = defOf(schema);
  if (def.type === 'optional' || def.type === 'default') return unwrap(def.innerType);
  return def.type === 'union' ? (def.options ?? []).flatMap(unwrap) : [schema];
}

function shapeOf(schema: unknown): Record<string, unknown> | undefined {
  return defOf(schema).type === 'object' ? defOf(schema).shape : undefined;
}

function childOf(schema: unknown, step: PropertyKey): unknown[] {
  const def = defOf(schema);
  const child = def.type === 'array' ? def.element : shapeOf(schema)?.[String(step)];
  return child === undefined ? [] : [child];
}

function valueProblem(values: readonly unknown[], value: unknown, name: string): { message: string; hint: string | null } {
  if (name === 'version') {
    if (value === undefined) return { message: 'there is no `version`', hint: 'Begin the file with `version: 1`.' };
    if (value === '1') return { message: 'the version is text', hint: 'Write it without quotes: `version: 1`.' };
    return { message: `version ${String(value)} is not supported`, hint: 'This agentfw reads `version: 1`.' };
  }
  if (value === undefined) return { message: `\`${name}\` is missing`, hint: null };
  const words = values.map(String);
  const near = typeof value === 'string' ? suggest(value, words) : value === false && words.includes('deny') ? 'deny' : null;
  const list = words.map((word) => `\`${word}\``).join(', ');
  return { message: `\`${name}\` is \`${show(value)}\`, but must be one of ${list}`, hint: near === null ? null : `Did you mean \`${near}\`?` };
}

function typeProblem(expected: string, value: unknown, name: string): { message: string; hint: string | null } {
  if (value === undefined) return { message: `\`${name}\` is missing`, hint: null };
  const unitless = typeof value === 'number' && Object.hasOwn(WITH_UNIT, name) ? WITH_UNIT[name]?.(value) : undefined;
  if (unitless?.ok === false) return { message: unitless.why, hint: unitless.hint };
  const wanted = TYPE_NAMES[expected] ?? expected;
  const hint = expected === 'string' && (typeof value === 'number' || typeof value === 'boolean') ? `Quote it: "${String(value)}"`
    : expected === 'array' && typeof value === 'string' ? `Write a list: ["${value}"]` : null;
  return { message: `\`${name}\` is ${kindOf(value)}, but must be ${wanted}`, hint };
}

/** A number there lacks more than its quotes. */
const WITH_UNIT: Readonly<Record<string, (value: number) => Parsed>> = {
  'limits.memory': parseMemory, 'limits.layer': parseSize, 'limits.time': parseDuration, 'ask.timeout': parseWait,
  'changes.thresholds.bytes': parseSize, 'changes.capture.file': parseSize, 'changes.capture.total': parseSize,
};

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: 'text', number: 'a number', int: 'a whole number', boolean: '`true` or `false`', array: 'a list', object: 'a block of keys', record: 'a block of keys',
};

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a block of keys';
  return typeof value === 'string' ? `the text \`${show(value)}\`` : `the ${typeof value} \`${show(value)}\``;
}

function show(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value).slice(0, 60) : String(value).slice(0, 60);
}

function formatHint(path: readonly PropertyKey[]): string | null {
  return path.at(-1) === 'id' ? 'Ids are lower case words with dots, e.g. `secrets.env`.' : null;
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let value = root;
  for (const step of path) value = typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[step] : undefined;
  return value;
}
