/**
 * How long a commit of 20,000 changes takes: 10,000 added (half of them in new
 * directories), 6,000 modified, 4,000 deleted. Run it on the filesystem that is
 * to be measured:  speed --host DIR [--store DIR]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fromText } from '../../src/bytes.js';
import { applyPlan } from '../../src/changes/apply.js';
import { recoverAll } from '../../src/changes/recover.js';
import { undoCommit } from '../../src/changes/undo.js';
import { AT_FDCWD } from '../../src/kernel/kernel.js';
import { native } from '../../src/kernel/native.js';
import { changesIn, makeWorld, planOf, type World } from '../changes/world.js';

const { values: args } = parseArgs({ options: { host: { type: 'string' }, store: { type: 'string' }, rounds: { type: 'string', default: '3' }, scale: { type: 'string', default: '1' } } });
const SCALE = Number(args.scale);

function build(world: World): void {
  const file = (path: string, size: number): void => writeFileSync(path, Buffer.alloc(size, 'x'));
  for (let d = 0; d < 200 * SCALE; d += 1) {
    mkdirSync(join(world.host, `d${d}`));
    mkdirSync(join(world.upper, `d${d}`));
    for (let f = 0; f < 50; f += 1) {
      const name = `d${d}/f${f}`;
      file(join(world.host, name), 1000);
      if (f < 30) {
        file(join(world.upper, name), 1100);
        native.setXattr(AT_FDCWD, fromText(join(world.upper, name)), fromText('user.overlay.origin'), Buffer.alloc(0));
      } else native.mknod(AT_FDCWD, fromText(join(world.upper, name)), 0o020000, 0);
    }
    for (let f = 0; f < 25; f += 1) file(join(world.upper, `d${d}/n${f}`), 1000);
  }
  for (let d = 0; d < 100 * SCALE; d += 1) {
    mkdirSync(join(world.upper, `new${d}`));
    for (let f = 0; f < 50; f += 1) file(join(world.upper, `new${d}/f${f}`), 1000);
  }
}

for (let round = 0; round < Number(args.rounds); round += 1) {
  const world = makeWorld({ ...(args.host === undefined ? {} : { under: args.host }), ...(args.store === undefined ? {} : { storeUnder: args.store }) });
  build(world);
  execFileSync('sync');
  const t: number[] = [];
  const tick = (): void => void t.push(performance.now());
  tick();
  const changes = changesIn(world);
  tick();
  const plan = planOf(world, {}, changes);
  tick();
  const before = process.cpuUsage();
  const result = applyPlan(world.ctx, plan);
  const cpu = process.cpuUsage(before);
  tick();
  recoverAll(world.ctx);
  tick();
  const undone = undoCommit(world.ctx, null);
  tick();
  const ms = (index: number): string => ((t[index + 1] ?? 0) - (t[index] ?? 0)).toFixed(0);
  process.stdout.write(
    `scan ${ms(0)} plan ${ms(1)} apply ${ms(2)} recover-nothing ${ms(3)} undo ${ms(4)} ms; ${JSON.stringify(result.counts)} refused ${result.refused.length} undone ${undone.landed.length} apply cpu ${(cpu.user / 1e3).toFixed(0)}+${(cpu.system / 1e3).toFixed(0)} rss ${(process.memoryUsage().rss / 1e6).toFixed(0)} MB\n`,
  );
  world.remove();
}
