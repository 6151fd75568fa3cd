import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { makeQuiet } from '../../src/sandbox/idle-memory.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('what is given back is given back a moment later, once for all that happened, and not again at once', () => {
  const forgetProgram = vi.fn(() => 0);
  const quiet = makeQuiet({ forgetProgram });

  quiet.soon();
  vi.advanceTimersByTime(1000);
  quiet.soon();
  expect(forgetProgram).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1000);
  expect(forgetProgram).toHaveBeenCalledTimes(1);

  quiet.soon();
  vi.advanceTimersByTime(9000);
  expect(forgetProgram).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(1000);
  expect(forgetProgram).toHaveBeenCalledTimes(2);
});

test('nothing is given back after the end', () => {
  const forgetProgram = vi.fn(() => 0);
  const quiet = makeQuiet({ forgetProgram });

  quiet.soon();
  quiet.stop();
  vi.advanceTimersByTime(60_000);

  expect(forgetProgram).not.toHaveBeenCalled();
});
