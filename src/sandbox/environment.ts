import type { BuiltEnvironment } from '../policy/index.js';

const SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const PRIVATE = ['/tmp', '/var/tmp', '/run', '/dev/shm'];

/** What the agent's environment is made of. */
export interface EnvironmentOptions {
  /** what the policy makes of the user's environment */
  readonly built: BuiltEnvironment;
  readonly tag: string;
  /** what `PWD` says: a name of the working directory */
  readonly cwd: string;
  /** where the home directory lies, symlinks resolved */
  readonly realHome: string;
  readonly account: { readonly name: string; readonly home: string; readonly shell: string };
}

/**
 * `git clone /path` makes hard links and refuses them when their inode number
 * is not the file's. The view gives a new name of a file of the base another
 * number (driver/overlay.c), so such a clone goes through git's own transport: it
 * copies either way. What is stored as the remote's URL stays as it was typed.
 */
const CLONE_BY_TRANSPORT = { key: 'url.file:///.insteadOf', value: '/' };

/** `NAME=VALUE` for each variable that the agent gets: the policy's, and what no program does without. */
export function environmentOf({ built, tag, cwd, realHome, account }: EnvironmentOptions): readonly string[] {
  const result = new Map(Object.entries(built.env));
  const given = new Set(built.set);
  const defaults = { HOME: account.home, USER: account.name, LOGNAME: account.name, SHELL: account.shell, PATH: SEARCH_PATH };
  for (const [name, value] of Object.entries(defaults)) {
    if ((result.get(name) ?? '') === '' && !given.has(name)) result.set(name, value);
  }
  if (!given.has('PWD')) result.set('PWD', cwd);
  // What lies below a private directory does not exist inside, a symlink to the home directory neither.
  if (isPrivate(result.get('TMPDIR')) && !given.has('TMPDIR')) result.set('TMPDIR', '/tmp');
  if (isPrivate(result.get('HOME')) && !given.has('HOME')) result.set('HOME', realHome);
  addGitConfig(result, CLONE_BY_TRANSPORT);
  result.set('AGENTFW', '1');
  result.set('AGENTFW_TAG', tag);
  return [...result].filter(([name]) => name !== '' && !name.includes('=')).map(([name, value]) => `${name}=${value}`);
}

/** Below a directory that the sandbox has of its own. */
export function isPrivate(path: string | undefined): boolean {
  return path !== undefined && PRIVATE.some((dir) => path === dir || path.startsWith(`${dir}/`));
}

/** One more setting after those that are there; a count that git would refuse is left for it to say so. */
function addGitConfig(env: Map<string, string>, { key, value }: { readonly key: string; readonly value: string }): void {
  const count = env.get('GIT_CONFIG_COUNT') ?? '0';
  if (!/^\d{1,4}$/.test(count)) return;
  env.set('GIT_CONFIG_COUNT', String(Number(count) + 1));
  env.set(`GIT_CONFIG_KEY_${Number(count)}`, key);
  env.set(`GIT_CONFIG_VALUE_${Number(count)}`, value);
}
