import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeFrame, frameReader } from '../../src/kernel/frames.js';

test('frames arrive whole, whatever the chunks', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ event: fc.string(), n: fc.integer() })), fc.array(fc.integer({ min: 1, max: 9 })), (messages, cuts) => {
      const stream = Buffer.concat(messages.map(encodeFrame));
      const seen: unknown[] = [];
      const read = frameReader((message) => seen.push(message));
      for (let at = 0, cut = 0; at < stream.length; cut += 1) {
        const length = cuts[cut % Math.max(cuts.length, 1)] ?? stream.length;
        read(stream.subarray(at, at + length));
        at += length;
      }

      expect(seen).toEqual(messages);
    }),
  );
});

test('a length beyond 1 MiB is an error, not an allocation', () => {
  const read = frameReader(() => undefined);

  expect(() => read(Buffer.from([0xff, 0xff, 0xff, 0x7f]))).toThrow(/bytes/);
});
