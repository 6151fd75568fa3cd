import { readdirSync, realpathSync } from 'node:fs';
import { delimiter, dirname, isAbsolute, join } from 'node:path';
import { canonHost } from './host.js';
import { addressesIn, isInNet } from './ip.js';
import { settingsText } from './settings-text.js';

/**
 * The set `registries`: hosts of this machine's own package manager
 * configuration. The product names none itself; a tool's own default is read
 * from the tool. Files of the project play no part: the agent may have written
 * them.
 */
export interface RegistryRequest {
  readonly home: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `/`; another root in tests */
  readonly root?: string;
}

/** Hosts, sorted, each once: those of npm, pip, cargo, Go, gem and apt, as their files and variables have them here. What can't be read names none. */
export function machineRegistries({ env, ...rest }: RegistryRequest): string[] {
  const request: RegistryRequest = { ...rest, env: withoutExports(env) };
  const root = request.root ?? '/';
  const found = [...npmUrls(request, root), ...pipUrls(request, root), ...cargoUrls(request), ...goUrls(request), ...gemUrls(request, root), ...aptUrls(root)];
  return [...new Set(found.flatMap(hostOf))].sort();
}

/**
 * What npm and its like start (`npx agentfw`, a script of package.json) gets their whole configuration
 * in variables, the project's own `.npmrc` included. Spelled in capitals they are the user's.
 */
function withoutExports(env: RegistryRequest['env']): RegistryRequest['env'] {
  if (env['npm_execpath'] === undefined && env['npm_config_user_agent'] === undefined) return env;
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('npm_config_')));
}

function npmUrls({ home, env }: RegistryRequest, root: string): string[] {
  const program = realOf(env['PATH'], 'npm');
  const files = [
    ...filesIn(env, 'npm_config_userconfig', 'NPM_CONFIG_USERCONFIG', 'npm_config_globalconfig', 'NPM_CONFIG_GLOBALCONFIG'),
    ...['.npmrc', '.yarnrc', '.yarnrc.yml', '.bunfig.toml'].map((name) => join(home, name)), join(configDir(home, env), 'pnpm/rc'),
    ...['etc/npmrc', 'usr/etc/npmrc', 'usr/local/etc/npmrc'].map((name) => join(root, name)),
  ];
  const named = [...valuesOf(env, /^npm_config_(@[^:]+:)?registry$|^yarn_npm_registry_server$/i), ...files.flatMap((file) => urlsOf(file, /registry|npmRegistryServer/i))];
  if (program === null) return named;
  const text = settingsText(join(dirname(program), '../node_modules/@npmcli/config/lib/definitions/definitions.js'));
  const fallback = /define\('registry'[\s\S]{0,400}?default: ['"](https:[^'"]+)/.exec(text)?.[1] ?? /new Definition\('registry', \{\s*default: ['"`](https:[^'"`]+)/.exec(text)?.[1];
  return [...named, fallback ?? ''];
}

/** pip, uv and poetry. */
function pipUrls({ home, env }: RegistryRequest, root: string): string[] {
  const config = configDir(home, env);
  const ini = [...filesIn(env, 'PIP_CONFIG_FILE'), join(config, 'pip/pip.conf'), join(home, '.pip/pip.conf'), join(root, 'etc/pip.conf'), join(root, 'etc/xdg/pip/pip.conf')];
  const toml = [...filesIn(env, 'UV_CONFIG_FILE'), join(config, 'uv/uv.toml'), join(root, 'etc/uv/uv.toml'), join(config, 'pypoetry/config.toml')];
  const own = [
    ...valuesOf(env, /^PIP_((EXTRA_)?INDEX_URL|FIND_LINKS)$|^UV_((EXTRA_)?INDEX_URL|(DEFAULT_)?INDEX|FIND_LINKS)$/),
    ...ini.flatMap((file) => urlsOf(file, /index|url|find-links/i, true)), ...toml.flatMap((file) => urlsOf(file, /index|url|find-links/i)),
  ];
  const models = listOf(join(root, 'usr/lib')).filter((name) => /^python3/.test(name)).map((name) => join(root, 'usr/lib', name, 'dist-packages/pip/_internal/models/index.py'));
  const defaults = models.flatMap((file) => [...settingsText(file).matchAll(/PackageIndex\(\s*"(https:[^"]+)"(?:,\s*file_storage_domain="([^"]+)")?/g)]);
  return [...own, ...defaults.filter((match) => !match[1]?.includes('test')).flatMap((match) => [match[1] ?? '', match[2] === undefined ? '' : `https://${match[2]}`])];
}

function cargoUrls({ home, env }: RegistryRequest): string[] {
  const dir = env['CARGO_HOME'] ?? join(home, '.cargo');
  return [...valuesOf(env, /^CARGO_REGISTRIES_\w+_INDEX$/), ...['config.toml', 'config'].flatMap((name) => urlsOf(join(dir, name), /index|registry|replace-with/i))];
}

function goUrls({ home, env }: RegistryRequest): string[] {
  const program = realOf(env['PATH'], 'go');
  const texts = [filesIn(env, 'GOENV')[0] ?? join(configDir(home, env), 'go/env'), ...(program === null ? [] : [join(dirname(program), '../go.env')])].map(settingsText);
  const setting = (name: string): string => env[name] ?? texts.map((text) => new RegExp(`^${name}=(.*)$`, 'm').exec(text)?.[1]).find((value) => value !== undefined) ?? '';
  return [setting('GOPROXY'), setting('GOSUMDB')].flatMap((value) => value.split(/[,|]/)).map((word) => (/^[a-z0-9.-]+\.[a-z]+$/.test(word) ? `https://${word}` : word));
}

function gemUrls({ home, env }: RegistryRequest, root: string): string[] {
  const files = [...filesIn(env, 'GEMRC'), join(home, '.gemrc'), join(configDir(home, env), 'gem/gemrc'), join(root, 'etc/gemrc')];
  return [...valuesOf(env, /^BUNDLE_MIRROR__/), ...files.flatMap((file) => urlsOf(file, /source|^\s*-/)), ...urlsOf(join(home, '.bundle/config'), /BUNDLE_MIRROR__/)];
}

function aptUrls(root: string): string[] {
  const dir = join(root, 'etc/apt/sources.list.d');
  const files = [join(root, 'etc/apt/sources.list'), ...listOf(dir).filter((name) => /\.(list|sources)$/.test(name)).map((name) => join(dir, name))];
  return files.flatMap((file) => urlsOf(file, /^\s*(deb|URIs)/, true));
}

/** URLs in the lines of a file that a word marks; `continued`: and in the indented ones below them. */
function urlsOf(file: string, marked: RegExp, continued = false): string[] {
  let on = false;
  const lines = settingsText(file).split('\n').filter((line) => {
    if (/^\s*[#;]/.test(line)) return false;
    on = marked.test(line) || (continued && on && /^\s+\S/.test(line));
    return on;
  });
  return lines.flatMap((line) => line.match(/(?:sparse\+)?https?:\/\/(?:[^\s"'\],/@]*@)?(?:\[[\da-f:.]+\])?[^\s"'\],]*/gi) ?? []);
}

/** Of variables, which may hold several. */
function valuesOf(env: RegistryRequest['env'], name: RegExp): string[] {
  return Object.entries(env).filter(([key]) => name.test(key)).flatMap(([, value]) => (value ?? '').split(/[\s,]+/)).map((word) => word.replace(/^[\w-]+=(?=https?:)/, ''));
}

/** Files that variables name. */
function filesIn(env: RegistryRequest['env'], ...names: readonly string[]): string[] {
  return names.map((name) => env[name] ?? '').filter(isAbsolute);
}

function configDir(home: string, env: RegistryRequest['env']): string {
  return filesIn(env, 'XDG_CONFIG_HOME')[0] ?? join(home, '.config');
}

function hostOf(url: string): string[] {
  try {
    const { hostname, port, protocol } = new URL(url.replace(/^sparse\+/, ''));
    const host = canonHost(hostname);
    if (!/^https?:$/.test(protocol) || host.kind === 'bad') return [];
    // A sandbox has a loopback of its own (`--connect-host` leads to the host's), and a single name is no public host.
    if (host.kind === 'ip' ? isLoopback(host.ip) : !hostname.includes('.')) return [];
    return [port === '' ? hostname : `${hostname}:${port}`];
  } catch {
    return [];
  }
}

function isLoopback(ip: string): boolean {
  return addressesIn(ip).some((one) => one === '::1' || isInNet(one, '127.0.0.0/8'));
}

function listOf(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

function realOf(path: string | undefined, name: string): string | null {
  for (const dir of (path ?? '').split(delimiter).filter(isAbsolute)) {
    try {
      return realpathSync(join(dir, name));
    } catch {
      // not in this one
    }
  }
  return null;
}
