import { accessSync, constants, lstatSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Bytes } from '../bytes.js';
import { isText, toText } from '../bytes.js';
import { usageError } from '../errors.js';
import { errorJson, reportOf } from './error.js';

/** `run --report FILE`: what programs get instead of lines; the agent owns stdout. */
export interface ReportFile {
  /** null, or why it could not: the run is over, that changes nothing of it */
  readonly write: (value: object) => string | null;
}

/** Refuses a place that can't be written before an agent works for nothing. */
export function reportFile(word: Bytes): ReportFile {
  const path = resolve(toText(word));
  if (!isText(word)) throw usageError(`--report: ${path} is not valid UTF-8`, 'Give the file another name');
  try {
    accessSync(dirname(path), constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw usageError(`--report: can't write in ${dirname(path)}: ${(cause as Error).message}`, 'Name a file in a directory that you can write');
  }
  const there = statSync(path, { throwIfNoEntry: false });
  if (there?.isDirectory() === true) throw usageError(`--report: ${path} is a directory`, 'Name a file in it');
  // What stands for it would be gone, for the whole machine where root says /dev/null.
  if (there?.isFile() === false) throw usageError(`--report: ${path} is no regular file, and would be replaced by one`, 'Name a file');
  return { write: (value) => replace(path, `${JSON.stringify(value, null, 1)}\n`) };
}

/** By renaming: a link there is replaced, never followed, and nobody reads half a report. */
function replace(path: string, text: string): string | null {
  const fresh = join(dirname(path), `.agentfw-report.${process.pid}`);
  try {
    const there = lstatSync(path, { throwIfNoEntry: false });
    if (there?.isFile() === false && !there.isSymbolicLink()) throw new Error('it is no regular file any more');
    rmSync(fresh, { force: true });
    writeFileSync(fresh, text, { flag: 'wx' });
    renameSync(fresh, path);
    return null;
  } catch (error) {
    return `can't write the report ${path}: ${(error as Error).message}`;
  }
}

/** The object of a run whose agent never started, as `--json` has it elsewhere. */
export function failedReport(error: unknown, status: number): object {
  return { ...errorJson(reportOf(error)), status };
}
