import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import { chooseHunks, hunkFileOf } from '../../src/changes/conflict/compose.js';
import { gather, type Gathered } from '../../src/changes/gather.js';
import { offerOf, WHOLE, type Wish } from '../../src/changes/offer.js';
import { native } from '../../src/kernel/native.js';
import type { Store } from '../../src/sandbox/store.js';
import { testContext } from '../helpers/context.js';
import { at, makeWorld, sh, type World } from './world.js';

let world: World;
let gathered: Gathered;
let store: Store;
beforeEach(() => {
  world = makeWorld();
  store = { context: { ...testContext({ HOME: world.top }), now: () => new Date(Date.now() + 60_000) }, kernel: native, dir: fromText(world.state) };
});
afterEach(() => {
  gathered.contents.close();
  world.remove();
});

const offered = (wish: Partial<Wish>): { withheld: (string | null)[]; steps: number } => {
  const { withheld, plan } = offerOf(store, world.ctx.record, { gathered, wish: { ...WHOLE, ...wish } });
  return { withheld: withheld.map(({ reason }) => reason), steps: plan.steps.length };
};

test('chosen hunks, and merges, count as what lands does, not only as the whole of the agent’s', () => {
  const rest = Array.from({ length: 12 }, (_, n) => `\tkey${n} = ${n}\n`).join('');
  sh(world, 'mkdir -p $H/.git $U/.git');
  writeFileSync(join(world.host, '.git/config'), `[core]\n${rest}`);
  // As a whole it sets `other.hooksPath`, which git knows nothing of.
  writeFileSync(join(world.upper, '.git/config'), `[other]\n${rest}\thooksPath = evil\n`);
  gathered = gather(store, world.ctx.record);
  const [change] = gathered.single;
  if (change === undefined) throw new Error('no change');
  const ids = hunkFileOf(change, gathered.contents)?.hunks.map(({ id }) => id) ?? [];
  const hunks = (id = ''): Partial<Wish> => ({ hunks: chooseHunks(gathered, [id]) });

  expect([change.class, ids.length]).toEqual(['normal', 2]);
  expect(offered({})).toEqual({ withheld: [], steps: 1 });
  expect(offered(hunks(ids[0]))).toEqual({ withheld: [], steps: 1 });
  expect(offered(hunks(ids[1]))).toEqual({ withheld: ['git configuration: core.hookspath'], steps: 0 });
  expect(offered({ ...hunks(ids[1]), accept: [at(world, '.git/config')] })).toEqual({ withheld: [], steps: 1 });
  const merged = { content: Buffer.from('[core]\n\teditor = evil\n'), consume: true };
  expect(offered({ merges: { composed: new Map([[change.path, merged]]), notes: [] } })).toEqual({ withheld: ['git configuration: core.editor'], steps: 0 });
});
