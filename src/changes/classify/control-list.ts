/**
 * What the commit gate looks at, as data. A pattern holds at any depth of the
 * workspace and is compared with folded names (fold.ts), so it is in lower case.
 * The reason is shown to the user.
 */
export interface GateRule {
  readonly pattern: string;
  readonly reason: string;
}

function rules(reason: string, ...patterns: string[]): GateRule[] {
  return patterns.map((pattern) => ({ pattern, reason }));
}

/** Runs on the host without further action, or decides what an agent may do there. */
export const BLOCK: readonly GateRule[] = [
  ...rules('git hook', '.git/hooks/**', '.git/{modules,worktrees}/**/hooks/**'),
  ...rules('git objects from elsewhere', '.git/**/objects/info/alternates', '.git/**/objects/info/http-alternates'),
  // Git shows and checks out one object, or history, in the place of another, under its name.
  ...rules('git objects replaced', '.git/**/refs/replace/**', '.git/**/info/grafts'),
  ...rules('git directory elsewhere', '.git/**/commondir'),
  ...rules('version control configuration', '.hg/hgrc*', '.hg/{sharedpath,requires}', '.sl/{config*,sharedpath,requires}'),
  // As a file it says where the repository is.
  ...rules('version control configuration', '.jj/**/config*.toml', '.jj/repo', '_darcs/prefs/{defaults,sources}', '.bzr/branch/branch.conf'),
  ...rules('agent configuration', '.claude/settings*.json', '.claude/hooks/**', '.mcp.json', '.codex/**', '.agents/**'),
  ...rules('agent configuration', '.gemini/settings.json', '.gemini/policies/**', '.qwen/settings.json', '.crush.json'),
  ...rules('agent configuration', '.cursor/mcp.json', '.cursor/hooks*', '.cursor/hooks/**', '.cursor/cli.json'),
  ...rules('agent configuration', '.opencode/**', 'opencode.json*', '.continue/**', '.kiro/**', '.aider.conf.yml'),
  ...rules('agent configuration', '.goose/**', '.amp/**', '.factory/**', '.augment/**'),
  ...rules('agentfw policy', '.agentfw*', '.agentfw*/**'),
  ...rules('editor configuration', '.vscode/{settings,tasks,launch,mcp,extensions}.json', '*.code-workspace'),
  ...rules('editor configuration', '.idea/workspace.xml', '.idea/runconfigurations/**', '.idea/externaldependencies.xml'),
  ...rules('editor configuration', '.nvim.lua', '.nvimrc', '.exrc', '.vimrc', '.dir-locals.el'),
  ...rules('development container', '.devcontainer/**', '.devcontainer.json'),
  ...rules('directory environment', '.envrc', '.mise.toml', 'mise.toml', '.mise/**', '.config/mise/**', '.config/mise.toml'),
];

/** Runs when somebody builds, tests, installs, commits or starts an agent. */
export const FLAG: readonly GateRule[] = [
  ...rules('package manager configuration', '.npmrc', '.yarnrc*', '.pnpmfile.cjs', 'pip.conf', '.pip/**', '.cargo/config', '.cargo/config.toml'),
  ...rules('tool versions', '.tool-versions'),
  ...rules('build script', 'build.rs', 'binding.gyp', 'setup.py', 'conftest.py', 'sitecustomize.py', 'usercustomize.py', '*.pth'),
  ...rules('build script', 'makefile', 'gnumakefile', 'justfile', '.justfile', 'taskfile.*', 'cmakelists.txt', 'rakefile', 'gemfile'),
  ...rules('build script', '*.gradle*', 'gradlew', 'gradlew.bat', 'mvnw', 'mvnw.cmd', '.mvn/**', 'pom.xml'),
  ...rules('continuous integration', '.github/**', '.gitlab-ci.yml', '.circleci/**', 'jenkinsfile', '.buildkite/**', 'azure-pipelines.yml'),
  ...rules('container build', 'dockerfile*', '*.dockerfile', 'containerfile*', 'compose*.y*ml', 'docker-compose*.y*ml'),
  ...rules('commit hook', '.husky/**', 'lefthook.yml', '.pre-commit-config.yaml', '.lintstagedrc*'),
  ...rules('git attributes', '.gitattributes', '.gitmodules', '.git/**/info/attributes'),
  ...rules('git operation in progress', '.git/**/rebase-*/**', '.git/**/sequencer/**'),
  ...rules('dependency bot', 'renovate.json', '.renovaterc*'),
  ...rules('agent instructions', 'claude.md', 'agents.md', 'gemini.md', '.cursorrules', '.cursor/rules/**', '.windsurfrules'),
  ...rules('agent instructions', '.claude/{commands,agents,skills}/**'),
];

/** What git ignores in its hooks directory, and every `git init` writes. */
export const HARMLESS: readonly string[] = ['.git/**/hooks/*.sample'];

/** Whose content is parsed: git's own configuration. */
export const GIT_CONFIG: readonly string[] = [
  '.git/config',
  '.git/config.worktree',
  '.git/modules/**/config',
  '.git/modules/**/config.worktree',
  '.git/worktrees/*/config',
  '.git/worktrees/*/config.worktree',
  '.git/worktrees/*/modules/**/config',
  '.git/worktrees/*/modules/**/config.worktree',
];

/** Whose content is searched for references that replace objects. */
export const GIT_REFS: readonly string[] = ['.git/**/packed-refs'];

/** Directories of git that hold such configuration, hooks and more: a symlink in the place of one brings in others. */
export const GIT_DIRS: readonly string[] = ['.git/{modules,worktrees}', '.git/{modules,worktrees}/**'];
