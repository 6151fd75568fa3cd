import { accessSync, constants, lstatSync, readFileSync, readdirSync, readlinkSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Bytes } from '../bytes.js';
import { isText, toText } from '../bytes.js';
import { usageError } from '../errors.js';
import { errorJson, reportOf } from './error.js';
import { writer } from './print.js';

/** `run --report FILE`: what programs get instead of lines; the agent owns stdout. */
export interface ReportFile {
  /** null, or why it could not: the run is over, that changes nothing of it */
  readonly write: (value: object) => string | null;
}

/** Refuses a place that can't be written before an agent works for nothing. `lasting`: it is to be written when the caller has gone on. */
export function reportFile(word: Bytes, lasting: boolean): ReportFile {
  const path = resolve(toText(word));
  if (!isText(word)) throw usageError(`--report: ${path} is not valid UTF-8`, 'Give the file another name');
  const fd = descriptorAt(path);
  if (fd !== null) return descriptorReport(path, fd, lasting);
  try {
    accessSync(dirname(path), constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw usageError(`--report: can't write in ${dirname(path)}: ${(cause as Error).message}`, 'Name a file in a directory that you can write');
  }
  const there = statSync(path, { throwIfNoEntry: false });
  if (there?.isDirectory() === true) throw usageError(`--report: ${path} is a directory`, 'Name a file in it');
  // What stands for it would be gone, for the whole machine where root says /dev/null.
  if (there?.isFile() === false) throw usageError(`--report: ${path} is no regular file, and would be replaced by one`, 'Name a file');
  return { write: (value) => replace(path, textOf(value)) };
}

/** What is open already, as `>(jq .)` and `3>report.json` of a shell are; replaced by name, /dev/stdout would be gone for the whole machine. */
function descriptorAt(path: string): number | null {
  if (path === '/dev/stdout') return 1;
  if (path === '/dev/stderr') return 2;
  const found = /^\/(?:dev|proc\/self)\/fd\/(\d{1,7})$/.exec(path);
  return found === null ? null : Number(found[1]);
}

function descriptorReport(path: string, fd: number, lasting: boolean): ReportFile {
  if (lasting) throw usageError(`--report: ${path} is not there any more when a detached sandbox ends`, 'Name a file');
  if (!isOurs(fd)) throw usageError(`--report: descriptor ${fd} is not open for writing`, 'Name a file');
  const write = writer(fd);
  return {
    write: (value) => {
      try {
        write(textOf(value));
        return null;
      } catch (error) {
        return `can't write the report ${path}: ${reportOf((error as Error).cause ?? error).message}`;
      }
    },
  };
}

/** Given to us by who called, to write to. Node has pipes of its own, of which it also holds the end that is read. */
function isOurs(fd: number): boolean {
  const link = linkOf(fd);
  if (link === null || link.startsWith('anon_inode:') || !isWritable(fd)) return false;
  return !link.startsWith('pipe:') || !readdirSync('/proc/self/fd').some((name) => linkOf(Number(name)) === link && !isWritable(Number(name)));
}

function linkOf(fd: number): string | null {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return null;
  }
}

/** By how it was opened (proc_pid_fdinfo(5)). */
function isWritable(fd: number): boolean {
  const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0';
  return (parseInt(flags, 8) & (constants.O_WRONLY | constants.O_RDWR)) !== 0;
}

function textOf(value: object): string {
  return `${JSON.stringify(value, null, 1)}\n`;
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
