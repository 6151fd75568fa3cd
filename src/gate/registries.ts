import { gateHost } from './names.js';

export interface RegistryInput {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  /** text of a file, null when it can't be read */
  readonly read: (path: string) => string | null;
  /** names in a directory, [] when there is none */
  readonly list: (path: string) => readonly string[];
}

/**
 * The hosts of this machine's own package managers: what their user and
 * system configuration and the environment name, and where nothing does, the
 * default that the installed program itself carries. Files of the project are
 * not asked: an agent could have written them.
 */
export function registryHosts(input: RegistryInput): string[] {
  const urls = [...npm(input), ...pip(input), ...cargo(input), ...apt(input), ...go(input)];
  const hosts = urls.flatMap((url) => {
    const host = hostOf(url);
    return host === null ? [] : [host];
  });
  return [...new Set(hosts)].sort();
}

function hostOf(url: string): string | null {
  try {
    const { protocol, hostname } = new URL(url.replace(/^sparse\+/, '').replace(/^registry\+/, ''));
    if (protocol !== 'https:' && protocol !== 'http:') return null;
    const host = gateHost(hostname);
    return host.kind === 'name' ? host.name : host.kind === 'ip' ? host.ip : null;
  } catch {
    return null;
  }
}

const URL_IN = /https?:\/\/[^\s"'<>\\,\]}]+/g;

function urlsIn(text: string | null): string[] {
  return text?.match(URL_IN) ?? [];
}

/** URLs on lines whose key fits; comments are no lines. */
function keyed(text: string | null, key: RegExp): string[] {
  return (text ?? '').split('\n').filter((line) => !/^\s*[#;]/.test(line) && key.test(line)).flatMap(urlsIn);
}

function fromEnv({ env }: RegistryInput, name: RegExp): string[] {
  return Object.entries(env).filter(([key]) => name.test(key)).flatMap(([, value]) => urlsIn(value ?? null));
}

function configHome({ env, home }: RegistryInput): string {
  return env['XDG_CONFIG_HOME'] ?? `${home}/.config`;
}

function npm(input: RegistryInput): string[] {
  const { env, home, read } = input;
  const files = [env['NPM_CONFIG_USERCONFIG'] ?? env['npm_config_userconfig'] ?? `${home}/.npmrc`, env['NPM_CONFIG_GLOBALCONFIG'] ?? '/etc/npmrc', '/usr/etc/npmrc', '/usr/local/etc/npmrc', `${configHome(input)}/pnpm/rc`, `${home}/.yarnrc`];
  const own = files.flatMap((file) => keyed(read(file), /^\s*(?:@[^:=\s]+:)?registry["']?[\s=:]/));
  const yarn = keyed(read(`${home}/.yarnrc.yml`), /npm(?:Registry|Publish)Server|npmRegistries/);
  const given = [...own, ...yarn, ...fromEnv(input, /^(?:npm_config_(?:.*:)?registry|yarn_npm_registry_server|yarn_registry)$/i)];
  return given.length > 0 ? given : npmDefault(input);
}

/** npm tells its default in its own source. */
function npmDefault({ env, read }: RegistryInput): string[] {
  const roots = (env['PATH'] ?? '').split(':').filter((dir) => dir.startsWith('/')).map((dir) => dir.replace(/\/[^/]*\/?$/, ''));
  for (const root of new Set(roots)) {
    const text = read(`${root}/lib/node_modules/npm/node_modules/@npmcli/config/lib/definitions/definitions.js`);
    const found = text === null ? null : /registry[\s\S]{0,80}?default:\s*['"](https?:\/\/[^'"]+)['"]/.exec(text);
    if (found?.[1] !== undefined) return [found[1]];
  }
  return [];
}

function pip(input: RegistryInput): string[] {
  const { env, home, read } = input;
  const config = configHome(input);
  const files = [env['PIP_CONFIG_FILE'], '/etc/pip.conf', '/etc/xdg/pip/pip.conf', `${config}/pip/pip.conf`, `${home}/.pip/pip.conf`, `${config}/uv/uv.toml`, '/etc/uv/uv.toml', `${config}/pypoetry/config.toml`];
  const key = /^\s*(?:index-url|extra-index-url|default-index|index|url|find-links)\b|^\s+https?:/;
  const given = [...files.flatMap((file) => (file === undefined ? [] : keyed(read(file), key))), ...fromEnv(input, /^(?:PIP_(?:EXTRA_)?INDEX_URL|PIP_FIND_LINKS|UV_(?:DEFAULT_|EXTRA_)?INDEX(?:_URL)?)$/)];
  return given.length > 0 ? given : pipDefault(input);
}

/** So does pip, its file host included. */
function pipDefault({ env, home, read, list }: RegistryInput): string[] {
  const roots = ['/usr/lib', '/usr/local/lib', ...(env['PATH'] ?? '').split(':').filter((dir) => dir.startsWith('/')).map((dir) => dir.replace(/\/[^/]*\/?$/, '/lib')), ...list(`${home}/.pyenv/versions`).map((version) => `${home}/.pyenv/versions/${version}/lib`)];
  for (const root of new Set(roots)) {
    for (const python of list(root).filter((name) => /^python3(?:\.\d+)?$/.test(name))) {
      for (const packages of ['site-packages', 'dist-packages']) {
        const text = read(`${root}/${python}/${packages}/pip/_internal/models/index.py`);
        const found = text === null ? null : /^PyPI\s*=\s*PackageIndex\(\s*"(https:[^"]+)",\s*file_storage_domain="([^"]+)"/m.exec(text);
        if (found?.[1] !== undefined) return [found[1], `https://${found[2] ?? ''}/`];
      }
    }
  }
  return [];
}

function cargo(input: RegistryInput): string[] {
  const { env, home, read } = input;
  const root = env['CARGO_HOME'] ?? `${home}/.cargo`;
  const files = [`${root}/config.toml`, `${root}/config`];
  return [...files.flatMap((file) => keyed(read(file), /^\s*(?:registry|index|replace-with|protocol)\s*=/)), ...fromEnv(input, /^CARGO_REGISTR(?:Y|IES_.*)_(?:INDEX|DEFAULT)$|^CARGO_SOURCE_.*_REGISTRY$/)];
}

function apt({ read, list }: RegistryInput): string[] {
  const dir = '/etc/apt/sources.list.d';
  const lists = ['/etc/apt/sources.list', ...list(dir).filter((name) => name.endsWith('.list')).map((name) => `${dir}/${name}`)];
  const stanzas = list(dir).filter((name) => name.endsWith('.sources')).map((name) => `${dir}/${name}`);
  return [...lists.flatMap((file) => keyed(read(file), /^\s*deb(?:-src)?\s/)), ...stanzas.flatMap((file) => keyed(read(file), /^URIs:|^\s+https?:/))];
}

function go(input: RegistryInput): string[] {
  const files = [input.env['GOENV'], `${configHome(input)}/go/env`];
  return [...files.flatMap((file) => (file === undefined ? [] : keyed(input.read(file), /^GO(?:PROXY|SUMDB)=/))), ...fromEnv(input, /^GO(?:PROXY|SUMDB)$/)];
}
