/** An undo overwrites nothing of the user's own; what was there before the commit can be read. */
import { appendFileSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, jsonOf, type Area } from '../helpers/sandbox.js';

const [identity] = identities();
let area: Area;

/** The agent's work, landed; the id of the commit. */
async function landed(tag: string): Promise<string> {
  await area.cli(['run', '--tag', tag, '--net', 'off', '--', 'sh', '-c', 'echo agent > kept; rm -r old; ln -sfn new way; echo x > grown']);
  const outcome = await area.cli(['commit', tag, '--yes', '--json']);
  expect(outcome.status, outcome.stderr).toBe(0);
  return jsonOf<{ commit: string }>(outcome).commit;
}

needs('userns', 'overlay').describe('an undo after an edit of the user', () => {
  beforeAll(() => {
    area = createArea(identity!);
    writeFileSync(join(area.project, 'kept'), 'kept\n', { mode: 0o644 });
    mkdirSync(join(area.project, 'old'));
    writeFileSync(join(area.project, 'old/deep'), 'deep\n');
    symlinkSync('before', join(area.project, 'way'));
  });
  afterAll(() => area.remove());

  test('of the whole commit: what it replaced is printed, file by file', async () => {
    const commit = await landed('first');
    for (const [name, content] of [['old/deep', 'deep\n'], ['way', 'before'], ['kept', 'kept\n']] as const) {
      expect(await area.cli(['show', `${commit}:${name}`]), name).toMatchObject({ status: 0, stdout: content });
    }
    expect(jsonOf(await area.cli(['show', `${commit}:kept`, '--json']))).toMatchObject({ commit, path: `${area.project}/kept`, content: btoa('kept\n') });
    expect(await area.cli(['show', `${commit}:old`])).toMatchObject({ status: 1, stdout: '' });
    for (const name of ['grown', 'other']) {
      expect(await area.cli(['show', `${commit}:${name}`]), name).toMatchObject({ status: 1, stdout: '', stderr: expect.stringContaining('keeps nothing for') as string });
    }

    appendFileSync(join(area.project, 'kept'), 'mine\n');
    const { status, stderr } = await area.cli(['undo']);
    expect({ status, said: stderr.split('\n').filter((line) => /^not|^Hint/.test(line)) }).toEqual({
      status: 3,
      said: [`not taken back ${area.project}/kept: the host changed it since the commit`, `Hint: agentfw show ${commit}:PATH prints a file as it was before that commit`],
    });
    expect(await area.cli(['show', `${commit}:kept`])).toMatchObject({ status: 0, stdout: 'kept\n' });
    expect(await area.cli(['show', `${commit}:way`])).toMatchObject({ status: 1, stderr: expect.stringContaining('an undo has put it back') as string });

    // Landed again by an undo of that: what it replaced is in what landed it again.
    writeFileSync(join(area.project, 'kept'), 'kept\n');
    const undo = jsonOf<{ commits: { id: string }[] }>(await area.cli(['log', '--commits', '--json'])).commits[0]!.id;
    expect(await area.cli(['undo', undo.slice(0, 4)])).toMatchObject({ status: 2, stderr: expect.stringContaining('Several commits begin with') as string });
    expect((await area.cli(['undo', undo.slice(0, -6)])).status).toBe(0);
    expect(await area.cli(['show', `${commit}:old/deep`])).toMatchObject({ status: 0, stdout: 'deep\n' });
    expect(await area.cli(['show', `${commit.slice(0, -6)}:kept`])).toMatchObject({ status: 0, stdout: 'kept\n' });
  });
});

needs('userns', 'overlay').test('a bare undo after one that left something takes no older commit back', async () => {
  const own = createArea(identity!);
  try {
    const commits: string[] = [];
    for (const name of ['early', 'late']) {
      expect((await own.cli(['run', '--tag', name, '--net', 'off', '--', 'sh', '-c', `echo x >${name}; echo y >${name}2`])).status).toBe(0);
      commits.push(jsonOf<{ commit: string }>(await own.cli(['commit', name, '--yes', '--json'])).commit);
    }
    const [early, late] = commits;
    appendFileSync(join(own.project, 'late'), 'mine\n');
    expect((await own.cli(['undo'])).status).toBe(3);

    const again = await own.cli(['undo']);
    expect([again.status, again.stderr]).toEqual([3, `Error: The newest commit ${late} is taken back but for 1 path: say which commit you mean.\nHint: agentfw undo ${late} takes the rest, agentfw undo ${early} the commit before it\n`]);
    expect(readdirSync(own.project).sort()).toEqual(['early', 'early2', 'late']);

    expect((await own.cli(['undo', early!])).status).toBe(0);
    expect(readdirSync(own.project)).toEqual(['late']);
  } finally {
    await own.remove();
  }
});

needs('userns', 'overlay').test('a bare undo after a commit that only dropped changes takes no older commit back', async () => {
  const own = createArea(identity!);
  try {
    expect((await own.cli(['run', '--tag', 'box', '--net', 'off', '--', 'sh', '-c', 'echo x >early; echo y >late'])).status).toBe(0);
    const early = jsonOf<{ commit: string }>(await own.cli(['commit', 'box', 'early', '--yes', '--json'])).commit;
    const drop = jsonOf<{ commit: string }>(await own.cli(['discard', 'box', 'late', '--yes', '--json'])).commit;

    const { status, stderr } = await own.cli(['undo']);
    expect([status, stderr]).toEqual([3, `Error: The newest commit ${drop} only dropped changes of box: say which commit you mean.\nHint: agentfw undo ${drop} gives them back to it, agentfw undo ${early} takes the commit before it back\n`]);
    expect(readdirSync(own.project)).toEqual(['early']);

    expect((await own.cli(['undo', early])).status).toBe(0);
    expect(await own.cli(['undo'])).toMatchObject({ status: 0, stderr: 'Gave 1 change back to the sandbox\n' });
    expect(await own.cli(['show', 'box:late'])).toMatchObject({ stdout: 'y\n' });
  } finally {
    await own.remove();
  }
});

needs('userns', 'overlay').test('a bare undo in another project takes nothing back there', async () => {
  const own = createArea(identity!);
  try {
    await own.native(['mkdir', '-p', 'deep/in', 'elsewhere']);
    const at = (cwd: string): { readonly cwd: string } => ({ cwd: join(own.project, cwd) });
    const landed = async (tag: string, cwd: string, file: string): Promise<string> => {
      expect((await own.cli(['run', '--tag', tag, '--net', 'off', '--', 'sh', '-c', `echo x >${file}`], at(cwd))).status).toBe(0);
      return jsonOf<{ commit: string }>(await own.cli(['commit', tag, '--yes', '--accept-control', '/', '--json'], at(cwd))).commit;
    };
    const undoIn = (cwd: string): Promise<{ readonly status: number | null; readonly stderr: string }> => own.cli(['undo'], at(cwd));
    const commit = await landed('one', 'deep', 'a');

    expect(await undoIn('elsewhere')).toMatchObject({
      status: 3,
      stderr: `Error: The newest commit ${commit} of one changed nothing around this directory: say which commit you mean.\nHint: agentfw undo ${commit} takes it back; agentfw log --commits lists all\n`,
    });
    expect(readdirSync(join(own.project, 'deep'))).toEqual(['a', 'in']);

    // Above what it changed, and below where its sandbox was started.
    expect(await undoIn('.')).toMatchObject({ status: 0 });
    await landed('two', 'deep', 'b');
    expect(await undoIn('deep/in')).toMatchObject({ status: 0 });
    // What it landed lies elsewhere, and yet it was started here.
    await landed('three', 'elsewhere', '../deep/c');
    expect(await undoIn('elsewhere')).toMatchObject({ status: 0 });
    // The sandbox is gone; this is a directory of what holds all that it changed.
    await landed('four', 'deep', '../top');
    expect((await own.cli(['discard', 'four', '--yes'])).status).toBe(0);
    expect(await undoIn('elsewhere')).toMatchObject({ status: 0 });
  } finally {
    await own.remove();
  }
});
