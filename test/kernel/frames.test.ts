import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeFrame, frameReader } from '../../src/kernel/frames.js';

test('frames arrive whole, whatever the chunks', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ event: fc.string(), n: fc.integer() })), fc.array(fc.integer({ min: 1, max: 9 })), (messages, cuts) => {
      const stream = Buffer.concat(messages.map((message) => encodeFrame(message)));
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
  expect(() => encodeFrame({ text: 'x'.repeat(1 << 20) })).toThrow(/too long/);
});

test('where more is expected, more arrives, in time that grows with its length', () => {
  const text = 'x'.repeat(32 << 20);
  const frame = encodeFrame({ text }, { max: 64 << 20 });
  const seen: unknown[] = [];
  const read = frameReader((message) => seen.push(message), { max: 64 << 20 });
  const start = process.cpuUsage();
  for (let at = 0; at < frame.length; at += 65_536) read(frame.subarray(at, at + 65_536));

  expect(seen).toEqual([{ text }]);
  expect(process.cpuUsage(start).user).toBeLessThan(2_000_000);
});
