/** A terminal that a test types into and looks at: tmux on a socket of its own. */
import { join } from 'node:path';
import { eventually, type Area, type Outcome } from './sandbox.js';

export interface Terminal {
  /** keys as tmux names them: `C-c`, `Enter`, or text */
  readonly press: (...keys: readonly string[]) => Promise<void>;
  /** a line and Enter */
  readonly type: (line: string) => Promise<void>;
  readonly screen: () => Promise<string>;
  /** waits until the screen matches and returns it */
  readonly sees: (what: RegExp) => Promise<string>;
  /** whether the cursor is shown */
  readonly hasCursor: () => Promise<boolean>;
  readonly resize: (columns: number, rows: number) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** A bash without start-up files in the area's project. `agentfw` is a function in it. */
export async function openTerminal(area: Area): Promise<Terminal> {
  const tmux = (...args: readonly string[]): Promise<Outcome> =>
    area.native(['tmux', '-S', join(area.dir, 'tmp/tmux'), '-f', '/dev/null', ...args]);
  const agentfw = area.argv([]).map((word) => `'${word}'`).join(' ');
  const shell = `PS1='$ ' exec bash --norc --noprofile --posix`;
  const started = await tmux('new-session', '-d', '-x', '100', '-y', '30', shell);
  if (started.status !== 0) throw new Error(started.stderr);

  const screen = async (): Promise<string> => (await tmux('capture-pane', '-p')).stdout.trimEnd();
  const press = async (...keys: readonly string[]): Promise<void> => void await tmux('send-keys', ...keys);
  const terminal: Terminal = {
    press, screen,
    hasCursor: async () => (await tmux('display-message', '-p', '#{cursor_flag}')).stdout.trim() === '1',
    type: async (line) => {
      await tmux('send-keys', '-l', line);
      await press('Enter');
    },
    sees: async (what) => {
      let last = '';
      try {
        await eventually(`the screen shows ${String(what)}`, async () => {
          last = await screen();
          return what.test(last);
        });
        return last;
      } catch (cause) {
        throw new Error(`${(cause as Error).message}; it shows:\n${last}`, { cause });
      }
    },
    resize: async (columns, rows) => void await tmux('resize-window', '-x', String(columns), '-y', String(rows)),
    close: async () => void await tmux('kill-server'),
  };
  await terminal.sees(/^\$/m);
  await terminal.type(`agentfw() { ${agentfw} "$@"; }; clear`);
  await terminal.sees(/^\$\s*$/);
  return terminal;
}
