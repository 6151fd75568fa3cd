import { closeSync, openSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fromText, type Bytes } from '../../../src/bytes.js';
import { nodeDisk } from '../../../src/changes/apply/disk.js';
import { framesIn, writeFrame } from '../../../src/changes/journal/frames.js';
import { decodeSteps, encodeStep } from '../../../src/changes/journal/step.js';
import { createJournal, readJournal, reopenJournal, writeAbort, writeDone, writeDrafts, writeHeader, writeRefused, writeSteps, type Header } from '../../../src/changes/journal/journal.js';
import type { Step } from '../../../src/changes/plan/step.js';
import { native } from '../../../src/kernel/native.js';
import { inMemory } from '../../helpers/memory.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(inMemory(), 'afw-journal-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Any bytes but NUL. */
const bytes = fc.uint8Array({ maxLength: 12 }).map((raw) => Buffer.from(raw.map((byte) => byte || 1)).toString('latin1') as Bytes);
const place = fc.record({ root: fc.nat(9), path: bytes });
const ident = fc.record({ ino: fc.bigInt(0n, 2n ** 64n - 1n), fmt: fc.constantFrom(0o100000, 0o040000), size: fc.nat(), mtimeNs: fc.bigInt(-(2n ** 62n), 2n ** 62n) });
const value = fc.uint8Array({ maxLength: 9 }).map((raw) => Buffer.from(raw));
const xattr = fc.record({ name: bytes, value });
const meta = fc.record({ mode: fc.nat(0o177777), uid: fc.nat(), gid: fc.nat(), xattrs: fc.array(xattr, { maxLength: 3 }) });
const maybe = <T>(some: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(some, { nil: null });
const plainStep = fc.record({
  act: fc.constantFrom('place', 'swap', 'take', 'meta', 'write', 'drop'),
  kind: fc.constantFrom('add', 'modify', 'delete', 'type', 'metadata'),
  type: fc.constantFrom('file', 'dir', 'symlink'),
  host: place, from: maybe(place), hold: maybe(place), keep: maybe(place), fresh: maybe(ident), old: maybe(ident),
  tree: fc.constant(true), inside: fc.nat(100),
  clean: maybe(fc.record({
    whiteouts: fc.array(bytes, { maxLength: 3 }),
    modes: fc.array(fc.record({ path: bytes, from: fc.nat(0o7777), to: fc.nat(0o7777) }), { maxLength: 3 }),
    marks: fc.array(fc.record({ path: bytes, name: bytes, value }), { maxLength: 3 }),
  })),
  covers: fc.array(fc.record({ path: bytes, ident }), { maxLength: 3 }),
  meta: maybe(fc.record({ old: meta, fresh: meta })),
  spent: maybe(fc.record({ at: place, keep: maybe(place), ino: fc.bigInt(0n, 2n ** 63n) })),
  locked: fc.constantFrom(null, { fresh: 0o555, old: null }, { fresh: null, old: 0 }),
  group: fc.nat(9),
  stripped: fc.constantFrom([], ['setuid'], ['setuid', 'setgid']),
});
const others = fc.oneof(fc.record({ link: maybe(place), twin: fc.constant(null) }), fc.record({ link: fc.constant(null), twin: maybe(place) }));
const step: fc.Arbitrary<Step> = fc.tuple(plainStep, others).map(([plain, other]) => ({ ...plain, ...other }));

const HEADER: Header = {
  ...{ version: 1, id: 'c1', tag: 'box', created: '2026-01-01T00:00:00.000Z', note: 'why ü', digest: 'sha256:x', undoes: null, keepSpecial: false },
  counts: { add: 1, modify: 0, delete: 0, type: 0, metadata: 0 },
  roots: [{ role: 'host', dir: '/h\xff' as Bytes, family: 'user' }],
};

function write(steps: readonly Step[]): ReturnType<typeof createJournal> {
  const writer = createJournal(native, fromText(dir), undefined);
  writeHeader(writer, HEADER);
  writeDrafts(writer, [{ root: 0, path: 'a\nb' as Bytes }]);
  writeSteps(writer, { steps, unmark: [{ root: 1, path: 'd' as Bytes, group: 2 }], emptied: [{ layer: 0, ino: 7n }], lends: [{ root: 1, path: 'l' as Bytes, mode: 0o555 }], digest: HEADER.digest });
  return writer;
}

test('a step comes back from its record as it was, whatever bytes are in it (E107)', () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 4 }), (steps) => {
    expect(decodeSteps(steps.map(encodeStep).join(''))).toEqual(steps);
  }));
});
test('a journal comes back whole, and with what was appended to it', () => {
  const steps = fc.sample(step, { numRuns: 1300, seed: 5 });
  const writer = write(steps);

  expect(readJournal(native, fromText(dir))).toMatchObject({
    state: 'committed', header: HEADER, drafts: [{ root: 0, path: 'a\nb' }], unmark: [{ path: 'd', group: 2 }], emptied: [{ ino: 7n }], lends: [{ mode: 0o555 }],
  });
  expect([...(readJournal(native, fromText(dir))?.steps ?? [])].map(encodeStep)).toEqual(steps.map(encodeStep));
  const refused = { path: 'p\xff' as Bytes, why: 'permission', conflict: null, code: 'EACCES', text: 'no' } as const;
  writeRefused(writer, 3, refused);
  writeAbort(writer, 'x'.repeat(2000));
  closeSync(writer.fd);
  const aborted = readJournal(native, fromText(dir));
  expect(aborted).toMatchObject({ state: 'aborted' });
  expect(aborted?.refused.get(3)).toEqual(refused);
  const again = reopenJournal(native, fromText(dir), { disk: undefined, end: aborted?.end ?? 0 });
  writeDone(again);
  closeSync(again.fd);
  expect(readJournal(native, fromText(dir))?.state).toBe('done');
});
test('cut at any byte it is a draft until the whole commit record is there (I1)', () => {
  closeSync(write(fc.sample(step, { numRuns: 3, seed: 9 })).fd);
  const path = join(dir, 'plan');
  const whole = readFileSync(path);
  const used = whole.length - 4096;
  const states = new Set<string>();
  for (let length = used; length >= 0; length -= 1) {
    truncateSync(path, length);
    const state = readJournal(native, fromText(dir))?.state ?? 'nothing';
    if (length === used) expect(state).toBe('committed');
    else states.add(state);
  }
  expect([...states].sort()).toEqual(['draft', 'nothing']);
});
test('a flipped bit ends the journal where it is', () => {
  closeSync(write(fc.sample(step, { numRuns: 3, seed: 9 })).fd);
  const path = join(dir, 'plan');
  const whole = readFileSync(path);
  for (let at = 0; at < whole.length - 4096; at += 7) {
    const broken = Buffer.from(whole);
    broken[at] = (broken[at] ?? 0) ^ 4;
    writeFileSync(path, broken);
    expect(readJournal(native, fromText(dir))?.state ?? 'nothing').not.toBe('committed');
  }
});
test('the reserve lets an abort be written without new blocks', () => {
  closeSync(write([]).fd);
  const { length } = readFileSync(join(dir, 'plan'));
  const end = readJournal(native, fromText(dir))?.end ?? 0;
  const writer = reopenJournal(native, fromText(dir), { disk: undefined, end });
  writeAbort(writer, 'x'.repeat(5000));
  closeSync(writer.fd);

  expect(readFileSync(join(dir, 'plan'))).toHaveLength(length);
});
test('is not taken for format 0 by the length of its first record', () => {
  for (let length = 0; length < 256; length += 1) {
    const writer = createJournal(native, fromText(dir), undefined);
    writeHeader(writer, { ...HEADER, note: 'n'.repeat(length) });
    closeSync(writer.fd);
    expect(readJournal(native, fromText(dir))?.header.note).toHaveLength(length);
    rmSync(join(dir, 'plan'));
  }
});
test('a list of any length comes back from as many records as it takes', () => {
  const [one] = fc.sample(step, { numRuns: 1, seed: 2 });
  const covers = Array.from({ length: 200_000 }, (_none, n) => ({ path: `p${n}` as Bytes, ident: { ino: BigInt(n), fmt: 0o100000, size: n, mtimeNs: 5n } }));
  const plain = { ...(one as Step), covers: [], clean: null, meta: null, spent: null };
  // More than a call takes as its arguments.
  const steps = [{ ...plain, covers }, ...Array.from({ length: 150_000 }, () => plain)];
  closeSync(write(steps).fd);

  const read = readJournal(native, fromText(dir));
  expect(read?.state).toBe('committed');
  expect(read?.steps).toHaveLength(150_001);
  expect(read?.steps.at(0)?.covers).toHaveLength(200_000);
});
test('a newer journal is named and left alone', () => {
  const writer = createJournal(native, fromText(dir), undefined);
  writeHeader(writer, { ...HEADER, version: 9 as 1 });
  closeSync(writer.fd);

  expect(() => readJournal(native, fromText(dir))).toThrow("A commit's journal has version 9, this version of agentfw reads 1.");
});
test('a record whose length is a lie is none', () => {
  const fd = openSync(join(dir, 'f'), 'w+');
  const writer = { fd, disk: nodeDisk, at: 0 };
  writeFrame(writer, 'H', 'one');
  const end = writer.at;
  writeFrame(writer, 'H', 'two');
  nodeDisk.write(fd, Buffer.from([0xff, 0xff, 0xff, 0x7f]), end);

  expect([...framesIn(fd)].map(({ body }) => body)).toEqual(['one']);
  closeSync(fd);
});
