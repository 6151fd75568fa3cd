/**
 * Files that mostly hold data but have parts that run: only a change of such a
 * part counts. Pure; text in, reason out.
 */
export type ManifestRule = (text: string, base: string | null) => string | null;

/** Lines of pip's that name a place: options (`-r` and `-c` are files of the tree), addresses, paths. */
const REQUIRED_ELSEWHERE = /^[ \t]*(?:-(?!-?[rc](?:equirement|onstraint)?[ =\t])|[./]|[^#\n]*(?:@[ \t]*[./]|:\/\/))[^\n]*$/gm;

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
    .map((name) => [name, parts(`where ${name} takes packages from`, REQUIRED_ELSEWHERE)] as const),
  ['cargo.toml', parts('build settings in Cargo.toml', /^\s*(build|links)\s*=.*$|^\s*\[(.*\.)?build-dependencies\b.*\][^[]*/gm)],
  ['pyproject.toml', parts('build system in pyproject.toml', /^\s*\[build-system\][^[]*(\[(?!\s*tool)[^[]*)*/gm)],
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
    const value: unknown = JSON.parse(text.replace(/^\ufeff/, ''));
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
  return new Set([...text.matchAll(/\b[a-z][a-z+]*:\/\/(?:[^/@\s"']*@)?([^/:?#\s"']+)/gi)].map((found) => (found[1] ?? '').toLowerCase()));
}

/** Compares what the pattern finds, ignoring space. */
function parts(reason: string, pattern: RegExp): ManifestRule {
  const found = (text: string | null): string => (text?.match(pattern) ?? []).join('\n').replace(/\s+/g, ' ').trim();
  return (text, base) => (found(text) === found(base) ? null : reason);
}
