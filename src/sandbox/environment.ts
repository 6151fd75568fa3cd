/**
 * The agent's environment. For now everything passes but what makes programs
 * load code of somebody else's choosing or leads to the user's agents,
 * desktop and daemons; a policy will turn this into an allow-list.
 */
const STRIPPED =
  'LD_* DYLD_* BASH_ENV ENV CDPATH GLOBIGNORE BASH_FUNC_* PROMPT_COMMAND IFS PS4 PYTHONSTARTUP PYTHONPATH PYTHONHOME ' +
  'NODE_OPTIONS NODE_PATH PERL5OPT PERL5LIB RUBYOPT RUBYLIB GEM_* JAVA_TOOL_OPTIONS _JAVA_OPTIONS JDK_JAVA_OPTIONS ' +
  'DOTNET_STARTUP_HOOKS GOFLAGS GIT_* SSH_AUTH_SOCK SSH_AGENT_PID GPG_AGENT_INFO DBUS_* DISPLAY WAYLAND_DISPLAY ' +
  'XAUTHORITY VSCODE_* NVIM KITTY_* WEZTERM_* SWAYSOCK TMUX TMUX_PANE STY SUDO_* DOCKER_HOST KUBECONFIG NO_PROXY AGENTFW*';

/** Who wrote a commit is no hook. */
const KEPT = /^GIT_(AUTHOR|COMMITTER)_(NAME|EMAIL|DATE)$/;

const PATTERN = new RegExp(
  `^(${STRIPPED.split(' ')
    .map((word) => word.replace('*', '.*'))
    .join('|')})$`,
  's',
);

const SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const PRIVATE = ['/tmp', '/var/tmp', '/run', '/dev/shm'];

export interface EnvironmentOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `--env NAME` lets one pass, `--env NAME=VALUE` sets one */
  readonly given: readonly { readonly name: string; readonly value: string | null }[];
  readonly tag: string;
  readonly cwd: string;
  readonly account: { readonly name: string; readonly home: string; readonly shell: string };
}

/** `NAME=VALUE` for each variable that the agent gets. */
export function environmentOf(options: EnvironmentOptions): readonly string[] {
  const { env, given, account } = options;
  const named = new Set(given.map((entry) => entry.name));
  const result = new Map<string, string>();
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && (named.has(name) || KEPT.test(name) || !PATTERN.test(name))) result.set(name, value);
  }
  const defaults = { HOME: account.home, USER: account.name, LOGNAME: account.name, SHELL: account.shell, PATH: SEARCH_PATH };
  for (const [name, value] of Object.entries(defaults)) {
    if ((result.get(name) ?? '') === '') result.set(name, value);
  }
  result.set('PWD', options.cwd);
  // What lies below a private directory does not exist inside.
  const temporary = result.get('TMPDIR');
  if (temporary !== undefined && PRIVATE.some((dir) => temporary === dir || temporary.startsWith(`${dir}/`))) result.set('TMPDIR', '/tmp');
  for (const { name, value } of given) {
    if (value !== null) result.set(name, value);
  }
  result.set('AGENTFW', '1');
  result.set('AGENTFW_TAG', options.tag);
  return [...result].filter(([name]) => name !== '' && !name.includes('=')).map(([name, value]) => `${name}=${value}`);
}
