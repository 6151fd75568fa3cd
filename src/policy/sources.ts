import { createHash } from 'node:crypto';
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fromText } from '../bytes.js';
import { AgentfwError } from '../errors.js';
import { cacheIn, fromCache, toCache, type Cache } from './cache.js';
import type { ChosenProfile } from './compiled.js';
import type { Source } from './compile.js';
import { placeText, policyError, type Layer, type LoadResult, type PolicyDocument } from './document.js';
import { flagsDocument, type PolicyFlags } from './flags.js';
import { matchProfile, type KnownAgent } from './profile.js';
import { NAME_ANOTHER, readPolicy, type Ownership } from './read.js';
import { holdsRepository, isPlanted } from './repository.js';
import { suggest } from './suggest.js';
import { isTrusted, readTrust, type TrustStore } from './trust.js';

/** Where policy comes from. Everything of the process is given, so that tests can fix it. */
export interface SourceRequest {
  /** the agent's command line; empty when no agent is meant (`policy show`) */
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly home: string;
  /** more home directories of the same user, as where HOME is set to another place */
  readonly homes?: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
  /** the store; holds trust and the cache of parsed files */
  readonly stateDir: string;
  /** `--profile`, null to go by the command */
  readonly profile?: string | null;
  /** `--policy` */
  readonly policyFiles?: readonly string[];
  readonly flags?: PolicyFlags;
  /** `--ci` adds the profile `ci` */
  readonly ci?: boolean;
  readonly managedFile?: string;
  readonly managedUid?: number;
  readonly profilesDir?: string;
  /** more trust than the store holds, to see what it would change */
  readonly trusting?: TrustStore;
}

/** All layers of a policy, in their order. */
export interface Gathered {
  readonly sources: readonly Source[];
  readonly profile: ChosenProfile;
  readonly project: string;
  /** for people: a project file of a wrong name, and the like */
  readonly notes: readonly string[];
}

export const MANAGED_FILE = '/etc/agentfw/policy.yaml';
export const PROJECT_FILE = '.agentfw.yaml';
const SHIPPED = fileURLToPath(new URL('../../profiles/', import.meta.url));

/** Reads every layer. Anything but a missing file that can't be used refuses. */
export async function gatherSources(request: SourceRequest): Promise<Gathered> {
  const reader = readerOf(request);
  const project = projectOf(request.cwd, request.home);
  const base = await readAll(shippedNames(reader.dir).filter((name) => name.startsWith('base-')), (name) => shipped(reader, name, 'built-in', true, project));
  const profile = await chooseProfile(reader, request, project);
  const found: Source[] = [...base, await shipped(reader, profile.name, 'profile', true, project)];
  if (request.ci === true && profile.name !== 'ci') found.push(await shipped(reader, 'ci', 'profile', true, project));
  const notes: string[] = [];
  const own = [
    await optional(reader, request.managedFile ?? MANAGED_FILE, 'managed', { by: 'root', uid: request.managedUid ?? 0 }, project),
    await optional(reader, userFile(request), 'user', { by: 'user', uid: request.uid }, project),
    ...(await projectSources(reader, request, notes)),
    ...(await readAll(request.policyFiles ?? [], (file) => required(reader, file, project))),
  ].filter((source) => source !== null);
  found.push(...own, ...(await extensions(reader, own, project)));
  if (request.flags !== undefined) {
    const document = flagsDocument(request.flags, request.cwd);
    found.push({ layer: 'command line', file: 'command line', digest: digestOf(JSON.stringify(document)), trusted: true, root: request.cwd, document });
  }
  return { sources: found, profile, project, notes };
}

/** The user's own policy file. */
export function userFile({ env, home }: Pick<SourceRequest, 'env' | 'home'>): string {
  const config = env['XDG_CONFIG_HOME'];
  return join(config?.startsWith('/') === true ? config : join(home, '.config'), 'agentfw', 'policy.yaml');
}

/** Nearest directory with a repository, else the working directory: never decided by a policy file. */
export function projectOf(cwd: string, home: string): string {
  for (const dir of upwards(cwd, home)) if (holdsRepository(fromText(dir), fromText(cwd))) return dir;
  return cwd;
}

/** All project files from the working directory up: a nearer one must not lose what a farther one forbids. */
export function projectFiles(cwd: string, home: string): string[] {
  return upwards(cwd, home).filter((dir) => !isStrangers(dir, cwd)).map((dir) => join(dir, PROJECT_FILE)).filter((file) => existsSync(file));
}

/** Another user's in a directory such as /tmp: what a run below it may do is not theirs to say. */
function isStrangers(dir: string, cwd: string): boolean {
  return isPlanted(fromText(dir), fromText(PROJECT_FILE), fromText(cwd));
}

/** Shipped profiles by name, without the base groups. */
export function profileNames(dir: string = SHIPPED): string[] {
  return shippedNames(dir).filter((name) => !name.startsWith('base-'));
}

/** Every shipped profile with its document, for `policy show` and `init`. */
export async function loadProfile(request: SourceRequest, name: string): Promise<PolicyDocument> {
  return (await shipped(readerOf(request), name, 'profile', true, request.cwd)).document;
}

interface Reader {
  readonly dir: string;
  readonly cache: Cache;
  readonly read: (file: string, owner: Ownership, follow: boolean) => Promise<LoadResult>;
}

function readerOf(request: SourceRequest): Reader {
  const cache = cacheIn(request.stateDir, request.uid);
  return { dir: request.profilesDir ?? SHIPPED, cache, read: (file, owner, follow) => readPolicy({ file, owner, follow, cache }) };
}

async function chooseProfile(reader: Reader, request: SourceRequest, project: string): Promise<ChosenProfile> {
  const named = request.profile ?? null;
  const chosen = async (name: string, version: string | null, why: string): Promise<ChosenProfile> => {
    const { document } = await shipped(reader, name, 'profile', true, request.cwd);
    return { name, version, why, unverified: document.agent?.unverified ?? false };
  };
  if (named !== null) return chosen(named, null, '--profile');
  if (request.argv.length === 0) return chosen('generic', null, 'no agent was named');
  const known = await knownAgents(reader, request);
  const match = matchProfile({ argv: request.argv, cwd: request.cwd, project, home: request.home, path: request.env['PATH'] ?? '' }, known);
  return chosen(match.profile, match.version, match.why);
}

/** Whom the shipped profiles are for: kept together, so that a start reads the one profile that it needs. */
async function knownAgents(reader: Reader, request: SourceRequest): Promise<readonly KnownAgent[]> {
  const names = profileNames(reader.dir);
  const stamps = names.map((name) => {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(join(reader.dir, `${name}.yaml`), { bigint: true });
    return [name, dev, ino, size, mtimeNs, ctimeNs].join(' ');
  });
  const key = digestOf(`agents\n${stamps.join('\n')}`);
  const cached = fromCache<readonly KnownAgent[]>(reader.cache, key);
  if (cached !== null) return cached;
  const documents = await readAll(names, async (name) => ({ name, ...(await shipped(reader, name, 'profile', true, request.cwd)).document }));
  const known = documents.flatMap(({ name, agent }) => (agent === null ? [] : [{ name, agent }]));
  toCache(reader.cache, key, known);
  return known;
}

function shippedNames(dir: string): string[] {
  return readdirSync(dir).filter((name) => name.endsWith('.yaml')).map((name) => name.slice(0, -5)).sort();
}

async function shipped(reader: Reader, name: string, layer: Layer, trusted: boolean, root: string): Promise<Source> {
  const names = profileNames(reader.dir);
  if (!names.includes(name) && layer !== 'built-in') {
    const near = suggest(name, names);
    throw new AgentfwError('AFW_PROFILE_UNKNOWN', `There is no profile \`${name}\`.`, { hint: near === null ? `Profiles: ${names.join(', ')}` : `Did you mean ${near}?` });
  }
  const result = await reader.read(join(reader.dir, `${name}.yaml`), { by: 'anybody' }, true);
  return sourceOf(usable(result), layer, trusted, root, `profiles/${name}.yaml`);
}

/** What a document extends, with the extending document's right to loosen. */
async function extensions(reader: Reader, own: readonly Source[], project: string): Promise<Source[]> {
  const wanted = own.flatMap((source) => source.document.extends.map((one) => ({ ...one, source })));
  return readAll(wanted, async ({ name, at, source }) => {
    try {
      const base = await shipped(reader, name, 'profile', source.trusted, project);
      return source.trusted ? base : { ...base, layer: 'project' };
    } catch (error) {
      if (error instanceof AgentfwError && error.code === 'AFW_PROFILE_UNKNOWN') {
        throw policyError([{ file: source.file, ...at, message: error.message.replace(/^T(.*)\.$/, 't$1'), text: null, hint: error.hint }]);
      }
      throw error;
    }
  });
}

async function optional(reader: Reader, file: string, layer: Layer, owner: Ownership, root: string): Promise<Source | null> {
  const result = await reader.read(file, owner, true);
  return result.kind === 'missing' ? null : sourceOf(usable(result), layer, true, root);
}

async function required(reader: Reader, file: string, root: string): Promise<Source> {
  const result = await reader.read(file, { by: 'anybody' }, true);
  return sourceOf(usable(result.kind === 'unreadable' ? { ...result, hint: NAME_ANOTHER } : result), 'command line', true, root);
}

async function projectSources(reader: Reader, request: SourceRequest, notes: string[]): Promise<Source[]> {
  const found: Source[] = [];
  const store = { ...readTrust(request.stateDir), ...request.trusting };
  for (const dir of upwards(request.cwd, request.home)) {
    const file = join(dir, PROJECT_FILE);
    for (const wrong of ['.agentfw.yml', 'agentfw.yaml']) if (existsSync(join(dir, wrong))) notes.push(`${join(dir, wrong)} is not read: the name is ${PROJECT_FILE}`);
    if (isStrangers(dir, request.cwd)) {
      notes.push(`${file} is not read: it belongs to another user, and anybody may put something there`);
      continue;
    }
    const result = await reader.read(file, { by: 'anybody' }, false);
    if (result.kind === 'missing') continue;
    const ok = usable(result);
    const trusted = isTrusted(store, realpathSync(file), ok.digest);
    found.push(sourceOf(ok, 'project', trusted, dir));
  }
  return found;
}

/** Missing is the caller's business; empty, unreadable and invalid are refused, each in its words. */
export function usable(result: LoadResult): Extract<LoadResult, { kind: 'ok' }> {
  switch (result.kind) {
    case 'ok': return result;
    case 'missing': throw new AgentfwError('AFW_POLICY_MISSING', `There is no policy file ${result.file}`, { hint: 'agentfw policy init writes one' });
    case 'empty': throw new AgentfwError('AFW_POLICY_EMPTY', `The policy file ${result.file} is empty.`, { hint: 'Write at least `version: 1`, or remove the file' });
    case 'unreadable': throw new AgentfwError('AFW_POLICY_UNREADABLE', `Can't use the policy file ${result.file}: ${result.why}`, result.hint === null ? {} : { hint: result.hint });
    case 'invalid': throw policyError(result.problems, `The policy file ${result.problems[0] === undefined ? result.file : placeText(result.problems[0])} is not valid`);
  }
}

function sourceOf(result: Extract<LoadResult, { kind: 'ok' }>, layer: Layer, trusted: boolean, root: string, shown = result.file): Source {
  return { layer, file: shown, digest: result.digest, trusted, root, document: agentOnlyIn(layer, result.document, shown) };
}

/** What only a shipped profile may say. */
function agentOnlyIn(layer: Layer, document: PolicyDocument, file: string): PolicyDocument {
  if (layer === 'built-in' || layer === 'profile' || (document.agent === null && Object.keys(document.moves).length === 0)) return document;
  throw policyError([{ file, line: 1, col: 1, message: '`agent` and `moves` belong to shipped profiles', text: null, hint: null }]);
}

/** Directories from `cwd` up to the home, or to the root where the home is no ancestor. */
function upwards(cwd: string, home: string): string[] {
  const dirs: string[] = [];
  for (let dir = cwd; ; dir = dirname(dir)) {
    dirs.push(dir);
    if (dir === '/' || dir === home || basename(dir) === '') return dirs;
  }
}

async function readAll<A, R>(items: readonly A[], read: (item: A) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const item of items) results.push(await read(item));
  return results;
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
