/** The never-import rules of docs/architecture.md. */
const pure =
  '^src/(argv|bytes)\\.ts$|^src/view/(mountinfo|mounts|hides|hiding)\\.ts$|^src/policy/(judge|compile)\\.ts$|^src/changes/(plan|hunks|classify|classify/(gitconfig|hidden|verdicts)|conflict/merge|scan/order)\\.ts$|^src/render/';

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'commands-stand-alone',
      comment: 'Commands never import each other: what two need belongs to the core.',
      severity: 'error',
      from: { path: '^src/commands/' },
      to: { path: '^src/commands/' },
    },
    {
      name: 'core-knows-no-screen',
      comment: 'Core code returns data; only commands and ui talk to people.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(commands|ui)/' },
      to: { path: '^src/(ui|commands)/|node_modules/(@oclif|chalk|@inquirer)/' },
    },
    {
      name: 'one-importer-of-the-addon',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/kernel/native\\.ts$' },
      to: { path: '^build/|\\.node$' },
    },
    {
      name: 'one-spawner',
      comment: 'Only kernel/driver.ts starts processes, kernel/background.ts our own helpers, and kernel/pager.ts a pager of the user.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/kernel/(driver|background|pager)\\.ts$' },
      to: { path: '^(node:)?child_process$|node_modules/execa/' },
    },
    {
      name: 'pure-stays-pure',
      comment: 'Planners, judges and renderers touch no file, clock or chance.',
      severity: 'error',
      from: { path: pure },
      to: { path: '^(node:)?(fs|fs/promises|child_process|os|net|http|process)$|^src/kernel/native\\.ts$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { extensions: ['.ts', '.js'], conditionNames: ['import', 'node'] },
  },
};
