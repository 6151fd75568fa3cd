/** The terminal is the user's own, as without agentfw. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, eventually, identities, jsonOf, ownSleep, processesWith, type Area } from '../helpers/sandbox.js';
import { openTerminal, type Terminal } from '../helpers/tmux.js';

for (const identity of identities()) {
  needs('tmux', 'userns', 'overlay').describe(`a terminal as ${identity.name}`, () => {
    const { test } = needs('tmux');
    let area: Area;
    let terminal: Terminal;
    beforeEach(async () => {
      area = createArea(identity);
      terminal = await openTerminal(area);
    });
    afterEach(async () => {
      await terminal.close();
      await area.remove();
    });

    test('Ctrl-C ends the agent and the status is 130', async () => {
      const nap = ownSleep();
      await terminal.type(`agentfw run --net off -- ${nap}; echo "status=$?"`);
      await started(nap);
      await terminal.press('C-c');

      await terminal.sees(/status=130/);
      expect(processesWith(nap)).toEqual([]);
    });

    test('Ctrl-C that the agent handles does not end it', async () => {
      const nap = ownSleep();
      await terminal.type(`agentfw run --net off -- bash -c 'trap "echo caught" INT; echo up; ${nap}; echo on; read line; exit 4'; echo "status=$?"`);
      await terminal.sees(/^up$/m);
      await started(nap);
      await terminal.press('C-c');
      await terminal.sees(/caught[^]*^on$/m);
      await terminal.press('Enter');

      await terminal.sees(/status=4/);
    });

    test('a question can be seen and answered while Ctrl-S holds the output', async () => {
      await terminal.type("agentfw run --net ask -- bash -c 'echo up; read line; exec 3<>/dev/tcp/held.test/80; cat <&3; echo over'");
      await terminal.sees(/^up$/m);
      await terminal.press('C-s');
      await terminal.type('go on');
      const id = await eventually('it is asked', async () => jsonOf<{ readonly questions: readonly { readonly id: string }[] }>(await area.cli(['approvals', '--json'])).questions[0]?.id ?? false);
      const { status, stderr } = await area.cli(['deny', String(id)]);
      await terminal.press('C-q');

      expect([status, stderr]).toEqual([0, expect.stringContaining('Denied held.test:80')]);
      await terminal.sees(/^over$/m);
    });

    test('Ctrl-\\ is status 131', async () => {
      const nap = ownSleep();
      await terminal.type(`agentfw run --net off -- ${nap}; echo "status=$?"`);
      await started(nap);
      await terminal.press('C-\\');

      await terminal.sees(/status=131/);
    });

    test('E125 E126 Ctrl-Z stops, `fg` goes on, and the terminal is the agent\'s again', async () => {
      // What is typed before the shell has given its line editor's mode up has no end of line for cat.
      await terminal.type("agentfw run --net off -- sh -c 'echo up; exec cat'");
      await terminal.sees(/^up$/m);
      await terminal.type('first line');
      await terminal.sees(/^first line\nfirst line$/m);
      await terminal.press('C-z');
      await terminal.sees(/Stopped|suspended/i);
      await terminal.type('echo shell is $((40+2))');
      await terminal.sees(/^shell is 42$/m);
      await terminal.type('fg');
      await terminal.sees(/^\$ fg\n./m);
      await terminal.type('second line');
      await terminal.sees(/^second line\nsecond line$/m);
      await terminal.press('C-d');

      await terminal.type('echo "end=$?"');
      await terminal.sees(/end=0/);
    });

    test('E125 `bg` lets a stopped agent go on without the terminal', async () => {
      // Not dash: it waits for a vfork, and a Ctrl-Z that stops only the child is never seen, here as anywhere.
      await terminal.type(`agentfw run --tag bg --net off -- bash -c 'echo up; until test -e /tmp/go; do sleep .05; done; echo done > done'`);
      await terminal.sees(/^up$/m);
      await terminal.press('C-z');
      await terminal.sees(/Stopped|suspended/i);
      await terminal.type('bg');
      expect([0, 137]).toContain((await area.cli(['exec', 'bg', '--', 'touch', '/tmp/go'])).status);
      await terminal.type('wait; echo "waited=$?"');

      await terminal.sees(/waited=0/);
      await terminal.type('clear; agentfw show bg:done');
      await terminal.sees(/^done$/m);
    });

    needs('tmux', 'vim').test('E126 an editor stops with Ctrl-Z, comes back whole with `fg`, and saves into the layer', async () => {
      await area.native(['sh', '-c', 'seq 100 > text']);
      await terminal.type('agentfw run --tag vim --net off -- vim -u NONE -N text');
      await terminal.sees(/^1\n2\n3\n[^]*28/m);
      await terminal.press('i', 'edited ', 'Escape');
      await terminal.sees(/^edited 1$/m);
      await terminal.press('C-z');
      await terminal.sees(/Stopped|suspended/i);
      await terminal.type('fg');
      await terminal.sees(/^edited 1\n2\n3\n[^]*28/m);
      await terminal.type(':wq');

      await terminal.type('echo "end=$?"');
      await terminal.sees(/end=0/);
      expect(readFileSync(join(area.project, 'text'), 'utf8')).toMatch(/^1\n/);
      const shown = await area.cli(['show', `vim:${join(area.project, 'text')}`]);
      expect(shown.stdout).toMatch(/^edited 1\n2\n/);
    });

    needs('tmux', 'less').test('E126 a pager scrolls, stops, comes back and follows a resize', async () => {
      await area.native(['sh', '-c', 'seq 1000 > text']);
      await terminal.type('agentfw run --net off -- less text');
      await terminal.sees(/^1\n2\n[^]*29\ntext/);
      await terminal.press('Space');
      await terminal.sees(/^30\n31/);
      await terminal.press('C-z');
      await terminal.sees(/Stopped|suspended/i);
      await terminal.type('fg');
      await terminal.sees(/^30\n31/);
      await terminal.resize(90, 12);
      await terminal.sees(/^30\n31\n(.*\n){7,9}[^\n]*$/);
      await terminal.press('q');

      await terminal.type('echo "end=$?"');
      await terminal.sees(/end=0/);
    });

    test('E131 a resize reaches the agent', async () => {
      await terminal.type(`agentfw run --net off -- bash -c 'trap "stty size" WINCH; stty size; while :; do sleep 0.1; done'`);
      await terminal.sees(/^30 100$/m);
      await terminal.resize(80, 20);
      await terminal.sees(/^20 80$/m);
      await terminal.resize(110, 33);
      await terminal.sees(/^33 110$/m);
      await terminal.press('C-c');
      await terminal.sees(/\$ *$/);
    });

    test('E125 pipes behave: `yes | head`, `agentfw run | less`, and what a pipeline is told', async () => {
      await terminal.type('set +o posix; agentfw run --rm --net off -- yes | head -2; echo "status=${PIPESTATUS[*]}"');
      await terminal.sees(/^y\ny\nstatus=141 0$/m);
      await terminal.type('clear; echo input | agentfw run --rm --net off -- tr a-z A-Z | cat; echo "status=${PIPESTATUS[*]}"');
      await terminal.sees(/^INPUT\nstatus=0 0 0$/m);
      // The pager takes the terminal after our start and before our end: it must still have it then.
      await terminal.type(`clear; agentfw run --rm --net off -- sh -c ': ${area.dir}; seq 500; sleep 1.5' | (sleep .4; less); echo "status=\${PIPESTATUS[*]}"`);
      await terminal.sees(/^1\n2\n3\n/);
      await eventually('agentfw has ended', () => processesWith(`sh -c : ${area.dir}; seq 500`).length === 0);
      await terminal.press('q');
      await terminal.sees(/status=0 0/);
    });

    test('an interactive shell inside has job control of its own', async () => {
      await terminal.type(`agentfw run --net off -- env 'PS1=in> ' bash --norc --noprofile -i; echo "status=$?"`);
      await terminal.sees(/^in>/m);
      const [behind, front] = [ownSleep(), ownSleep()];
      await terminal.type(`${behind} &`);
      await terminal.type(front);
      await started(front);
      await terminal.press('C-z');
      await terminal.sees(new RegExp(`Stopped\\s+${front}`));
      await terminal.type('clear; bg; jobs');
      await terminal.sees(new RegExp(`Running\\s+${behind}[^]*Running\\s+${front}`));
      await terminal.type('clear; fg %2');
      await terminal.sees(new RegExp(`^${front}`, 'm'));
      await terminal.press('C-c');
      await terminal.type('echo "inner=$?"; kill %1; exit 7');

      await terminal.sees(/inner=130[^]*status=7/);
      expect(processesWith(behind)).toEqual([]);
    });

    test('E63 all three descriptors are terminals, `tty` names one, and the settings come back', async () => {
      await terminal.type('stty -a > before; agentfw run --net off -- sh -c \'tty; test -t 0 && test -t 1 && test -t 2 && echo all; stty -a > /dev/null && stty size\'; stty -a > after; cmp before after && echo unchanged');

      await terminal.sees(/^\/dev\/\S+\nall\n30 100\n[^]*unchanged$/m);
    });

    test('E127 no layer between: a terminal query is answered to the agent', async () => {
      await terminal.type(`agentfw run --net off -- bash -c 'printf "\\033[6n"; read -rs -d R -t 60 at; printf "got %q\\n" "$at"'; echo "status=$?"`);

      await terminal.sees(/got .*\[\d+;\d+[^]*status=0/);
    });

    test('in the background it does not take the terminal', async () => {
      await terminal.type(`agentfw run --net off -- sh -c 'sleep 0.3; echo from the background' & echo "still here"`);
      await terminal.sees(/still here/);
      await terminal.sees(/from the background/);
      await terminal.type('wait; echo "waited=$?"');
      await terminal.sees(/waited=0/);
    });
  }, 1);

  describe(`the status without a terminal as ${identity.name}`, () => {
    const { test } = needs('userns', 'overlay');
    let area: Area;
    beforeEach(() => { area = createArea(identity); });
    afterEach(() => area.remove());

    test('E129 death by a signal is 128 and its number', async () => {
      for (const [signal, status] of [['SEGV', 139], ['TERM', 143], ['KILL', 137], ['ABRT', 134]] as const) {
        const run = await area.cli(['run', '--rm', '--net', 'off', '--', 'sh', '-c', `kill -${signal} $$`]);
        expect(run.status, signal).toBe(status);
      }
    });

    test('E130 a parent that ignores SIGCHLD learns the status all the same', async () => {
      const argv = area.argv(['run', '--rm', '--net', 'off', '--', 'sh', '-c', 'exit 9']);
      const run = await area.native(['bash', '-c', `trap '' CHLD PIPE; "$@"; echo "status=$?"`, 'bash', ...argv]);
      expect(run.stdout).toBe('status=9\n');
    });

    test('E125 it runs under `script` and without any terminal', async () => {
      const line = area.argv(['run', '--rm', '--net', 'off', '--', 'sh', '-c', 'test -t 0 && echo terminal; exit 3']).map((word) => `'${word}'`).join(' ');
      const scripted = await area.native(['script', '-qec', line, '/dev/null']);
      expect([scripted.status, scripted.stdout.replaceAll('\r', '')]).toEqual([3, expect.stringContaining('terminal\n')]);

      const [first = '', ...rest] = area.argv(['run', '--rm', '--net', 'off', '--', 'sh', '-c', 'tty; exit 5']);
      const detached = await area.native(['setsid', '-w', first, ...rest]);
      expect([detached.status, detached.stdout]).toEqual([5, 'not a tty\n']);
    });

    it.skipIf(!existsSync('/proc/self/autogroup'))('the nice value of the session’s group of processes is the user’s again', async () => {
      const argv = area.argv(['run', '--rm', '--net', 'off', '--', 'sh', '-c', 'echo 19 > /proc/self/autogroup; cat /proc/self/autogroup']);
      const run = await area.native(['setsid', '-w', 'bash', '-c', 'echo 3 > /proc/self/autogroup; "$@"; cat /proc/self/autogroup', 'bash', ...argv]);
      expect(run.stdout, run.stderr).toMatch(/^(\S+) nice 19\n\1 nice 3\n$/);
    });

    test('a SIGTERM to `agentfw run` reaches the agent, whose own status comes back', async () => {
      const argv = area.argv(['run', '--rm', '--net', 'off', '--', 'bash', '-c', 'trap "exit 6" TERM; echo up; sleep 1000 & wait']);
      const run = await area.native(['bash', '-c', `"$@" > out & until grep -q up out; do sleep 0.05; done; kill -TERM $!; wait $!; echo "status=$?"`, 'bash', ...argv]);
      expect(run.stdout).toBe('status=6\n');
    });
  });
}

/** Until the process itself, not only `agentfw run`, shows on the host. */
async function started(command: string): Promise<void> {
  await eventually(`${command} runs`, () => processesWith(new RegExp(`^${command}$`)).length > 0);
}
