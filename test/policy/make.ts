import { readdirSync, readFileSync } from 'node:fs';
import { compile, type Source } from '../../src/policy/compile.js';
import type { CompiledPolicy } from '../../src/policy/compiled.js';
import { problemText, type Layer, type PolicyDocument } from '../../src/policy/document.js';
import { flagsDocument, type PolicyFlags } from '../../src/policy/flags.js';
import { parsePolicy } from '../../src/policy/load.js';
import { fromText, type Bytes } from '../../src/bytes.js';

export const HOME = '/home/u';
export const PROJECT = '/home/u/app';
export const PROFILES = new URL('../../profiles/', import.meta.url).pathname;

const shipped = new Map<string, PolicyDocument>();

export async function documentOf(text: string, file = 'policy.yaml'): Promise<PolicyDocument> {
  const parsed = await parsePolicy(file, text);
  if (parsed.kind === 'ok') return parsed.document;
  throw new Error(parsed.kind === 'empty' ? 'empty' : parsed.problems.map(problemText).join('\n'));
}

/** What is wrong with a text, as a person reads it. */
export async function problemsOf(text: string): Promise<string> {
  const parsed = await parsePolicy('p.yaml', text);
  return parsed.kind === 'invalid' ? parsed.problems.map(problemText).join('\n') : parsed.kind;
}

async function profile(name: string): Promise<PolicyDocument> {
  const known = shipped.get(name) ?? (await documentOf(readFileSync(`${PROFILES}${name}.yaml`, 'utf8'), name));
  shipped.set(name, known);
  return known;
}

export interface Layers {
  readonly profile?: string;
  readonly managed?: string;
  readonly user?: string;
  readonly project?: string;
  readonly trusted?: boolean;
  readonly cli?: string;
  readonly flags?: PolicyFlags;
  readonly env?: Record<string, string>;
  readonly sets?: Record<string, string[]>;
  readonly bare?: boolean;
  readonly home?: string;
  readonly homes?: readonly string[];
  readonly root?: string;
}

export async function sourcesOf(layers: Layers): Promise<Source[]> {
  const root = layers.root ?? PROJECT;
  const source = (layer: Layer, file: string, document: PolicyDocument, trusted = true): Source => ({ layer, file, digest: file, trusted, root, document });
  const sources: Source[] = [];
  if (layers.bare !== true) {
    for (const name of readdirSync(PROFILES).map((file) => file.replace('.yaml', '')).filter((file) => file.startsWith('base-'))) sources.push(source('built-in', name, await profile(name)));
    sources.push(source('profile', 'profile', await profile(layers.profile ?? 'generic')));
  }
  if (layers.managed !== undefined) sources.push(source('managed', '/etc/agentfw/policy.yaml', await documentOf(layers.managed)));
  if (layers.user !== undefined) sources.push(source('user', 'user.yaml', await documentOf(layers.user)));
  if (layers.project !== undefined) sources.push(source('project', '.agentfw.yaml', await documentOf(layers.project), layers.trusted ?? false));
  if (layers.cli !== undefined) sources.push(source('command line', 'cli.yaml', await documentOf(layers.cli)));
  if (layers.flags !== undefined) sources.push(source('command line', 'command line', flagsDocument(layers.flags, root)));
  return sources;
}

export function compiled(sources: readonly Source[], layers: Layers = {}): CompiledPolicy {
  const { policy, problems } = compile({
    sources, profile: { name: 'generic', version: null, why: 'test', unverified: false }, home: layers.home ?? HOME, homes: layers.homes ?? [], project: layers.root ?? PROJECT,
    env: layers.env ?? {}, sets: { registries: [], ...layers.sets },
  });
  if (problems.length > 0) throw new Error(problems.map(problemText).join('\n'));
  return policy;
}

/** Compiles layers given as text, above the shipped base. */
export async function policyOf(layers: Layers = {}): Promise<CompiledPolicy> {
  return compiled(await sourcesOf(layers), layers);
}

/** `~` and `./` for this home and project. */
export function at(text: string): Bytes {
  return fromText(text.replace(/^~/, HOME).replace(/^\./, PROJECT));
}
