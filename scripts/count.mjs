// Sums the test runners' own reports in a directory: vitest's JSON files and the
// closing lines `N passed, N failed[, N skipped]` of the C runners' logs. Names
// each failed test first: a log that is cut keeps its end.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

const dir = process.argv[2];
const short = (text) => stripVTControlCharacters(text).replace(/\s+/g, ' ').slice(0, 300);
const total = { passed: 0, failed: 0, skipped: 0 };
const reports = ['root.json', 'user.json'].map((name) => join(dir, name)).filter((file) => existsSync(file));

for (const file of reports) {
  const report = JSON.parse(readFileSync(file, 'utf8'));
  for (const { name, assertionResults, message } of report.testResults) {
    const where = `${basename(file, '.json')}: ${relative(process.cwd(), name).replace(/^.*\bagentfw\/(?=test\/)/, '')}`;
    const failed = assertionResults.filter(({ status }) => status === 'failed');
    for (const { fullName, failureMessages } of failed) console.log(`failed  ${where}: ${fullName}: ${short(failureMessages.join(' '))}`);
    if (failed.length === 0 && message) console.log(`failed  ${where}: ${short(message)}`);
  }
  total.passed += report.numPassedTests;
  total.failed += report.numFailedTests;
  total.skipped += report.numPendingTests + (report.numTodoTests ?? 0);
}
for (const name of readdirSync(dir).filter((entry) => entry.endsWith('.log'))) {
  for (const line of readFileSync(join(dir, name), 'utf8').split('\n')) {
    const match = /^(?:[\w-]+: )?(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/.exec(line.trim());
    if (!match) continue;
    total.passed += Number(match[1]);
    total.failed += Number(match[2]);
    total.skipped += Number(match[3] ?? 0);
  }
}
console.log(`${total.passed} passed, ${total.failed} failed${total.skipped ? `, ${total.skipped} skipped` : ''}`);
process.exit(total.failed === 0 && total.passed > 0 && reports.length > 0 ? 0 : 1);
