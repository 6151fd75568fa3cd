import { expect, test } from 'vitest';
import { makeRecords } from '../../src/gate/records.js';

const none = (): Promise<never> => Promise.reject(new Error('none'));

test('what the gate would not take is no data: it would end the run', async () => {
  const texts = (length: number) => makeRecords({ resolveTxt: () => Promise.resolve([['x'.repeat(200)], ...Array.from({ length }, () => ['y'.repeat(200)])]), resolveMx: none, resolveSrv: none });

  expect((await texts(10)('a.test', 16))?.length).toBeLessThan(4096);
  expect(await texts(40)('a.test', 16)).toBeNull();
  expect(await texts(1)('a.test', 15)).toBeNull();
});
