import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { delimiter, dirname, isAbsolute, join } from 'node:path';
import { canonHost } from './host.js';
import { addressesIn, isInNet } from './ip.js';

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

export function machineRegistries(request: RegistryRequest): string[] {
  const root = request.root ?? '/';
  const found = [...npmUrls(request, root), ...pipUrls(request, root), ...cargoUrls(request), ...goUrls(request), ...aptUrls(root)];
  return [...new Set(found.flatMap(hostOf))].sort();
}

function npmUrls({ home, env }: RegistryRequest, root: string): string[] {
  const files = [join(home, '.npmrc'), join(home, '.yarnrc'), join(home, '.yarnrc.yml'), join(home, '.bunfig.toml'), join(root, 'etc/npmrc'), join(root, 'usr/etc/npmrc')];
  const own = [env['npm_config_registry'], env['NPM_CONFIG_REGISTRY'], ...files.flatMap((file) => urlsOf(file, /registry|npmRegistryServer/i))];
  const program = realOf(env['PATH'], 'npm');
  const named = own.filter((url) => url !== undefined && url !== '');
  if (program === null) return named as string[];
  const text = textOf(join(dirname(program), '../node_modules/@npmcli/config/lib/definitions/definitions.js'));
  const fallback = /define\('registry'[\s\S]{0,400}?default: ['"](https:[^'"]+)/.exec(text)?.[1] ?? /new Definition\('registry', \{\s*default: ['"`](https:[^'"`]+)/.exec(text)?.[1];
  return [...named, fallback ?? ''] as string[];
}

function pipUrls({ home, env }: RegistryRequest, root: string): string[] {
  const files = [join(home, '.config/pip/pip.conf'), join(home, '.pip/pip.conf'), join(root, 'etc/pip.conf'), join(home, '.config/uv/uv.toml')];
  const own = [env['PIP_INDEX_URL'], env['PIP_EXTRA_INDEX_URL'], env['UV_INDEX_URL'], env['UV_DEFAULT_INDEX'], ...files.flatMap((file) => urlsOf(file, /index|url/i))];
  const models = listOf(join(root, 'usr/lib')).filter((name) => /^python3/.test(name)).map((name) => join(root, 'usr/lib', name, 'dist-packages/pip/_internal/models/index.py'));
  const defaults = models.flatMap((file) => [...textOf(file).matchAll(/PackageIndex\(\s*"(https:[^"]+)"(?:,\s*file_storage_domain="([^"]+)")?/g)]);
  return [...own, ...defaults.filter((match) => !match[1]?.includes('test')).flatMap((match) => [match[1], match[2] === undefined ? '' : `https://${match[2]}`])].filter((url) => url !== undefined);
}

function cargoUrls({ home, env }: RegistryRequest): string[] {
  const dir = env['CARGO_HOME'] ?? join(home, '.cargo');
  return ['config.toml', 'config'].flatMap((name) => urlsOf(join(dir, name), /index|registry|replace-with/i));
}

function goUrls({ env }: RegistryRequest): string[] {
  const program = realOf(env['PATH'], 'go');
  const shipped = program === null ? '' : textOf(join(dirname(program), '../go.env'));
  return [env['GOPROXY'] ?? /^GOPROXY=(.*)$/m.exec(shipped)?.[1] ?? '', env['GOSUMDB'] ?? /^GOSUMDB=(.*)$/m.exec(shipped)?.[1] ?? '']
    .flatMap((value) => value.split(/[,|]/)).map((word) => (/^[a-z0-9.-]+\.[a-z]+$/.test(word) ? `https://${word}` : word));
}

function aptUrls(root: string): string[] {
  const dir = join(root, 'etc/apt/sources.list.d');
  const files = [join(root, 'etc/apt/sources.list'), ...listOf(dir).filter((name) => /\.(list|sources)$/.test(name)).map((name) => join(dir, name))];
  return files.flatMap((file) => urlsOf(file, /^\s*(deb|URIs)/));
}

/** URLs in the lines of a file that a word marks. */
function urlsOf(file: string, line: RegExp): string[] {
  return textOf(file).split('\n').filter((one) => !/^\s*[#;]/.test(one) && line.test(one)).flatMap((one) => one.match(/(?:sparse\+)?https?:\/\/(?:[^\s"'\],/@]*@)?(?:\[[\da-f:.]+\])?[^\s"'\],]*/gi) ?? []);
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

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // not configured here
  }
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
