import { defineConfig } from 'vitest/config';

const report = process.env['AGENTFW_TEST_REPORT'];

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/helpers/agents-end.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // The sandbox tests mount and fork; two workers keep a two-core machine honest.
    maxWorkers: 2,
    reporters: report === undefined ? ['default'] : ['default', 'json'],
    ...(report === undefined ? {} : { outputFile: { json: report } }),
  },
});
