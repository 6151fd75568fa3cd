import { defineConfig } from 'vitest/config';

const report = process.env['AGENTFW_TEST_REPORT'];

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/helpers/agents-end.ts', 'test/helpers/reach.ts'],
    setupFiles: ['test/helpers/umask.ts'],
    // For what hangs, not for what is slow: the slowest test takes seconds, on a busy machine minutes.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    expect: { poll: { timeout: 120_000, interval: 20 } },
    // The sandbox tests mount and fork; two workers keep a two-core machine honest.
    maxWorkers: 2,
    // A check on another, busy machine tries a failed test once more and names it (`flaky …`).
    retry: process.env['CI'] === undefined ? 0 : 1,
    reporters: ['default', './test/helpers/flaky.ts', ...(report === undefined ? [] : ['json'])],
    ...(report === undefined ? {} : { outputFile: { json: report } }),
  },
});
