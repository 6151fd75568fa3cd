/** Kill -9 of anything, at any moment; a full disk under the store. */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test as plain } from 'vitest';
import { needs } from '../helpers/needs.js';
import { allIdentities, createArea, eventually, identities, jsonOf, mountsBelow, onRootDisk, processesWith, python, type Area } from '../helpers/sandbox.js';

type Victim = 'supervisor' | 'driver' | 'init';
interface Listed {
  readonly tag: string;
  readonly state: string;
}

/** Milliseconds after the start: set-up, just started, well into the work. */
const moments = [0, 15, 40, 70, 110, 160, 250, 400];
/** Writes files whose content is their name, forever. */
const worker = 'n=0; while :; do n=$((n+1)); echo "$n" > "work/$n.tmp"; mv "work/$n.tmp" "work/$n"; done';

const { test } = needs('userns', 'overlay');

for (const identity of identities()) {
  describe(`kill -9 as ${identity.name}`, () => {
    let area: Area;
    beforeAll(async () => {
      area = createArea(identity);
      await area.native(['mkdir', 'work']);
    });
    afterAll(() => area.remove());

    test('what the agent made of the mode of its output file goes with a killed driver', async () => {
      const file = join(area.project, 'tool');
      // The file is of whoever runs it.
      const [program, ...words] = area.as(['sh', '-c', 'exec "$@" > tool', 'sh', ...area.argv(['run', '--tag', 'tool', '--net', 'off', '--', 'sh', '-c', 'chmod 4755 /proc/self/fd/1; sleep 1000'])]);
      const agent = spawn(program!, words, { cwd: area.project, env: { ...area.env }, stdio: 'ignore' });
      const ended = new Promise((done) => agent.once('exit', done));
      await eventually('the mode is set', () => existsSync(file) && (statSync(file).mode & 0o4000) !== 0);
      process.kill(jsonOf<{ readonly driver: number }>(await area.cli(['status', 'tool', '--json'])).driver, 'SIGKILL');
      await ended;

      expect(statSync(file).mode & 0o7777).toBe(0o755);
    });

    needs('python').test('`agentfw kill` returns when nobody holds the sandbox any more, whatever its supervisor had to count', async () => {
      const agent = 'import os, time\nos.mkdir("many")\nfor n in range(5000): os.mkdir(f"many/{n}")\nopen("made", "w").close()\ntime.sleep(1000)';
      await area.cli(['run', '--detach', '--tag', 'many', '--net', 'off', '--', python, '-c', agent]);
      await eventually('all is made', async () => (await area.cli(['show', 'many:made'])).status === 0);

      const held = 'flock -n "$AGENTFW_STATE_DIR/sandboxes/many/running.lock" true';
      const killed = await area.native(['sh', '-c', `"$@" && ${held}`, 'sh', ...area.argv(['kill', 'many'])]);
      expect(killed, killed.stderr).toMatchObject({ status: 0 });
      expect(await area.cli(['discard', 'many', '--yes'])).toMatchObject({ status: 0 });
    });

    for (const victim of ['supervisor', 'driver', 'init'] as const) {
      for (const moment of moments) {
        test(`RS02 of the ${victim} ${moment} ms after the start ends the tree and keeps the layers`, async () => {
          const tag = `${victim}-${moment}`;
          const child = start(area, ['run', '--tag', tag, '--net', 'off', '--', 'sh', '-c', `: ${area.dir}-${tag}; ${worker}`]);
          const ended = new Promise((done) => child.once('exit', done));
          await new Promise((go) => setTimeout(go, moment));
          await strike(child, victim);
          await ended;

          await eventually('every process has ended', () => processesWith(`${area.dir}-${tag}`).length === 0);
          expect(mountsBelow(area.dir)).toEqual([]);
          expect(readdirSync(join(area.project, 'work'))).toEqual([]);

          const { sandboxes } = jsonOf<{ readonly sandboxes: readonly Listed[] }>(await area.cli(['list', '--json']));
          const listed = sandboxes.find((sandbox) => sandbox.tag === tag);
          if (listed === undefined) {
            // Struck before anything was made: nothing may be left half.
            expect(existsSync(join(area.state, 'sandboxes', tag))).toBe(false);
            return;
          }
          expect(['stopped', 'unclean'], listed.state).toContain(listed.state);

          const again = await area.cli(['run', '--in', tag, '--net', 'off', '--', 'sh', '-c',
            'for f in work/*[0-9]; do test ! -e "$f" || echo "$f $(cat "$f")"; done']);
          expect(again.status, again.stderr).toBe(0);
          const torn = again.stdout.split('\n').filter((line) => line !== '' && !/^work\/(\d+) \1$/.test(line));
          expect(torn, 'files that are not whole').toEqual([]);

          expect((await area.cli(['discard', tag, '--yes'])).status).toBe(0);
        });
      }
    }
  });

  describe(`a hangup as ${identity.name}`, () => {
    let area: Area;
    beforeAll(() => { area = createArea(identity); });
    afterAll(() => area.remove());

    for (const moment of [0, 1000]) test(`RS02 \`kill\` ends a run whose supervisor is stopped ${moment} ms after the start`, async () => {
      const tag = `held-${moment}`;
      // Nobody else sleeps for so long.
      const nap = `sleep 60${process.pid}${moment}`;
      const child = start(area, ['run', '--tag', tag, '--net', 'off', '--', 'sh', '-c', `: ${area.dir}-${tag}; exec ${nap}`]);
      const ended = new Promise((done) => child.once('exit', done));
      await eventually('the agent runs', () => processesWith(nap).length > 1);
      await new Promise((go) => setTimeout(go, moment));
      child.kill('SIGSTOP');

      const killed = await area.cli(['kill', tag]);
      expect(killed.stderr).toBe(`Killed ${tag}\n`);
      expect(await ended).toBe(137);
      expect((await area.cli(['list'])).stdout).toMatch(new RegExp(`^${tag} +stopped`, 'm'));
    });

    test('`kill` ends a run whose log can’t be written, and with `--all` no one that stays keeps the others', async () => {
      const dir = (tag: string): string => join(area.state, 'sandboxes', tag);
      for (const tag of ['one', 'logless', 'unread']) expect((await area.cli(['run', '--detach', '--tag', tag, '--net', 'off', '--', 'sleep', '700'])).status).toBe(0);
      await area.native(['sh', '-c', 'mv logless/audit.jsonl logless/kept; mkdir logless/audit.jsonl; mv unread/sandbox.json unread/kept; echo "{" > unread/sandbox.json'], { cwd: join(area.state, 'sandboxes') });

      const all = await area.cli(['kill', '--all']);
      await area.native(['mv', 'kept', 'sandbox.json'], { cwd: dir('unread') });
      expect(all.status).toBe(1);
      expect(all.stderr.split('\n')).toEqual([
        `Warning: unread is not ended: Can't read ${dir('unread')}/sandbox.json.`,
        expect.stringMatching(/^Warning: That logless is killed can't be written into its audit log: \S+\/logless\/audit\.jsonl is not a regular file\.$/),
        'Killed logless', 'Killed one', '',
      ]);
      expect(await area.cli(['kill', '--all', '--json'])).toMatchObject({ status: 0, stdout: '{"version":1,"killed":["unread"]}\n' });
    });

    test('ends a run, and none that nohup started', async () => {
      const run = area.argv(['run', '--rm', '--net', 'off', '--', 'sh', '-c', 'echo up; read word; echo "done $word"']).map(quote).join(' ');
      // The agent waits for a word until both that may hear the signal have got it.
      const outcome = await area.native(['bash', '-c', `
        for how in '' nohup; do
          rm -f go out; mkfifo go
          if test "$how" = nohup; then nohup ${run} < go > out 2> err & else ${run} < go > out 2> err & fi
          pid=$!
          exec 9<> go
          until grep -q up out; do kill -0 $pid || exit 1; sleep 0.05; done
          for one in $pid $(cat /proc/$pid/task/*/children); do kill -HUP $one; done
          test "$how" = nohup && echo word >&9
          wait $pid; echo "\${how:-plain} $?: $(tr '\\n' ' ' < out)"
          exec 9>&-
        done`]);
      expect(outcome.stdout, outcome.stderr).toBe('plain 129: up \nnohup 0: up done word \n');
    });
  });
}

for (const identity of allIdentities()) {
  needs('root').describe(`a full disk under the store as ${identity.name}`, () => {
    let area: Area;
    beforeAll(() => { area = createArea(identity); });
    afterAll(() => area.remove());

    (onRootDisk() ? needs('root', 'overlay') : { test: plain.skip }).test('E89 RS01 the agent gets ENOSPC, agentfw a sentence, and what was written stays', async () => {
      const agentfw = area.as(area.argv([])).map(quote).join(' ');
      const outcome = await asRootIn(area, `
        mount -t tmpfs -o size=24m,mode=0700,uid=${identity.uid},gid=${identity.gid} none ${quote(area.state)}
        ${agentfw} run --tag full --net off -- sh -c 'echo kept > kept; head -c 100000000 /dev/zero > big; echo "agent $?"; rm big; echo after > after' 2>run.err
        echo "run $?"
        ${agentfw} diff full --name-only; echo "diff $?"
        ${agentfw} run --in full --net off -- sh -c 'head -c 100000000 /dev/zero > big' 2>full.err
        echo "second $?"
        ${agentfw} discard full --yes >&2; echo "discard $?"
      `);

      expect(outcome.stdout, outcome.stderr).toContain('agent 1\nrun 0\n');
      expect(readFileSync(join(area.project, 'run.err'), 'utf8')).toContain('No space left on device');
      expect(outcome.stdout).toContain(`${area.project}/after\n`);
      expect(outcome.stdout).toContain(`${area.project}/kept\n`);
      expect(outcome.stdout).toContain('diff 0\nsecond 1\ndiscard 0\n');
      const said = readFileSync(join(area.project, 'full.err'), 'utf8').split('\n').filter((line) => !line.startsWith('head:'));
      expect(said.join('\n')).toMatch(/full|space|room/i);
    });

    (onRootDisk() ? needs('root', 'overlay') : { test: plain.skip }).test('AU05 with `audit.full: drop` the agent goes on, and the end says how many records are lost', async () => {
      const agentfw = area.as(area.argv([])).map(quote).join(' ');
      const outcome = await asRootIn(area, `
        mount -t tmpfs -o size=24m,mode=0700,uid=${identity.uid},gid=${identity.gid} none ${quote(area.state)}
        printf 'version: 1\\naudit: {full: drop}\\n' > drop.yaml; chown ${identity.uid} drop.yaml
        ${agentfw} run --tag lost --net off --audit exec --policy drop.yaml -- sh -c 'head -c 100000000 /dev/zero > big; for i in $(seq 300); do /bin/true; done; echo on' 2>run.err
        echo "run $?"
        ${agentfw} log verify lost
        ${agentfw} discard lost --yes >&2
      `);

      expect(outcome.stdout, outcome.stderr).toContain('on\nrun 0\n');
      expect(outcome.stderr).toMatch(/^ok .* records of lost, unbroken/m);
      expect(readFileSync(join(area.project, 'run.err'), 'utf8')).toMatch(/^agentfw: the audit log of lost lacks [1-9]\d+ records: /m);
    });

    needs('root', 'overlay').test('RS01 a store without room for a sandbox refuses to start, with a sentence', async () => {
      const agentfw = area.as(area.argv([])).map(quote).join(' ');
      const outcome = await asRootIn(area, `
        mount -t tmpfs -o size=64k,nr_inodes=4,mode=0700,uid=${identity.uid},gid=${identity.gid} none ${quote(area.state)}
        ${agentfw} run --net off -- true; echo "run $?"
      `);

      expect(outcome.stdout).toBe('run 125\n');
      expect(outcome.stderr).toMatch(/^Error: .*(full|space|room)/im);
    });

    needs('root', 'overlay').test('RS01 a project on a full disk is told as such', async () => {
      const agentfw = area.as(area.argv([])).map(quote).join(' ');
      const outcome = await asRootIn(area, `
        mkdir filled
        mount -t tmpfs -o size=1m,mode=0700,uid=${identity.uid},gid=${identity.gid} none filled
        mkdir filled/project; chown ${identity.uid}:${identity.gid} filled/project
        cd filled/project; head -c 2m /dev/zero > ../fill 2>/dev/null
        ${agentfw} run --net off -- true; echo "run $?"
      `);

      expect(outcome.stdout).toBe('run 125\n');
      expect(outcome.stderr).toMatch(/No space left on device\.\nHint: Its filesystem is full: free some room$/m);
    });

    needs('root', 'overlay').test('E102 CW16 a host disk that fills up during a commit loses nothing', async () => {
      const agentfw = area.as(area.argv([])).map(quote).join(' ');
      const outcome = await asRootIn(area, `
        mkdir small
        mount -t tmpfs -o size=2m,mode=0700,uid=${identity.uid},gid=${identity.gid} none small
        echo old > small/file
        chown ${identity.uid}:${identity.gid} small/file
        ${agentfw} run --tag c --net off -- sh -c 'for i in 1 2 3 4 5 6; do head -c 600000 /dev/urandom > small/$i; done; echo new > small/file; sha256sum small/? | sort' > sums
        echo "run $?"
        ${agentfw} commit --tag c --yes >&2; echo "commit $?"
        ${agentfw} run --in c --net off -- sh -c 'sha256sum small/? | sort' > again; cmp sums again && echo same
        mount -o remount,size=20m small
        ${agentfw} commit --tag c --yes >&2; echo "commit $?"
        sha256sum small/? | sort > landed; cmp sums landed && echo landed; cat small/file
      `);

      expect(outcome.stdout, outcome.stderr).toMatch(/^run 0\ncommit [1-9]\d*\nsame\ncommit 0\nlanded\nnew\n$/);
    });
  });
}

function start(area: Area, args: readonly string[]): ChildProcess {
  const [file = '', ...rest] = area.as(area.argv(args));
  return spawn(file, rest, { cwd: area.project, env: area.env, stdio: 'ignore' });
}

async function strike(child: ChildProcess, victim: Victim): Promise<void> {
  const pid = await eventually<number | undefined>(`the ${victim} is there`, () => {
    if (child.exitCode !== null) throw new Error(`run ended by itself with ${child.exitCode}`);
    const supervisor = child.pid;
    if (victim === 'supervisor' || supervisor === undefined) return supervisor;
    const driver = childrenOf(supervisor)[0];
    return victim === 'driver' || driver === undefined ? driver : childrenOf(driver)[0];
  });
  if (pid !== undefined) process.kill(pid, 'SIGKILL');
}

function childrenOf(pid: number): readonly number[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
      .flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number))
      .filter((child) => readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('agentfw-driver'));
  } catch {
    return [];
  }
}

/** A script in a mount namespace of its own, so that its mounts end with it. */
async function asRootIn(area: Area, script: string): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const { execa } = await import('execa');
  const result = await execa('unshare', ['--mount', '--propagation', 'private', 'bash', '-c', `cd ${quote(area.project)} || exit\n${script}`], {
    cwd: area.project, env: area.env, extendEnv: false, reject: false, stdin: 'ignore', timeout: 300_000, stripFinalNewline: false,
  });
  return { stdout: result.stdout, stderr: result.stderr };
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
