/** On a terminal what is longer than a screen goes through the user's pager, as git does it. */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, type Area } from '../helpers/sandbox.js';
import { openTerminal, type Terminal } from '../helpers/tmux.js';

for (const identity of identities()) {
  needs('tmux', 'userns', 'overlay').describe(`a pager as ${identity.name}`, () => {
    let area: Area;
    let terminal: Terminal;
    beforeEach(async () => {
      area = createArea(identity);
      await area.native(['sh', '-c', 'seq 300 >numbers']);
      const run = await area.cli(['run', '--tag', 'job', '--net', 'off', '--', 'sh', '-c', 'seq 1 2 600 >numbers']);
      expect(run.stderr).toContain('1 modified in job');
      terminal = await openTerminal(area);
    });
    afterEach(async () => {
      await terminal.close();
      await area.remove();
    });

    /** A pager that keeps what it shows, and says when it begins and ends. */
    function pager(body: string): string {
      const file = join(area.project, 'pager');
      writeFileSync(file, `#!/bin/sh\ntrap : INT\nexec 3<&0 </dev/tty\necho begins\n${body}\necho ends\n`);
      chmodSync(file, 0o755);
      return file;
    }

    it('is shown what else is printed, in colour, and the command ends after it', async () => {
      const file = pager('cat <&3 >kept; read line');
      await terminal.type(`NO_COLOR= AGENTFW_PAGER=${file} PAGER=false agentfw diff job; echo "status=$?"`);
      await terminal.sees(/^begins$/m);
      expect(await terminal.screen()).not.toMatch(/status=\d|ends$/m);
      await terminal.press('C-c', 'Enter');
      await terminal.sees(/^ends\nstatus=0$/m);

      const shown = readFileSync(join(area.project, 'kept'), 'utf8');
      const plain = await area.cli(['diff', 'job']);
      expect(stripVTControlCharacters(shown)).toBe(plain.stdout);
      expect(shown).not.toBe(plain.stdout);
    });

    it('may be left early', async () => {
      const file = pager('head -n 1 <&3; exec 3<&-');
      await terminal.type(`PAGER=${file} agentfw show job:numbers; echo "status=$?"`);
      await terminal.sees(/^begins\n1\nends\nstatus=0$/m);
    });

    it('does not come for a status, for JSON, for a failure, or where none is wanted', async () => {
      const file = pager('cat <&3 >/dev/null');
      await terminal.type(`export PAGER=${file}; clear`);
      await terminal.type('agentfw diff job --exit-code >/dev/tty; agentfw log job --json; agentfw show job:nothing; echo "status=$?"');
      await terminal.sees(/does not exist[^]*status=1$/m);
      await terminal.type('clear; TERM=dumb agentfw show job:numbers; AGENTFW_PAGER= agentfw show job:numbers; PAGER=cat agentfw diff job --stat; echo "status=$?"');
      await terminal.sees(/^599\n[^]*numbers.*\n[^]*status=0$/m);
      expect(await terminal.screen()).not.toContain('begins');
    });

    it('that is not there is named', async () => {
      await terminal.type('AGENTFW_PAGER="no-such-pager -x" agentfw diff job; echo "status=$?"');
      const screen = await terminal.sees(/status=1$/m);
      expect(screen).toContain("Error: Can't start the pager: no-such-pager -x");
      expect(screen).toContain('Hint: Set PAGER');
    });

    it('is never one that lies in the directory, and what an agent wrote acts on no terminal behind it', async () => {
      const esc = await area.cli(['run', '--tag', 'esc', '--net', 'off', '--', 'sh', '-c', 'printf "\\033]0;owned\\007\\n" >title']);
      expect(esc.stderr).toContain('1 added in esc');
      pager('echo fooled <&3');
      await area.native(['mv', 'pager', 'less']);
      await terminal.type('PATH=.:$PATH; unset PAGER AGENTFW_PAGER; clear; agentfw diff esc title; echo "status=$?"');
      const screen = await terminal.sees(/status=0$/m);
      expect(screen).not.toContain('fooled');
      expect(screen).toMatch(/^\+\S*\]0;owned/m);
      await terminal.type('clear; AGENTFW_PAGER="cat >kept" agentfw diff esc title; echo "status=$?"');
      await terminal.sees(/status=0$/m);
      expect(readFileSync(join(area.project, 'kept'), 'latin1')).not.toMatch(/\x1b\]|\x07/);
    });

    it('is not taken for what goes elsewhere', async () => {
      const file = pager('cat <&3 >/dev/null');
      await terminal.type(`PAGER=${file} agentfw diff job --name-only | cat; echo "done"`);
      expect(await terminal.sees(/^done$/m)).not.toContain('begins');
    });
  });
}
