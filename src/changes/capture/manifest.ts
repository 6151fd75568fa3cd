import { parse as parseToml } from 'smol-toml';
import { parseJson } from '../../json.js';

/**
 * Files that mostly hold data but have parts that run: only a change of such a
 * part counts. Pure; text in, reason out.
 */
export type ManifestRule = (text: string, base: string | null) => string | null;

/** A line of pip's that names a place: an option (`-r` and `-c` are files of the tree), an address, a path. */
const REQUIRED_ELSEWHERE = /^[ \t]*(?:-(?!-?[rc](?:equirement|onstraint)?[ =\t])|[./]|[^#]*(?:@[ \t]*[./]|:\/\/))/;

/** At any depth of Cargo.toml: what is built by programs of its own, in each spelling that cargo takes. */
const BUILT = new Set(['build', 'links', 'metabuild', 'build-dependencies', 'build_dependencies', 'proc-macro', 'proc_macro', 'plugin']);

/** By folded file name. */
export const MANIFESTS: ReadonlyMap<string, ManifestRule> = new Map<string, ManifestRule>([
  ['package.json', packageJson],
  ['package-lock.json', newSources],
  ['npm-shrinkwrap.json', newSources],
  ['yarn.lock', newSources],
  ['pnpm-lock.yaml', newSources],
  ['bun.lock', newSources],
  ['cargo.lock', newSources],
  ['poetry.lock', newSources],
  ['uv.lock', newSources],
  ['composer.lock', newSources],
  ['gemfile.lock', newSources],
  ...['requirements.txt', 'constraints.txt', 'requirements-dev.txt', 'requirements_dev.txt', 'dev-requirements.txt', 'requirements-test.txt', 'test-requirements.txt']
    .map((name) => [name, requirements(name)] as const),
  ['cargo.toml', tomlParts('Cargo.toml', 'build settings', (document) => valuesOf(document, BUILT))],
  ['pyproject.toml', tomlParts('pyproject.toml', 'build system', (document) => [document['build-system'], ...Object.values(tableOf(document['tool'])).map((tool) => tableOf(tool)['build'])])],
]);

/** Beside the scripts: what hooks, managers and tools that read package.json take commands and modules from. */
const RUNNING = [
  'scripts', 'bin', 'packageManager', 'devEngines', 'husky', 'lint-staged', 'nano-staged', 'simple-git-hooks', 'gitHooks', 'pre-commit', 'pre-push', 'config',
  'pnpm', 'trustedDependencies', 'allowScripts', 'dependenciesMeta', 'gypfile', 'overrides', 'resolutions',
  'babel', 'jest', 'ava', 'mocha', 'nyc', 'eslintConfig', 'stylelint', 'prettier', 'commitlint', 'release', 'release-it',
] as const;

function packageJson(text: string, base: string | null): string | null {
  const [fresh, old] = [jsonObject(text), base === null ? {} : jsonObject(base)];
  if (fresh === null) return "package.json that can't be read";
  for (const key of RUNNING) {
    if (JSON.stringify(fresh[key]) !== JSON.stringify(old?.[key])) return `${key} in package.json`;
  }
  return null;
}

function jsonObject(text: string): Record<string, unknown> | null {
  try {
    const value = parseJson(text.replace(/^\ufeff/, ''));
    return typeof value === 'object' && value !== null ? { ...value } : null;
  } catch {
    return null;
  }
}

/** A lockfile that fetches from a host it did not fetch from before. */
function newSources(text: string, base: string | null): string | null {
  const known = hostsIn(base ?? '');
  // A new lockfile has only new hosts; that it is there is said by the package files.
  if (base === null) return null;
  for (const host of hostsIn(text)) if (!known.has(host)) return `lockfile fetches from ${host}`;
  return null;
}

function hostsIn(text: string): Set<string> {
  return new Set([...text.matchAll(/\b[a-z][a-z+]{0,30}:\/\/(?:[^/@\s"']*@)?([^/:?#\s"']+)/gi)].map((found) => (found[1] ?? '').toLowerCase()));
}

/** Compares the lines that name a place, ignoring space. */
function requirements(file: string): ManifestRule {
  const found = (text: string | null): string => (text ?? '').split(/\r\n?|\n/).filter((line) => REQUIRED_ELSEWHERE.test(line)).join('\n').replace(/\s+/g, ' ').trim();
  return (text, base) => (found(text) === found(base) ? null : `where ${file} takes packages from`);
}

/** Compares some values of a TOML document. An expression would miss quoted and dotted keys, and inline tables. */
function tomlParts(file: string, what: string, pick: (document: Table) => readonly unknown[]): ManifestRule {
  const found = (text: string): string | null => {
    try {
      return JSON.stringify(pick(parseToml(text)));
    } catch {
      return null;
    }
  };
  return (text, base) => {
    const fresh = found(text);
    if (fresh === null) return `${file} that can't be read`;
    return fresh === found(base ?? '') ? null : `${what} in ${file}`;
  };
}

type Table = Readonly<Record<string, unknown>>;

function tableOf(value: unknown): Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

/** What stands under these keys, at any depth. */
function valuesOf(value: unknown, keys: ReadonlySet<string>): unknown[] {
  if (Array.isArray(value)) return value.flatMap((one) => valuesOf(one, keys));
  return Object.entries(tableOf(value)).flatMap(([key, one]) => (keys.has(key) ? [[key, one]] : valuesOf(one, keys)));
}
