import tseslint from 'typescript-eslint';
import { docstring } from './scripts/docstrings.mjs';

/** House rules that a machine can check; the rest is in docs/contributing.md. */
export default tseslint.config(
  { ignores: ['dist/', 'build/', 'node_modules/', 'coverage/', 'driver/', 'native/'] },
  {
    files: ['src/**/*.ts', 'test/**/*.ts', 'vitest.config.ts'],
    extends: [...tseslint.configs.strict],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/consistent-type-imports': 'error',
      // Exact indices are checked by noUncheckedIndexedAccess; a bang states a proof the compiler can't see.
      '@typescript-eslint/no-non-null-assertion': 'off',
      // oclif commands are classes by contract.
      '@typescript-eslint/no-extraneous-class': 'off',
      // Names and screens hold control characters: matching them is the job.
      'no-control-regex': 'off',
      eqeqeq: 'error',
    },
  },
  {
    files: ['src/**/*.ts'],
    plugins: { house: { rules: { docstring } } },
    rules: {
      'house/docstring': 'error',
      'max-lines': ['error', { max: 300, skipBlankLines: true, skipComments: true }],
      'max-lines-per-function': ['error', { max: 50, skipBlankLines: true, skipComments: true }],
      'no-console': 'error',
      'no-restricted-syntax': [
        'error',
        { selector: 'TSEnumDeclaration', message: 'Use a union of strings.' },
        { selector: "Property[key.name='shell'][value.value=true]", message: 'No command goes through a shell.' },
      ],
    },
  },
);
