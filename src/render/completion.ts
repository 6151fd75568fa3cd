/** Scripts that complete command lines in a shell. Pure: the commands in, text out. */

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
/** Shells that completion is printed for. */
export type Shell = (typeof SHELLS)[number];

/** A command as the manifest has it. */
export interface Described {
  /** its words: `commit`, `policy check` */
  readonly id: string;
  readonly summary: string;
  readonly flags: readonly { readonly name: string; readonly char: string | null; readonly takesValue: boolean; readonly options: readonly string[]; readonly summary: string }[];
}

/** Commands whose first word is no sandbox. */
const WITHOUT_TAG = /^(run|list|approvals|approve|deny|doctor|selftest|recover|undo|completion|policy .*)$/;
/** Sandboxes are directories of the store: no program has to be started to list them. */
const TAGS = 'ls "${AGENTFW_STATE_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/agentfw}/sandboxes" 2>/dev/null';

/** A script for the shell to source. */
export function completionFor(shell: Shell, commands: readonly Described[]): string {
  return shell === 'fish' ? fish(commands) : shell === 'zsh' ? zsh(commands) : bash(commands);
}

function bash(commands: readonly Described[]): string {
  return `# bash completion for agentfw: eval "$(agentfw completion bash)"\n${script(commands)}`;
}

function zsh(commands: readonly Described[]): string {
  return `# zsh completion for agentfw: eval "$(agentfw completion zsh)"
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
autoload -Uz bashcompinit && bashcompinit
${script(commands)}`;
}

/** Ends the function from the program's name on: the words are its own. */
const PROGRAMS = `  case "$id" in
    run|exec)
      i=$at
      while [ "$i" -lt "$COMP_CWORD" ]; do
        case " $values " in
          *" \${COMP_WORDS[i]} "*) i=$((i + 1));;
          *)
            case "\${COMP_WORDS[i]}" in
              --) [ "$((i + 1))" = "$COMP_CWORD" ] && COMPREPLY=($(compgen -c -- "$cur")); return;;
              -*) ;;
              *) [ "$id" = exec ] && [ "$((i + 1))" = "$COMP_CWORD" ] && COMPREPLY=(--); return;;
            esac;;
        esac
        i=$((i + 1))
      done;;
  esac
`;

/** One function for bash and for zsh's emulation of its completion. Where it offers nothing, file names are. */
function script(commands: readonly Described[]): string {
  const topics = new Map<string, string[]>();
  for (const [topic, word] of commands.map(({ id }) => id.split(' '))) {
    if (topic !== undefined && word !== undefined) topics.set(topic, [...(topics.get(topic) ?? []), word]);
  }
  const firsts = [...new Set(commands.map(({ id }) => id.split(' ')[0] ?? ''))];
  return `_agentfw() {
  local cur prev words='' flags='' values='' at=2 i
  cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}"
  COMPREPLY=()
  if [ "$COMP_CWORD" = 1 ]; then
    COMPREPLY=($(compgen -W '${[...firsts, 'help', '--help', '--version'].join(' ')}' -- "$cur"))
    return
  fi
  local id="\${COMP_WORDS[1]}"
  case "$id" in
${[...topics].map(([topic, words]) => `    ${topic}) words='${words.join(' ')}' at=3;;`).join('\n')}
    help) words='${firsts.join(' ')}' at=3;;
    completion) words='${SHELLS.join(' ')}' at=3;;
  esac
  if [ "$at" = 3 ] && [ "$COMP_CWORD" = 2 ]; then
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
    return
  fi
  [ "$at" = 3 ] && id="$id \${COMP_WORDS[2]}"
  words=''
  case "$id" in
${commands.map((command) => `    '${command.id}') ${assignments(command)};;`).join('\n')}
  esac
${PROGRAMS}  case "$prev" in
    --tag|--in) COMPREPLY=($(compgen -W "$(${TAGS})" -- "$cur")); return;;
${chosen(commands).map(([name, options]) => `    --${name}) COMPREPLY=($(compgen -W '${options.join(' ')}' -- "$cur")); return;;`).join('\n')}
  esac
  case " $values " in *" $prev "*) return;; esac
  case "$cur" in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$cur")); return;;
  esac
  if [ "$id" = run ]; then
    COMPREPLY=($(compgen -c -- "$cur"))
  elif [ "$words" = tag ] && [ "$COMP_CWORD" = "$at" ]; then
    COMPREPLY=($(compgen -W "$(${TAGS})" -- "$cur"))
  fi
}
complete -o default -o bashdefault -F _agentfw agentfw
`;
}

/** Flags that take one of a few words; where two commands have one of a name, the words of both. */
function chosen(commands: readonly Described[]): readonly (readonly [string, readonly string[]])[] {
  const found = new Map<string, Set<string>>();
  for (const { name, options } of commands.flatMap(({ flags }) => flags)) {
    if (options.length > 0) found.set(name, new Set([...(found.get(name) ?? []), ...options]));
  }
  return [...found].map(([name, options]) => [name, [...options]]);
}

function assignments({ id, flags }: Described): string {
  const spellings = (some: Described['flags']): string => some.flatMap(({ name, char }) => (char === null ? [`--${name}`] : [`--${name}`, `-${char}`])).join(' ');
  const values = spellings(flags.filter(({ takesValue }) => takesValue));
  return `flags='${spellings(flags)} --help' values='${values}'${WITHOUT_TAG.test(id) ? '' : ' words=tag'}`;
}

function fish(commands: readonly Described[]): string {
  const quote = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`;
  const lines = commands.flatMap(({ id, summary, flags }) => {
    const [first = '', second] = id.split(' ');
    const seen = second === undefined ? `__fish_seen_subcommand_from ${first}` : `__fish_seen_subcommand_from ${first}; and __fish_seen_subcommand_from ${second}`;
    return [
      second === undefined
        ? `complete -c agentfw -n __fish_use_subcommand -f -a ${first} -d ${quote(summary)}`
        : `complete -c agentfw -n '__fish_seen_subcommand_from ${first}; and test (count (commandline -opc)) -eq 2' -f -a ${second} -d ${quote(summary)}`,
      ...(WITHOUT_TAG.test(id) ? [] : [`complete -c agentfw -n '${seen}; and test (count (commandline -opc)) -eq 2' -a '(__agentfw_tags)'`]),
      ...flags.map(({ name, char, takesValue, options, summary: what }) =>
        `complete -c agentfw -n '${seen}' -l ${name}${char === null ? '' : ` -s ${char}`}${takesValue ? ' -r' : ''}${options.length > 0 ? ` -f -a '${options.join(' ')}'` : ''}${name === 'tag' || name === 'in' ? " -f -a '(__agentfw_tags)'" : ''} -d ${quote(what)}`),
    ];
  });
  const topics = [...new Set(commands.map(({ id }) => id.split(' ')).filter((words) => words.length > 1).map(([topic = '']) => topic))];
  return `# fish completion for agentfw: agentfw completion fish | source
function __agentfw_tags
  set -l state $AGENTFW_STATE_DIR
  test -n "$state"; or set state (test -n "$XDG_STATE_HOME"; and echo $XDG_STATE_HOME; or echo ~/.local/state)/agentfw
  ls $state/sandboxes 2>/dev/null
end
${topics.map((topic) => `complete -c agentfw -n __fish_use_subcommand -f -a ${topic}`).join('\n')}
complete -c agentfw -n __fish_use_subcommand -f -a help
complete -c agentfw -n '__fish_seen_subcommand_from completion' -f -a '${SHELLS.join(' ')}'
complete -c agentfw -n '__fish_seen_subcommand_from run' -a '(__fish_complete_subcommand --fcs-skip=2)'
${lines.join('\n')}
`;
}
