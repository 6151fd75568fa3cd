import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Bytes } from '../../src/bytes.js';
import { KernelError, RENAME, type Kernel } from '../../src/kernel/kernel.js';
import { decodeRecord, encodeRecord } from '../../src/sandbox/record.js';
import type { SandboxRecord } from '../../src/sandbox/sandbox.js';
import { listRecords, lockCommit, lockRunning, openStore, readRecord, reopenStore, sandboxDir, writeRecord } from '../../src/sandbox/store.js';
import { isTag } from '../../src/sandbox/tag.js';
import { trashSandbox } from '../../src/sandbox/trash.js';
import { testContext } from '../helpers/context.js';
import { tempDir } from '../kernel/temp.js';
import { codeOf, locks, make, storeIn } from './made.js';

const root = process.getuid?.() === 0;

describe('openStore', () => {
  test('takes `AGENTFW_STATE_DIR`, then `XDG_STATE_HOME`, then `HOME`', () => {
    const dir = tempDir();

    expect(openStore(testContext({ AGENTFW_STATE_DIR: `${dir}/a/b`, HOME: dir })).dir).toBe(`${dir}/a/b`);
    expect(openStore(testContext({ XDG_STATE_HOME: `${dir}/x`, HOME: dir })).dir).toBe(`${dir}/x/agentfw`);
    expect(openStore(testContext({ XDG_STATE_HOME: 'relative', HOME: dir })).dir).toBe(`${dir}/.local/state/agentfw`);
    expect(codeOf(() => openStore(testContext({ AGENTFW_STATE_DIR: 'relative' })))).toBe('AFW_USAGE');
    expect(codeOf(() => openStore(testContext({})))).toBe('AFW_STORE_PLACE');
  });

  test('makes no home directory that isn’t there, and takes another place', () => {
    const home = `${tempDir()}/home`;

    expect(() => openStore(testContext({ HOME: home }))).toThrow(`the home directory ${home} does not exist`);
    expect(existsSync(home)).toBe(false);
    expect(openStore(testContext({ HOME: home, XDG_STATE_HOME: `${home}-state` })).dir).toBe(`${home}-state/agentfw`);
  });

  test('makes it with mode 0700, and closes one that was opened up', () => {
    const dir = tempDir();
    storeIn(dir);
    chmodSync(`${dir}/state`, 0o755);

    storeIn(dir);

    expect(statSync(`${dir}/state`).mode & 0o7777).toBe(0o700);
    expect(readFileSync(`${dir}/state/format`, 'utf8')).toBe('agentfw store 1\n');
  });

  test('refuses a directory that holds other files, and leaves it as it is', () => {
    const dir = tempDir();
    mkdirSync(`${dir}/state`, { mode: 0o755 });
    writeFileSync(`${dir}/state/thesis.tex`, '');

    expect(codeOf(() => storeIn(dir))).toBe('AFW_STORE_PLACE');
    expect(readdirSync(`${dir}/state`)).toEqual(['thesis.tex']);
    expect(statSync(`${dir}/state`).mode & 0o777).toBe(0o755);
  });

  test('opened again by its path, is the same one, and never made anew', () => {
    const dir = tempDir();
    const store = storeIn(dir);

    expect(reopenStore(store.context, store.dir)).toEqual(store);
    rmSync(store.dir, { recursive: true });
    expect(reopenStore(store.context, store.dir)).toBeNull();
    mkdirSync(store.dir);
    expect(reopenStore(store.context, store.dir)).toBeNull();
    expect(readdirSync(store.dir)).toEqual([]);
  });

  test('refuses another format by its name', () => {
    const dir = tempDir();
    storeIn(dir);
    writeFileSync(`${dir}/state/format`, 'agentfw store 9\n');

    expect(() => storeIn(dir)).toThrow(/"agentfw store 9"/);
  });

  test.runIf(root)('RS04: refuses a store that belongs to another user', () => {
    const dir = tempDir();
    storeIn(dir);
    chownSync(`${dir}/state`, 1234, 1234);

    expect(codeOf(() => storeIn(dir))).toBe('AFW_STORE_PLACE');
  });

  test.runIf(root)('RS04: refuses a store reached by another user’s symlink', () => {
    const dir = tempDir();
    mkdirSync(`${dir}/real`);
    symlinkSync('real', `${dir}/link`);
    spawnSync('chown', ['-h', '1234', `${dir}/link`]);

    expect(codeOf(() => openStore(testContext({ AGENTFW_STATE_DIR: `${dir}/link/state` })))).toBe('AFW_STORE_PLACE');
    expect(existsSync(`${dir}/real/state`)).toBe(false);
  });

  test('RS04: refuses a store that is a symlink itself', () => {
    const dir = tempDir();
    mkdirSync(`${dir}/real`);
    symlinkSync('real', `${dir}/state`);

    expect(codeOf(() => storeIn(dir))).toBe('AFW_STORE_PLACE');
    expect(readdirSync(`${dir}/real`)).toEqual([]);
  });

  test('refuses links on the way that lead in a circle', () => {
    const dir = tempDir();
    symlinkSync(`${dir}/b`, `${dir}/a`);
    symlinkSync(`${dir}/a`, `${dir}/b`);

    expect(() => storeIn(`${dir}/a`)).toThrow('it has too many symlinks');
  });

  test('refuses a mask that takes the own rights from what it makes, and says which would do', () => {
    const dir = tempDir();
    const mask = process.umask(0o377);
    try {
      expect(() => storeIn(dir)).toThrow(expect.objectContaining({ code: 'AFW_UMASK', hint: 'Set another one first: umask 077' }));
    } finally {
      process.umask(mask);
    }
    expect(readdirSync(dir)).toEqual([]);
  });

  test('RS04: refuses a directory on the way that everybody can write', () => {
    const dir = tempDir();
    mkdirSync(`${dir}/open`);
    chmodSync(`${dir}/open`, 0o777);

    expect(() => openStore(testContext({ AGENTFW_STATE_DIR: `${dir}/open/state` })))
      .toThrow(expect.objectContaining({ code: 'AFW_STORE_PLACE', message: `Refusing to use ${dir}/open/state as the store: everybody can replace what is in ${dir}/open.` }));
  });

  test('follows the user’s own symlinks on the way to the real place', () => {
    const dir = tempDir();
    mkdirSync(`${dir}/real/deep`, { recursive: true });
    symlinkSync('real/deep', `${dir}/link`);
    symlinkSync(`${dir}/link/..`, `${dir}/back`);

    expect(openStore(testContext({ AGENTFW_STATE_DIR: `${dir}/link/s` })).dir).toBe(`${dir}/real/deep/s`);
    expect(openStore(testContext({ AGENTFW_STATE_DIR: `${dir}/back/s` })).dir).toBe(`${dir}/real/s`);
  });
});

describe('createSandbox', () => {
  test('makes a whole sandbox with its lock held', () => {
    const store = storeIn(tempDir());

    const record = make(store, 'fix-login');

    expect(readdirSync(sandboxDir(store, 'fix-login')).sort()).toEqual(['base', 'layers', 'private', 'running.lock', 'sandbox.json', 't0']);
    expect(record).toMatchObject({ tag: 'fix-login', state: 'starting', created: '2026-01-02T03:04:05.000Z', bootId: 'boot-1' });
    expect(record.t0).toBe(statSync(`${store.dir}/sandboxes/fix-login/t0`, { bigint: true }).ctimeNs);
    expect(readRecord(store, 'fix-login')).toEqual(record);
    expect(codeOf(() => lockRunning(store, 'fix-login'))).toBe('AFW_RUNNING');
  });

  test('refuses a tag that is taken, and leaves no draft', () => {
    const store = storeIn(tempDir());
    make(store, 'a');

    expect(codeOf(() => make(store, 'a'))).toBe('AFW_TAG_TAKEN');
    expect(readdirSync(`${store.dir}/sandboxes`)).toEqual(['a']);
  });

  test('refuses a tag that another run takes at the same moment', () => {
    const store = storeIn(tempDir());
    make(store, 'a');
    const unseeing = { ...store, kernel: { ...store.kernel, statOrNull: () => null } };

    expect(codeOf(() => make(unseeing, 'a'))).toBe('AFW_TAG_TAKEN');
  });

  test('names a sandbox by its agent', () => {
    const store = storeIn(tempDir());

    expect(make(store, null).tag).toMatch(/^claude-[a-z]{4}$/);
    expect(isTag(make(store, null).tag)).toBe(true);
  });
});

describe('a record', () => {
  const bytes = fc.uint8Array({ maxLength: 9 }).map((raw) => Buffer.from(raw).toString('latin1') as Bytes);
  const record = fc.record<SandboxRecord>({
    version: fc.constant(1), tag: fc.constant('t'), state: fc.constantFrom('stopped', 'unclean'), mode: fc.constantFrom('user', 'root'),
    argv: fc.array(bytes), cwd: bytes, created: fc.string(), started: fc.string(), stopped: fc.option(fc.string()),
    t0: fc.bigInt({ min: 0n, max: 1n << 63n }), bootId: fc.string(),
    layers: fc.array(fc.record({
      id: fc.nat(), base: bytes, dir: bytes, family: fc.constantFrom('user' as const, 'trusted' as const), covered: fc.array(bytes), skeleton: fc.boolean(),
    })),
    driver: fc.option(fc.record({ pid: fc.nat(), start: fc.string() })), init: fc.option(fc.record({ pid: fc.nat(), start: fc.string() })),
    exit: fc.oneof(fc.constant(null), fc.record({ code: fc.nat(255) }), fc.record({ signal: fc.nat(64) })),
    degraded: fc.array(fc.record({ name: fc.string(), why: fc.string() })), net: fc.constantFrom('off', 'allow', 'ask', 'deny'),
    mounts: fc.array(fc.record({ path: bytes, decision: fc.string(), why: fc.string() })), durable: fc.boolean(),
  });

  test('comes back from its text, byte for byte', () => {
    fc.assert(fc.property(record, (value) => {
      expect(decodeRecord(encodeRecord(value), 'x')).toEqual(value);
    }));
  });

  test.each([
    ['{', 'AFW_STORE_RECORD'],
    ['[]', 'AFW_STORE_RECORD'],
    ['{"version":2}', 'AFW_STORE_VERSION'],
    ['{"version":1,"tag":7}', 'AFW_STORE_RECORD'],
  ])('is refused when it is %s', (text, code) => {
    expect(codeOf(() => decodeRecord(text, 'sandbox.json'))).toBe(code);
  });

  test('of a run that died counts as `stopped`, or `unclean` after a machine crash', () => {
    const store = storeIn(tempDir());
    const running: SandboxRecord = { ...make(store, 'a'), state: 'running' };
    writeRecord(store, running);
    expect(readRecord(store, 'a').state).toBe('running');

    locks.pop()?.release();
    expect(readRecord(store, 'a').state).toBe('stopped');

    writeRecord(store, { ...running, bootId: 'boot-0' });
    expect(readRecord(store, 'a').state).toBe('unclean');

    writeRecord(store, { ...running, bootId: 'boot-0', durable: true });
    expect(readRecord(store, 'a').state).toBe('stopped');
  });

  test('of a store that was moved names its layers where they are now, and those elsewhere as before', () => {
    const dir = tempDir();
    const store = storeIn(dir);
    const layer = { id: 0, base: '/w' as Bytes, family: 'user' as const, covered: [], skeleton: false };
    const elsewhere = { ...layer, id: 1, dir: '/mnt/.agentfw-0/a.0123/1' as Bytes };
    writeRecord(store, { ...make(store, 'a'), state: 'stopped', layers: [{ ...layer, dir: `${sandboxDir(store, 'a')}/layers/0` as Bytes }, elsewhere] });
    const moved = `${dir}/moved`;
    renameSync(store.dir, moved);
    const there = openStore(testContext({ AGENTFW_STATE_DIR: moved }));

    expect(readRecord(there, 'a').layers.map((one) => one.dir)).toEqual([`${moved}/sandboxes/a/layers/0`, elsewhere.dir]);
  });

  test('that can’t be read is listed as broken and hides no other', () => {
    const store = storeIn(tempDir());
    make(store, 'good');
    make(store, 'bad');
    writeFileSync(`${store.dir}/sandboxes/bad/sandbox.json`, '');

    const { records, broken } = listRecords(store);

    expect(records.map(({ tag }) => tag)).toEqual(['good']);
    expect(broken.map(({ tag }) => tag)).toEqual(['bad']);
  });
});

describe('what lies in the place of a sandbox', () => {
  test('RS04: a link to one, and one of somebody else, are refused and named', () => {
    const store = storeIn(tempDir());
    make(store, 'linked');
    const outside = `${tempDir()}/linked`;
    renameSync(`${store.dir}/sandboxes/linked`, outside);
    symlinkSync(outside, `${store.dir}/sandboxes/linked`);
    if (root) {
      make(store, 'theirs');
      chownSync(`${store.dir}/sandboxes/theirs`, 12, 12);
    }

    for (const tag of root ? ['linked', 'theirs'] : ['linked']) {
      for (const use of [readRecord, lockRunning]) expect(codeOf(() => use(store, tag)), tag).toBe('AFW_STORE_FILE');
    }
    expect(listRecords(store).broken.map(({ tag }) => tag).sort()).toEqual(root ? ['linked', 'theirs'] : ['linked']);
  });

  test('a copy of one, or one that was renamed, is not taken for the one that it was', () => {
    const store = storeIn(tempDir());
    make(store, 'fix');
    cpSync(`${store.dir}/sandboxes/fix`, `${store.dir}/sandboxes/fix-backup`, { recursive: true });

    for (const use of [readRecord, lockRunning]) expect(codeOf(() => use(store, 'fix-backup'))).toBe('AFW_STORE_RECORD');
    expect(listRecords(store).records.map(({ tag }) => tag)).toEqual(['fix']);
  });
});

describe('locks', () => {
  test('of a killed process are free at once', async () => {
    const store = storeIn(tempDir());
    make(store, 'a');
    locks.pop()?.release();
    const lock = `${store.dir}/sandboxes/a/running.lock`;
    const holder = spawn('flock', [lock, 'sleep', '600'], { stdio: 'ignore', detached: true });
    while (codeOf(() => lockRunning(store, 'a').release()) !== 'AFW_RUNNING') await new Promise((go) => setTimeout(go, 5));

    process.kill(-(holder.pid ?? 0), 'SIGKILL');
    await new Promise((ended) => holder.on('exit', ended));

    lockRunning(store, 'a').release();
  });

  test('tell the user when they wait, and notice a sandbox that went away meanwhile', () => {
    const store = storeIn(tempDir());
    const record = make(store, 'a');
    const lock = `${store.dir}/sandboxes/a/commit.lock`;
    const said: string[] = [];
    const holder = spawn('flock', [lock, 'sleep', '0.2'], { stdio: 'ignore' });
    while (holder.pid === undefined || spawnSync('flock', ['-n', lock, 'true']).status === 0);

    const code = codeOf(() =>
      lockCommit(store, 'a', () => {
        said.push('waits');
        trashSandbox(store, record);
      }),
    );

    expect(said).toEqual(['waits']);
    expect(code).toBe('AFW_NO_SANDBOX');
  });

  test('of a sandbox that another command discards at that moment are those of none', () => {
    const store = storeIn(tempDir());
    for (const [file, lock] of [['commit.lock', lockCommit], ['running.lock', lockRunning]] as const) {
      const record = make(store, 'a');
      // Gone between the look at its record and that at its lock.
      const open: Kernel['open'] = (dir, path, ...rest) => {
        if (path.endsWith(file) && existsSync(dirname(path))) trashSandbox(store, record);
        return store.kernel.open(dir, path, ...rest);
      };

      expect(codeOf(() => lock({ ...store, kernel: { ...store.kernel, open } }, 'a', () => undefined)), file).toBe('AFW_NO_SANDBOX');
    }
  });

  test('of a run that is about to record its end are waited for', () => {
    const store = storeIn(tempDir());
    const record = make(store, 'a');
    locks.pop()?.release();
    const lock = `${store.dir}/sandboxes/a/running.lock`;
    const gone = { pid: 1, start: '0' };
    for (const state of [{ state: 'stopped' }, { state: 'running', driver: gone, init: gone }] as const) {
      writeRecord(store, { ...record, ...state });
      const holder = spawn('flock', [lock, 'sleep', '600'], { stdio: 'ignore', detached: true });
      while (spawnSync('flock', ['-n', lock, 'true']).status === 0);
      const said: string[] = [];

      lockRunning(store, 'a', (what) => {
        said.push(what);
        process.kill(-(holder.pid ?? 0), 'SIGKILL');
      }).release();

      expect(said).toEqual(['what else holds a to let go']);
    }
  });
});

test('a store where renames know no flags, as on many filesystems of FUSE, is refused with what to do', () => {
  const store = storeIn(tempDir());
  const kernel: Kernel = {
    ...store.kernel,
    rename: (...args) => {
      if (args[4] !== RENAME.replace) throw new KernelError('EINVAL', 22, 'renameat2', null, 'EINVAL: Invalid argument, renameat2');
      store.kernel.rename(...args);
    },
  };

  expect(() => make({ ...store, kernel }, 'fix')).toThrow(expect.objectContaining({ code: 'AFW_STORE_PLACE', status: 125, hint: expect.stringContaining('AGENTFW_STATE_DIR') as string }));
});
