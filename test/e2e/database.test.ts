/** A database of SQLite that both sides use: what is beside it goes where it goes. */
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, jsonOf, type Area } from '../helpers/sandbox.js';

interface Done {
  readonly commit: string | null;
  readonly refused: readonly { readonly path: string }[];
}

const { test } = needs('userns', 'overlay');
/** Leaves its log behind, as a program that is killed does. */
const write = (row: string, mode = 'wal'): string =>
  `python3 -c "import os, sqlite3; c = sqlite3.connect('a.db'); c.execute('pragma journal_mode=${mode}'); c.execute('pragma wal_autocheckpoint=0'); c.execute('create table if not exists t(x)'); c.execute('insert into t values (?)', ('${row}',)); c.commit(); os._exit(0)"`;
/** Closed as it should be: the log goes into the database. */
const close = `python3 -c "import sqlite3; c = sqlite3.connect('a.db'); c.execute('select * from t').fetchall(); c.close()"`;
const READ = `python3 -c "import sqlite3; c = sqlite3.connect('file:a.db?mode=rw', uri=True); print(*c.execute('pragma integrity_check').fetchone(), *[x for x, in c.execute('select x from t')])"`;

for (const identity of identities()) {
  describe(`a database as ${identity.name}`, () => {
    let area: Area;
    const host = async (script: string): Promise<string> => {
      const { status, stdout, stderr } = await area.native(['bash', '-euc', script]);
      expect(status, stderr).toBe(0);
      return stdout;
    };
    const agent = async (script: string): Promise<void> => {
      const { status, stderr } = await area.cli(['run', '--tag', 'box', '--net', 'off', '--', 'bash', '-euc', script]);
      expect(status, stderr).toBe(0);
    };
    const land = async (...words: readonly string[]): Promise<Done> => jsonOf<Done>(await area.cli(['commit', 'box', '--yes', '--json', ...words]));
    const undo = async (): Promise<Done> => jsonOf<Done>(await area.cli(['undo', '--json']));
    const names = ({ refused }: Done): readonly string[] => refused.map(({ path }) => path.slice(area.project.length + 1)).filter((name) => !name.endsWith('-shm')).sort();
    const rows = async (): Promise<string> => host(READ);

    beforeEach(async () => {
      area = createArea(identity);
      await host(`${write('one')}; ${close}; sleep 0.05`);
    });
    afterEach(() => area.remove());

    test('lands with its log, also when only one of them is named, and goes back', async () => {
      await agent(`${write('agent')}; test -s a.db-wal; ${write('more', 'delete')}; ${write('last')}; test -s a.db-wal`);

      expect(names(await land(join(area.project, 'a.db')))).toEqual([]);
      expect(await host('ls')).toContain('a.db-wal');
      expect(names(await undo())).toEqual([]);
      expect(await rows()).toBe('ok one\n');
    });

    test('of many files lands and goes back as one', async () => {
      const both = (word: string): string => `mkdir -p pg/global pg/base; echo ${word} | tee pg/global/pg_control pg/base/1 > pg/base/2`;
      const words = (): Promise<string> => host('cat pg/global/pg_control pg/base/1 pg/base/2 | tr "\\n" " "');
      await host(`${both('old')}; sleep 0.05`);
      await agent(`${both('agent')}; echo new > pg/base/3`);
      await host('echo user > pg/global/pg_control');

      expect(names(await land())).toEqual(['pg/base/1', 'pg/base/2', 'pg/base/3', 'pg/global/pg_control']);
      expect(await words()).toBe('user old old ');

      expect(names(await land('--take', 'sandbox', 'pg/global/pg_control'))).toEqual([]);
      expect(await words()).toBe('agent agent agent ');
      await host('echo user > pg/global/pg_control');
      expect(names(await undo())).toEqual(['pg/base/1', 'pg/base/2', 'pg/base/3', 'pg/global/pg_control']);
      expect(await words()).toBe('user agent agent ');
    });

    test('conflicts when the host wrote a log and left the database alone', async () => {
      await agent(`${write('agent')}; ${close}`);
      await host(`${write('user')}; test -s a.db-wal`);

      expect(names(await land())).toEqual(['a.db']);
      expect(await rows()).toBe('ok one user\n');
    });

    test('its log conflicts when the host wrote the database', async () => {
      await agent(`${write('agent')}; test -s a.db-wal`);
      await host(`${write('user')}; ${close}; test ! -e a.db-wal`);

      expect(names(await land())).toContain('a.db-wal');
      expect(await rows()).toBe('ok one user\n');
    });

    test('is discarded with its log, whichever is named, and comes back with it', async () => {
      const back = async (script = ''): Promise<string> =>
        (await area.cli(['run', '--in', 'box', '--net', 'off', '--', 'bash', '-euc', `${script} ls a.db*; cp a.db* /tmp; cd /tmp; ${READ}`])).stdout;
      await agent(`${write('agent')}; ${write('more', 'delete')}; ${write('last')}; test -s a.db-wal`);
      const own = await back();
      expect(own).toContain('ok one agent');

      for (const named of ['a.db', 'a.db-wal']) {
        const { commit, added } = jsonOf<Done & { added: string[] }>(await area.cli(['discard', 'box', '--yes', '--json', named]));
        expect(added.map((path) => path.slice(area.project.length + 1))).toEqual([named === 'a.db' ? 'a.db-wal' : 'a.db']);
        expect(await back('rm -f a.db-shm;')).toBe('a.db\nok one\n');
        expect(await area.cli(['undo', commit ?? ''])).toMatchObject({ status: 0, stderr: 'Gave 2 changes back to the sandbox\n' });
        expect(await back()).toContain('ok one agent');
      }
    });

    test('stays when the host wrote a log after it landed', async () => {
      await agent(`${write('agent')}; ${close}`);
      expect(names(await land())).toEqual([]);
      await host(`${write('user')}; test -s a.db-wal`);

      expect(names(await undo())).toEqual(['a.db']);
      expect(await rows()).toBe('ok one agent user\n');
    });
  });
}
