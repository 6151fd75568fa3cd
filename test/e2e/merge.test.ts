/**
 * Text that the agent and the host both changed, merged with the version that
 * was captured when the agent began, or settled by a choice.
 */
import { chmodSync, existsSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, jsonOf, python, type Area } from '../helpers/sandbox.js';

const LINES = Array.from({ length: 29 }, (_none, n) => `l${n + 1}`);
const text = (end = '\n', last = end): string => LINES.join(end) + last;
/** What each side makes of a file: the agent writes near the top, the host near the end. */
const top = (before: string): string => before.replace(/^l2(?=\r|\n)/m, 'l2-agent');
const bottom = (before: string): string => before.replace(/^l28(?=\r|\n)/m, 'l28-host');

interface Case {
  readonly before: Buffer;
  readonly agent: Buffer | null;
  readonly host: Buffer | null;
  /** of `--merge` */
  readonly outcome: string;
  readonly after?: Buffer;
}
const b = (content: string): Buffer => Buffer.from(content, 'latin1');
const sides = (before: string, outcome: string, after?: string): Case => ({
  ...{ before: b(before), agent: b(top(before)), host: b(bottom(before)), outcome },
  ...(after === undefined ? {} : { after: b(after) }),
});
const both = (before: string): Case => sides(before, 'clean', top(bottom(before)));
const wide = (content: string): Buffer => Buffer.from(content, 'utf16le');

const CASES: Readonly<Record<string, Case>> = {
  plain: both(text()),
  crlf: both(text('\r\n')),
  'no-newline': both(text('\n', '')),
  bom: both(`\xef\xbb\xbf${text()}`),
  'utf-8': both(`caf\xc3\xa9\n${text()}`),
  'newline-added': { before: b(text('\n', '')), agent: b(`${text('\n', '')}\nend`), host: b(`start\n${text('\n', '')}`), outcome: 'clean', after: b(`start\n${text('\n', '')}\nend`) },
  'latin-1': sides(`caf\xe9\n${text()}`, 'refused: it is not UTF-8'),
  'utf-16': { before: wide(text()), agent: wide(top(text())), host: wide(bottom(text())), outcome: 'refused: it is binary' },
  binary: sides(`\0${text()}`, 'refused: it is binary'),
  'huge-line': sides(`${'x'.repeat(3_000_000)}\n${text()}`, 'refused: it is larger than 2 MiB'),
  'mixed-ends': { before: b(text()), agent: b(top(text())), host: b(bottom(text()).replaceAll('\n', '\r\n')), outcome: 'refused: its line endings differ between the versions' },
  'same-line': { before: b(text()), agent: b(text().replace('l5', 'agent')), host: b(text().replace('l5', 'host')), outcome: 'conflicts' },
  'from-empty': { before: b(''), agent: b('agent\n'), host: b('host\n'), outcome: 'conflicts' },
  'to-empty': { before: b(text()), agent: b(''), host: b(bottom(text())), outcome: 'conflicts' },
  'same-change': { before: b(text()), agent: b(top(text())), host: b(top(text())), outcome: '' },
  'both-deleted': { before: b(text()), agent: null, host: null, outcome: '' },
  'host-deleted': { before: b(text()), agent: b(top(text())), host: null, outcome: '' },
  'agent-deleted': { before: b(text()), agent: null, host: b(bottom(text())), outcome: '' },
};

const [identity] = identities();
let area: Area;
const path = (name: string): string => join(area.project, name);
const read = (name: string): Buffer => readFileSync(path(name));

interface Merged {
  readonly merges: readonly { readonly path: string; readonly outcome: string; readonly why: string | null }[];
  readonly landed: readonly { readonly path: string }[];
  readonly refused: readonly { readonly path: string; readonly conflict: string }[];
}

/** Gives all files the agent's version inside, and then the host's outside. */
async function diverge(tag: string): Promise<void> {
  for (const [name, { before }] of Object.entries(CASES)) writeFileSync(path(name), before, { mode: 0o666 });
  for (const name of ['host-mode', 'agent-mode', 'both-modes']) writeFileSync(path(name), text(), { mode: 0o666 });
  for (const name of [...Object.keys(CASES), 'host-mode', 'agent-mode', 'both-modes']) chmodSync(path(name), 0o644);
  const agent = Object.fromEntries(Object.entries(CASES).map(([name, one]) => [name, one.agent?.toString('base64') ?? null]));
  writeFileSync(join(area.home, 'agent.json'), JSON.stringify(agent), { mode: 0o644 });
  const script = [
    'import base64, json, os, sys',
    'for name, content in json.load(open(sys.argv[1])).items():',
    '    os.unlink(name) if content is None else open(name, "wb").write(base64.b64decode(content))',
    'for name in "host-mode", "agent-mode", "both-modes":',
    '    open(name, "r+").write("L"); name == "host-mode" or os.chmod(name, 0o750)',
  ].join('\n');
  const run = await area.cli(['run', '--tag', tag, '--net', 'off', '--', python, '-c', script, join(area.home, 'agent.json')]);
  expect(run.status, run.stderr).toBe(0);
  for (const [name, { host }] of Object.entries(CASES)) {
    if (host === null) unlinkSync(path(name));
    else writeFileSync(path(name), host);
  }
  for (const name of ['host-mode', 'agent-mode', 'both-modes']) writeFileSync(path(name), bottom(text()));
  chmodSync(path('host-mode'), 0o600);
  chmodSync(path('both-modes'), 0o640);
}

const name = ({ path: full }: { readonly path: string }): string => full.slice(area.project.length + 1);

needs('userns', 'overlay').describe('what both sides changed', () => {
  beforeAll(async () => {
    area = createArea(identity!);
    await diverge('both');
  });
  afterAll(() => area.remove());

  test('`--merge` lands what merges cleanly, names what does not and why, and touches nothing else', async () => {
    const outcome = await area.cli(['commit', 'both', '--yes', '--merge', '--json']);
    const merged = jsonOf<Merged>(outcome);

    expect(outcome.status).toBe(3);
    const told = Object.fromEntries(merged.merges.map((one) => [name(one), one.why === null ? one.outcome : `${one.outcome}: ${one.why}`]));
    const expected = Object.entries(CASES).filter(([, one]) => one.outcome !== '').map(([file, one]) => [file, one.outcome]);
    expect(told).toEqual({ ...Object.fromEntries(expected), 'host-mode': 'clean', 'agent-mode': 'clean', 'both-modes': 'refused: both sides changed its mode, owner or attributes' });
    for (const [file, { outcome: wanted, after, host }] of Object.entries(CASES)) {
      if (wanted === 'clean') expect(read(file).equals(after!), file).toBe(true);
      else if (host !== null) expect(read(file).equals(host), file).toBe(true);
      else expect(existsSync(path(file)), file).toBe(false);
    }
    expect(Object.fromEntries(merged.refused.map((one) => [name(one), one.conflict]))).toMatchObject({
      'same-line': 'changed', 'agent-deleted': 'changed', 'host-deleted': 'deleted', 'latin-1': 'changed', binary: 'changed',
    });
    expect(merged.landed.map(name)).not.toContain('same-line');
  });

  test.each([
    [[], '--merge merges text that both sides changed'],
    [['--merge'], '--merge=markers writes both sides into the file'],
    [['--merge=markers'], 'with --take sandbox PATH or --take host PATH chooses a side'],
  ])('what a commit with %j leaves is followed by the way out', async (flags, words) => {
    const { stderr } = await area.cli(['commit', 'both', '--dry-run', ...flags]);
    expect(stderr.split('\n').filter((line) => line.startsWith('Hint:'))).toEqual([expect.stringContaining(`agentfw commit both ${words}`)]);
  });

  test('only what is named is told as merged, and a side that was chosen is taken as it is', async () => {
    const dry = async (...flags: string[]): Promise<Record<string, string>> => {
      const { merges } = jsonOf<Merged>(await area.cli(['commit', 'both', '--dry-run', '--json', '--merge=markers', ...flags]));
      return Object.fromEntries(merges.map((one) => [name(one), one.outcome]));
    };

    expect(await dry('--', 'same-line', 'latin-1')).toEqual({ 'same-line': 'markers', 'latin-1': 'refused' });
    expect(await dry('--take', 'host', 'same-line', '--take', 'sandbox', 'from-empty', '--', 'same-line', 'from-empty', 'to-empty')).toEqual({ 'to-empty': 'markers' });

    expect((await area.cli(['commit', 'both', '--yes', '--merge=markers', '--take', 'sandbox', 'from-empty', '--', 'from-empty'])).status).toBe(0);
    expect(read('from-empty').equals(CASES['from-empty']!.agent!)).toBe(true);
    expect((await area.cli(['undo'])).status).toBe(0);
  });

  test('modes merge as well: one side’s change counts', () => {
    const mode = (file: string): number => statSync(path(file)).mode & 0o7777;
    expect([mode('host-mode'), mode('agent-mode'), mode('both-modes')]).toEqual([0o600, 0o750, 0o640]);
    expect(read('host-mode').toString()).toBe(`L${bottom(text()).slice(1)}`);
  });

  test('`--merge=markers` writes both versions of what does not merge, and an undo takes them away', async () => {
    const outcome = await area.cli(['commit', 'both', '--yes', '--merge=markers']);
    expect(outcome.status).toBe(3);
    expect(outcome.stderr).toMatch(/merged with conflict markers .*same-line/);
    expect(read('same-line').toString()).toBe(text().replace('l5\n', '<<<<<<< host\nhost\n=======\nagent\n>>>>>>> sandbox both\n'));
    expect(read('latin-1').equals(CASES['latin-1']!.host!)).toBe(true);

    expect((await area.cli(['undo'])).status).toBe(0);
    expect(read('same-line').equals(CASES['same-line']!.host!)).toBe(true);

    // The agent's own left the sandbox with the merge.
    const id = /agentfw undo (\w+)/.exec(outcome.stderr)?.[1] ?? '';
    const side = (...flags: string[]): ReturnType<Area['cli']> => area.cli(['show', `${id}:same-line`, ...flags]);
    expect((await side('--side', 'sandbox')).stdout).toBe(CASES['same-line']!.agent!.toString());
    expect(jsonOf<{ content: string }>(await side('--side=sandbox', '--json')).content).toBe(CASES['same-line']!.agent!.toString('base64'));
    expect(await area.cli(['show', `${id}:mine`, '--side', 'sandbox'])).toMatchObject({ status: 1, stderr: expect.stringContaining('That commit keeps nothing for') as string });
    expect(await area.cli(['show', 'both:same-line', '--side', 'sandbox'])).toMatchObject({ status: 2, stderr: expect.stringContaining('--side is about a commit, and that is none.') as string });
  });

  test('`--take` settles single paths, for either side, and leaves the rest', async () => {
    const take = (side: string, file: string): Promise<{ status: number | null }> => area.cli(['commit', 'both', '--yes', '--take', side, file, '--', file]);
    expect((await take('sandbox', 'latin-1')).status).toBe(0);
    expect(read('latin-1').equals(CASES['latin-1']!.agent!)).toBe(true);
    expect((await take('sandbox', 'agent-deleted')).status).toBe(0);
    expect(existsSync(path('agent-deleted'))).toBe(false);
    expect((await take('sandbox', 'host-deleted')).status).toBe(0);
    expect(read('host-deleted').equals(CASES['host-deleted']!.agent!)).toBe(true);
    expect((await take('host', 'binary')).status).toBe(0);
    expect(read('binary').equals(CASES['binary']!.host!)).toBe(true);

    const left = (await area.cli(['diff', 'both', '--name-only'])).stdout;
    expect(left).not.toMatch(/latin-1|agent-deleted|host-deleted|binary/);
    expect(left).toMatch(/huge-line/);
  });
});

// A directory is renamed by copy and removal: slowly enough, the capture sees the file in it go before the directory does.
for (const rename of ['mv dir other', 'cp -a dir other; rm dir/x; sleep .3; rm -r dir']) {
  needs('userns', 'overlay').test(`a file or directory that the agent renamed and the host edited stays whole, on either side: ${rename}`, async () => {
    const own = createArea(identity!);
    try {
      const sh = (line: string): Promise<unknown> => own.native(['sh', '-ec', line]);
      await sh('seq 20 >file; mkdir dir; seq 60 90 >dir/x; seq 5 9 >dir/y');
      expect((await own.cli(['run', '--tag', 'box', '--net', 'off', '--', 'sh', '-ec', `mv file moved; ${rename}; echo new >new`])).status).toBe(0);
      await sh('echo mine >>file; echo mine >>dir/x');

      const diff = jsonOf<{ changes: { kind: string; from: string; path: string; conflict: string | null }[] }>(await own.cli(['diff', 'box', '--json']));
      expect(diff.changes.map(({ kind, from, path: to, conflict }) => [kind, from, to.slice(own.project.length + 1), conflict])).toEqual([
        ['rename', join(own.project, 'file'), 'moved', 'changed'],
        ['add', null, 'new', null],
        ['rename', join(own.project, 'dir'), 'other', expect.stringMatching(/^(uncaptured|changed)$/)],
      ]);
      expect((await own.cli(['commit', 'box', '--yes'])).status).toBe(3);
      expect((await own.native(['find', '.', '-type', 'f'])).stdout.split('\n').sort().join(' ').trim()).toBe('./dir/x ./dir/y ./file ./new');

      expect((await own.cli(['commit', 'box', '--yes', '--take', 'sandbox', 'file', '--take', 'sandbox', 'dir'])).status).toBe(0);
      expect((await own.native(['find', '.', '-type', 'f'])).stdout.split('\n').sort().join(' ').trim()).toBe('./moved ./new ./other/x ./other/y');
    } finally {
      await own.remove();
    }
  });
}
