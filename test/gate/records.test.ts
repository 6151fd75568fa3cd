import { expect, test } from 'vitest';
import { makeRecords } from '../../src/gate/records.js';

const none = (code: string) => (): Promise<never> => Promise.reject(Object.assign(new Error(code), { code }));

test('what the gate would not take is no answer: it would end the run', async () => {
  const texts = (length: number) => makeRecords({ resolveTxt: () => Promise.resolve([['x'.repeat(200)], ...Array.from({ length }, () => ['y'.repeat(200)])]), resolveMx: none('ENODATA'), resolveSrv: none('ENODATA') });

  expect((await texts(10)('a.test', 16)).length).toBeLessThan(4096);
  expect(await texts(40)('a.test', 16)).toBe('servfail');
});

test.each([['ENODATA', 'nodata'], ['ENOTFOUND', 'nodata'], ['ESERVFAIL', 'servfail'], ['ETIMEOUT', 'servfail'], ['ECONNREFUSED', 'servfail']])('%s is told as %s', async (code, told) => {
  const fails = none(code);

  expect(await makeRecords({ resolveTxt: fails, resolveMx: fails, resolveSrv: fails })('a.test', 15)).toBe(told);
});
