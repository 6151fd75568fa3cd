/** `commit -p` and `commit -i` by hand, on a terminal that is narrow, changes its size, or is left with Ctrl-C. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, eventually, identities, type Area } from '../helpers/sandbox.js';
import { openTerminal, type Terminal } from '../helpers/tmux.js';

const NUMBERS = Array.from({ length: 60 }, (_, index) => `${index + 1}\n`).join('');

for (const identity of identities()) {
  needs('tmux', 'userns', 'overlay', 'git').describe(`choosing what lands, as ${identity.name}`, () => {
    const { test } = needs('tmux');
    let area: Area;
    let terminal: Terminal;
    const read = (name: string): string => readFileSync(join(area.project, name), 'utf8');
    beforeEach(async () => {
      area = createArea(identity);
      await area.native(['sh', '-c', 'seq 60 > numbers; git init -q .']);
      const job = "sed -i 's/^3$/three/; s/^30$/thirty/; s/^32$/thirty-two/' numbers; for i in $(seq 10 40); do echo > new$i; done; mkdir -p .git/hooks; for h in pre-push pre-commit; do echo true > .git/hooks/$h; chmod +x .git/hooks/$h; done";
      await area.cli(['run', '--tag', 'job', '--net', 'off', '--', 'sh', '-c', job]);
      terminal = await openTerminal(area);
    });
    afterEach(async () => {
      await terminal.close();
      await area.remove();
    });

    test('`-p`: a split hunk lands by half on a terminal that is made narrow meanwhile, and the rest stays a change', async () => {
      await terminal.resize(40, 12);
      await terminal.type('clear; agentfw commit job numbers -p; echo "status=$?"');
      await terminal.sees(/\(1\/2\) Take this hunk \[y,n,q,a,d,\?\]\?/);
      await terminal.type('e');
      await terminal.sees(/d - leave this and the rest of this file/);
      await terminal.type('n');
      await terminal.sees(/\(2\/2\) Take this hunk \[y,n,q,a,d,s,\?\]\?/);
      await terminal.type('s');
      await terminal.sees(/Split into 2 hunks[^]*\+thirty\n\(2\/3\)/);
      await terminal.resize(24, 10);
      await terminal.type('y');
      await terminal.sees(/\+thirty-two\n\(3\/3\)/);
      await terminal.type('d');
      await terminal.sees(/Land this/);
      await terminal.type('y');
      await terminal.sees(/status=0/);

      expect(read('numbers')).toBe(NUMBERS.replace('\n30\n', '\nthirty\n'));
      expect((await area.cli(['diff', 'job', 'numbers'])).stdout).toMatch(/\+three\n[^]*\+thirty-two\n/);
    });

    test('Ctrl-\\ ends the questions as Ctrl-C does', async () => {
      for (const [how, question] of [['-p', /\(1\/2\) Take this hunk/], ['-i', /⏎ submit/]] as const) {
        await terminal.type(`clear; agentfw commit job numbers ${how}; echo "status=$?"`);
        await terminal.sees(question);
        await terminal.press('C-\\');
        await terminal.sees(/Nothing landed\.\nstatus=1/);
      }
      await terminal.type('clear; echo again | cat');
      await terminal.sees(/^again$/m);
    });

    test('Ctrl-C ends all questions, and lands nothing', async () => {
      await terminal.type('clear; agentfw commit job numbers -p; echo "status=$?"');
      await terminal.sees(/\(1\/2\) Take this hunk/);
      await terminal.press('C-c');
      await terminal.sees(/\?\nNothing landed\.\nstatus=1/);

      await terminal.type('clear; agentfw commit job -p misspelt; echo "status=$?"');
      await terminal.sees(/has no change at \S+\/misspelt\n[^]*status=1/);

      // Of two hooks that are asked about one by one.
      await terminal.type('clear; agentfw commit job; echo "status=$?"');
      await terminal.sees(/Let it land, although it takes effect by itself/);
      await terminal.press('C-c');
      expect(await terminal.sees(/\nNothing landed\.\nstatus=1/)).not.toMatch(/Let it land[^]*Let it land|Land this/);
      expect(read('numbers')).toBe(NUMBERS);
      expect(existsSync(join(area.project, '.git/hooks/pre-commit'))).toBe(false);
    });

    test('an answer of no is an object for `--json`', async () => {
      const { HOME: home = '' } = area.env;
      const answer = async (line: string, what: RegExp): Promise<unknown> => {
        await terminal.type(`clear; agentfw ${line} --json > ~/said; echo "status=$?"`);
        await terminal.sees(what);
        await terminal.type('n');
        await terminal.sees(/status=1/);
        return JSON.parse(readFileSync(join(home, 'said'), 'utf8'));
      };
      expect(await answer('commit job numbers', /Land this/)).toMatchObject({ tag: 'job', state: 'nothing', commit: null, landed: [], counts: { modify: 0 } });
      expect(await answer('discard job numbers', /Discard 1 change/)).toEqual({ version: 1, tag: 'job', discarded: 'nothing' });
      expect(await answer('discard job', /Discard job\?/)).toEqual({ version: 1, tag: 'job', discarded: 'nothing' });
      await eventually('it is old enough', async () => (await area.cli(['prune', '--older-than', '1s', '--dry-run'])).stdout.includes('job'));
      expect(await answer('prune --older-than 1s', /Remove them for good/)).toEqual({ version: 1, dryRun: false, sandboxes: [], commits: [] });
      expect(read('numbers')).toBe(NUMBERS);
    });

    test('`-i`: the row that the keys move on is on the screen, however small that is or becomes', async () => {
      await terminal.resize(90, 14);
      await terminal.type('clear; agentfw commit job -i; echo "status=$?"');
      await terminal.sees(/Which changes land\?[^]*❯.*\.git\/hooks\/pre-/);
      await terminal.press('Down', 'Down');
      await terminal.sees(/❯.*new10/);
      await terminal.resize(90, 9);
      await terminal.sees(/Which changes land\?[^]*❯.*new10/);
      await terminal.press('Down');
      await terminal.sees(/Which changes land\?[^]*❯.*new11/);
      await terminal.resize(90, 60);
      await terminal.press('i', 'Space', 'Enter');
      // All but the hooks were chosen: the other way round it is these, and the row itself.
      await terminal.sees(/Let it land/);
      await terminal.type('n');
      await terminal.sees(/Let it land[^]*\[y\/N\] n\n[^]*Let it land/);
      await terminal.type('n');
      await terminal.sees(/Land this on the host\?/);
      await terminal.type('y');
      await terminal.sees(/status=3/);
      expect(['new10', 'new11', 'new12'].map((name) => existsSync(join(area.project, name)))).toEqual([false, true, false]);
    });

    test('Ctrl-Z at a question gives the shell back, and `fg` goes on with the question', async () => {
      await terminal.type('clear; agentfw commit job new10 new11 -i');
      await terminal.sees(/Which changes land\?[^]*❯.*new10/);
      await terminal.press('C-z');
      await terminal.sees(/Stopped/);
      await eventually('the cursor is back', () => terminal.hasCursor());
      await terminal.type('clear; fg; echo "status=$?"');
      await terminal.sees(/Which changes land\?[^]*❯.*new10/);
      await terminal.press('Down', 'Space', 'Enter');
      await terminal.sees(/Land this on the host\?/);
      await terminal.press('C-z');
      await terminal.sees(/Stopped[^]*status=148/);
      await terminal.type('clear; fg; echo "status=$?"');
      await terminal.sees(/Land this on the host\?/);
      await terminal.type('y');
      await terminal.sees(/status=0/);
      expect(['new10', 'new11'].map((name) => existsSync(join(area.project, name)))).toEqual([true, false]);
    });

    test('`-i`: whoever ends it has the cursor back, and a terminal that is closed ends it', async () => {
      const { HOME: home = '' } = area.env;
      const argv = area.argv(['commit', 'job', '-i']).map((word) => `'${word}'`).join(' ');
      await terminal.type(`clear; sh -c '"$@" < /dev/tty & echo $! > ~/pid; wait $!; echo "status=$?"' sh ${argv}`);
      await terminal.sees(/Which changes land\?/);
      await eventually('the cursor is hidden', async () => !(await terminal.hasCursor()));
      process.kill(Number(readFileSync(join(home, 'pid'), 'utf8')), 'SIGTERM');
      await terminal.sees(/status=143/);
      expect(await terminal.hasCursor()).toBe(true);

      // The shell outlives the terminal, to tell the status.
      await terminal.type(`clear; sh -c 'trap : HUP; echo again; "$@"; echo "status=$?" > ~/status' sh ${argv}`);
      // Not the first question, which is on the screen until it is cleared.
      await terminal.sees(/^again\s[^]*Which changes land\?/m);
      await terminal.close();
      await eventually('the command has ended', () => existsSync(join(home, 'status')) && readFileSync(join(home, 'status'), 'utf8') !== '');
      expect(readFileSync(join(home, 'status'), 'utf8')).toBe('status=129\n');
    });
  });
}
