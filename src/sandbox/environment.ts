import type { BuiltEnvironment } from '../policy/index.js';

const SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const PRIVATE = ['/tmp', '/var/tmp', '/run', '/dev/shm'];

export interface EnvironmentOptions {
  /** what the policy makes of the user's environment */
  readonly built: BuiltEnvironment;
  readonly tag: string;
  readonly cwd: string;
  readonly account: { readonly name: string; readonly home: string; readonly shell: string };
}

/** `NAME=VALUE` for each variable that the agent gets: the policy's, and what no program does without. */
export function environmentOf({ built, tag, cwd, account }: EnvironmentOptions): readonly string[] {
  const result = new Map(Object.entries(built.env));
  const given = new Set(built.set);
  const defaults = { HOME: account.home, USER: account.name, LOGNAME: account.name, SHELL: account.shell, PATH: SEARCH_PATH };
  for (const [name, value] of Object.entries(defaults)) {
    if ((result.get(name) ?? '') === '' && !given.has(name)) result.set(name, value);
  }
  if (!given.has('PWD')) result.set('PWD', cwd);
  // What lies below a private directory does not exist inside.
  const temporary = result.get('TMPDIR');
  const isPrivate = temporary !== undefined && PRIVATE.some((dir) => temporary === dir || temporary.startsWith(`${dir}/`));
  if (isPrivate && !given.has('TMPDIR')) result.set('TMPDIR', '/tmp');
  result.set('AGENTFW', '1');
  result.set('AGENTFW_TAG', tag);
  return [...result].filter(([name]) => name !== '' && !name.includes('=')).map(([name, value]) => `${name}=${value}`);
}
