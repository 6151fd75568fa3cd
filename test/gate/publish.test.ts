import { describe, expect, test } from 'vitest';
import { parsePublish } from '../../src/gate/publish.js';
import { sh } from './harness.js';
import { policyOf, port, start } from './running.js';

describe('`--publish`', () => {
  test('a port that is taken ends the start, and is told', async () => {
    await expect(start(sh('sleep 5'), await policyOf({}), { publish: [{ addr: '127.0.0.1', port, inside: 3000 }] })).rejects.toThrow(`Can't publish 127.0.0.1:${port}: EADDRINUSE`);
  });

  test('an address that no interface has ends the start, and the mend is told', async () => {
    const failed = start(sh('sleep 5'), await policyOf({}), { publish: [{ addr: '192.0.2.99', port, inside: 3000 }] });

    await expect(failed).rejects.toMatchObject({ message: `Can't publish 192.0.2.99:${port}: EADDRNOTAVAIL`, hint: expect.stringContaining('ip address') as string });
  });

  test.each([
    ['3000', { addr: '127.0.0.1', port: 3000, inside: 3000 }], ['8080:3000', { addr: '127.0.0.1', port: 8080, inside: 3000 }],
    ['0.0.0.0:8080:3000', { addr: '0.0.0.0', port: 8080, inside: 3000 }], ['[::1]:80', { addr: '::1', port: 80, inside: 80 }],
  ])('%s', (text, expected) => {
    expect(parsePublish(text)).toEqual(expected);
  });

  test.each(['', 'x', '0', '70000', '1:2:3', 'host.test:80', '1.2.3.4:5:6:7'])('%j is refused', (text) => {
    expect(() => parsePublish(text)).toThrow('--publish');
  });
});
