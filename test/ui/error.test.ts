import { describe, expect, test } from 'vitest';
import { AgentfwError } from '../../src/errors.js';
import { errorJson, renderError, reportOf } from '../../src/ui/error.js';

const plain = (_: string, text: string): string => text;

describe('reportOf', () => {
  test('keeps code, hint, status and causes of our errors', () => {
    const cause = new Error('middle', { cause: new Error('root') });
    const report = reportOf(new AgentfwError('AFW_X', 'Top.', { cause, hint: 'Do this', status: 3 }));

    expect(report).toEqual({ code: 'AFW_X', message: 'Top.', causes: ['middle', 'root'], hint: 'Do this', status: 3 });
    expect(errorJson(report)).toEqual({
      version: 1,
      error: { code: 'AFW_X', message: 'Top.', causes: ['middle', 'root'], hint: 'Do this' },
    });
  });

  test('names system errors and takes the rest as internal', () => {
    const system = Object.assign(new Error("EIO: i/o error, write 'x'"), { code: 'EIO' });
    const full = Object.assign(new Error("ENOSPC: no space left on device, write 'x'"), { code: 'ENOSPC' });

    expect(reportOf(system)).toMatchObject({ code: 'AFW_SYSTEM', status: 1 });
    expect(reportOf(system)).toMatchObject({ hint: null });
    expect(reportOf(Object.assign(new Error('EMFILE: Too many open files'), { code: 'EMFILE' })).hint).toContain('ulimit -n');
    expect(reportOf(Object.assign(new Error("EACCES: Permission denied, openat2 'x'"), { code: 'EACCES' })).hint).toContain('ls -ld');
    expect(reportOf(full)).toMatchObject({ code: 'AFW_DISK_FULL', causes: [full.message], status: 1 });
    expect(reportOf(new TypeError('x is undefined'))).toMatchObject({ code: 'AFW_INTERNAL', status: 70 });
    expect(reportOf('thrown text')).toMatchObject({ message: 'Internal error: thrown text', status: 70 });
  });

  test('ends at a cause that names itself', () => {
    const error = new Error('loop');
    error.cause = error;

    expect(reportOf(error).causes).toHaveLength(8);
  });
});

describe('renderError', () => {
  test('prints `Error:`, `Caused by:` and `Hint:`', () => {
    const error = new AgentfwError('AFW_X', "Can't do it.", { cause: new Error('because'), hint: 'Try that' });

    expect(renderError(reportOf(error), plain)).toBe("Error: Can't do it.\nCaused by: because\nHint: Try that");
  });

  test('TT05: lets no name in a message forge a line or act on the terminal', () => {
    const error = new AgentfwError('AFW_X', 'No change at a\nHint: rm -rf ~\u001b[2J\u202e');

    expect(renderError(reportOf(error), plain)).toBe('Error: No change at a\\nHint: rm -rf ~\\x1b[2J\\u{202e}');
  });
});
