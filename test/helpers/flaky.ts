import type { Reporter, TestModule } from 'vitest/node';
import { relative } from 'node:path';

/**
 * Names each test that passed only when it was tried again. A check on a busy
 * machine tries once more, but no such test stays unseen.
 */
export default class FlakyReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    for (const module of modules) {
      for (const test of module.children.allTests('passed')) {
        if (!test.diagnostic()?.flaky) continue;
        const first = test.result().errors?.[0]?.message.replace(/\s+/g, ' ').slice(0, 300) ?? '';
        process.stdout.write(`flaky  ${relative(process.cwd(), module.moduleId)}: ${test.fullName}: ${first}\n`);
      }
    }
  }
}
