import { accessSync, constants, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, delimiter, dirname, isAbsolute, join, resolve } from 'node:path';
import { fromText } from '../bytes.js';
import type { Signature } from './document.js';
import { matchesAny } from './engine.js';
import { pathMatcher } from './match.js';
import { expandPattern } from './pattern.js';

/** Which profile fits a command, and why. */
export interface ProfileMatch {
  /** file name of the profile, without `.yaml` */
  readonly profile: string;
  readonly version: string | null;
  /** for people: `matched @openai/codex` */
  readonly why: string;
}

/** A shipped profile that is for an agent. */
export interface KnownAgent {
  readonly name: string;
  readonly agent: Signature;
}

/** The command whose profile is looked for; `path` as in PATH. */
export interface ProfileRequest {
  readonly argv: readonly string[];
  readonly cwd: string;
  /** the repository around `cwd`, or `cwd` */
  readonly project: string;
  readonly home: string;
  readonly path: string;
}

interface Program {
  /** the word that names the agent: `claude`, or the script of `node cli.js` */
  readonly word: string;
  /** an npm package given by name (`npx PACKAGE`) */
  readonly spec: string | null;
}

interface Found {
  readonly real: string | null;
  readonly pkg: { readonly name: string; readonly version: string | null } | null;
}

/** Recognises the agent; `generic`, the strictest profile, when nothing fits. Never runs anything. */
export function matchProfile(request: ProfileRequest, profiles: readonly KnownAgent[]): ProfileMatch {
  const program = programOf(request.argv);
  if (program.spec !== null) return bySpec(program.spec, profiles);
  const found = resolveProgram(program.word, request);
  const word = basename(program.word);
  const planted = isPlanted(found.real, request);
  for (const { name, agent } of profiles) {
    if (found.pkg !== null && matchesAny(agent.packages, found.pkg.name) && (!planted || isInstalled(found.real, found.pkg.name, word, agent))) return { profile: name, version: found.pkg.version, why: `matched ${found.pkg.name}` };
    if (found.real !== null && liesAt(found.real, agent, request)) return { profile: name, version: versionIn(found.real), why: `matched ${found.real}` };
  }
  for (const { name, agent } of profiles) {
    if (!agent.executables.includes(word)) continue;
    if (found.pkg !== null && (agent.packages.length > 0 || agent.imposters.includes(found.pkg.name))) {
      return { profile: 'generic', version: null, why: `\`${word}\` belongs to the package ${found.pkg.name}, which is not ${name}` };
    }
    if (planted) return { profile: 'generic', version: null, why: `\`${word}\` lies in the working directory` };
    return { profile: name, version: found.pkg?.version ?? null, why: `matched the name ${word}` };
  }
  return { profile: 'generic', version: null, why: `no profile for ${word}` };
}

/** Looks through wrappers that only start another program. */
function programOf(argv: readonly string[]): Program {
  let rest = [...argv];
  for (;;) {
    const word = basename(rest[0] ?? '');
    if (word === 'env') rest = dropWhile(rest.slice(1), (arg) => arg.includes('=') || arg.startsWith('-'));
    else if (WRAPPERS.has(word)) rest = dropWhile(rest.slice(1), (arg) => arg.startsWith('-') || /^\d+[smhd]?$/.test(arg));
    else if (runnerWords(word, rest[1]) > 0) return { word: rest[0] ?? '', spec: packageIn(rest.slice(runnerWords(word, rest[1]))) };
    else if (/^(node|nodejs|bun|deno|python[\d.]*)$/.test(word)) return { word: scriptOf(rest) ?? rest[0] ?? '', spec: null };
    else return { word: rest[0] ?? '', spec: null };
    if (rest.length === 0) return { word: argv[0] ?? '', spec: null };
  }
}

/** How many words start a package by its name: `npx`, `npm exec`; 0 for anything else. */
function runnerWords(first: string, second: string | undefined): 0 | 1 | 2 {
  const seconds = RUNNERS.get(first);
  if (seconds === undefined) return 0;
  return seconds.length === 0 ? 1 : seconds.includes(second ?? '') ? 2 : 0;
}

const RUNNERS: ReadonlyMap<string, readonly string[]> = new Map(Object.entries({
  npx: [], bunx: [], pnpx: [], npm: ['exec', 'x'], pnpm: ['dlx'], yarn: ['dlx'], bun: ['x'],
}));

/** The package among a runner's words: what `--package` names, else the first that is no flag. */
function packageIn(words: readonly string[]): string {
  const flag = words.findIndex((word) => /^(-p|--package)(=|$)/.test(word));
  const plain = words.findIndex((word) => !word.startsWith('-'));
  if (flag < 0 || (plain >= 0 && plain < flag)) return words[plain] ?? '';
  return /=(.*)$/.exec(words[flag] ?? '')?.[1] ?? words[flag + 1] ?? '';
}

const WRAPPERS: ReadonlySet<string> = new Set(['nice', 'ionice', 'setsid', 'nohup', 'stdbuf', 'timeout', 'time']);

function scriptOf(argv: readonly string[]): string | null {
  const module = argv.indexOf('-m');
  if (module > 0) return argv[module + 1] ?? null;
  return argv.slice(1).find((arg) => !arg.startsWith('-') && arg !== 'run') ?? null;
}

function bySpec(spec: string, profiles: readonly { readonly name: string; readonly agent: Signature }[]): ProfileMatch {
  const [, name = spec, version] = /^(@?[^@]+)(?:@(.+))?$/.exec(spec) ?? [];
  const found = profiles.find(({ agent }) => matchesAny(agent.packages, name));
  if (found === undefined) return { profile: 'generic', version: null, why: `no profile for the package ${name}` };
  return { profile: found.name, version: version !== undefined && /^\d/.test(version) ? version : null, why: `matched ${name}` };
}

function resolveProgram(word: string, { cwd, path }: ProfileRequest): Found {
  const candidates = word.includes('/') ? [resolve(cwd, word)] : path.split(delimiter).filter(isAbsolute).map((dir) => join(dir, word));
  const file = candidates.find(isProgram);
  if (file === undefined) return { real: null, pkg: null };
  const real = realpathSync(file);
  return { real, pkg: packageOf(real) };
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** The npm package that a file belongs to: the nearest package.json with a name. */
function packageOf(file: string): Found['pkg'] {
  for (let dir = dirname(file); dir !== '/'; dir = dirname(dir)) {
    try {
      const parsed = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')) as { name?: unknown; version?: unknown };
      if (typeof parsed.name === 'string') return { name: parsed.name, version: typeof parsed.version === 'string' ? parsed.version : null };
    } catch {
      // none here
    }
  }
  return null;
}

/** What lies in the project came with it: there a package.json may say any name. */
function isPlanted(real: string | null, { cwd, project, home }: ProfileRequest): boolean {
  return real !== null && [cwd, project].some((dir) => isBelow(real, dir) && !isBelow(home, dir));
}

/** Of what is in the project, a package that is installed there is the agent when it is called by the agent's name. */
function isInstalled(real: string | null, pkg: string, word: string, { executables }: Signature): boolean {
  return executables.includes(word) && real?.includes(`/node_modules/${pkg}/`) === true;
}

function liesAt(real: string, agent: Signature, { home, cwd }: ProfileRequest): boolean {
  const patterns = agent.paths.flatMap((text) => expandPattern(text, { home, project: cwd }, false));
  return pathMatcher(patterns.map((pattern) => [pattern, true]), 'exact').all(fromText(real)).length > 0;
}

function versionIn(path: string): string | null {
  return /(?:^|\/)v?(\d+\.\d+[\w.-]*)(?:\/|$)/.exec(path)?.[1] ?? null;
}

function isBelow(path: string, dir: string): boolean {
  return path === dir || path.startsWith(dir === '/' ? '/' : `${dir}/`);
}

function dropWhile(items: readonly string[], test: (item: string) => boolean): string[] {
  const from = items.findIndex((item) => !test(item));
  return from < 0 ? [] : items.slice(from);
}
