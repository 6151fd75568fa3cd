/** What the terminal is told of questions while the agent has it, by what it takes. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Question } from '../../src/gate/ask.js';
import { attention } from '../../src/ui/attention.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const asked = (id: string, rule = `${id}.test:443`, waiting = 1): Question => ({ id, host: 'h.test', port: 443, rule, note: null, who: null, opened: 0, expires: 0, waiting, asked: 1 });
const title = (id: string, rule = `${id}.test:443`): string => `\u001b]2;agentfw asks: ${rule} - agentfw approve ${id}\u0007`;
const PUSH = '\u001b[22;2t';
const POP = '\u001b[23;2t';

/** A terminal that takes nothing while it is held. */
function terminal(): { readonly write: (text: string) => boolean; readonly screen: () => string; held: boolean } {
  let screen = '';
  const self = {
    held: false,
    write: (text: string) => {
      if (!self.held) screen += text;
      return !self.held;
    },
    screen: () => screen,
  };
  return self;
}

describe('a terminal is told of questions', () => {
  test('by a bell for each, and a title that goes with the last', () => {
    const { write, screen } = terminal();
    const draw = attention(write);
    draw([asked('a')]);
    draw([asked('a'), asked('b')]);
    draw([]);

    expect(screen()).toBe(`\u0007${PUSH}${title('a')}\u0007${title('b')}${POP}`);
  });

  test('later, as they are then, where it takes nothing now (Ctrl-S)', () => {
    const held = terminal();
    const draw = attention(held.write);
    held.held = true;
    draw([asked('a')]);
    draw([asked('b')]);
    vi.advanceTimersByTime(1000);
    expect(held.screen()).toBe('');
    held.held = false;
    vi.advanceTimersByTime(1000);

    expect(held.screen()).toBe(`\u0007${PUSH}${title('b')}`);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('not at all of one that was answered while it took nothing', () => {
    const held = terminal();
    const draw = attention(held.write);
    held.held = true;
    draw([asked('a')]);
    draw([]);
    held.held = false;
    vi.advanceTimersByTime(1000);

    expect(held.screen()).toBe('\u0007');
  });

  test('of a long name by its end, which says whose it is', () => {
    const { write, screen } = terminal();
    attention(write)([asked('a', `registry.example.${'a'.repeat(63)}.${'b'.repeat(63)}.evil.test:443`)]);

    expect(screen()).toContain('.evil.test:443 - agentfw approve a');
    expect(screen()).not.toContain('registry');
  });
});
