/**
 * Fails, kills or cuts off a commit at each of its calls and checks what is
 * left, in the directories it is given. Bundled and run as a program, so that
 * it can live in a mount namespace and be killed.
 *
 *   runner --host DIR [--store DIR] --scenes a,b --faults die,EIO,… --stride N [--offset N] --what apply|recover|undo
 *   … --flagless: as on filesystems whose renames know no flags
 *   runner --child N --world JSON --scene S      (internal: dies for real at call N)
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { applyPlan } from '../../src/changes/apply.js';
import { recoverAll } from '../../src/changes/recover.js';
import type { CommitResult } from '../../src/changes/result.js';
import { undoCommit } from '../../src/changes/undo.js';
import { native as whole } from '../../src/kernel/native.js';
import { contextFor, isStaged, makeWorld, withoutFlags, type World } from '../changes/world.js';
import { faulty, isDeath, type Counter, type Fault } from './faulty.js';
import { look } from './look.js';
import { build, planFor, type Scene } from './scene.js';

const { values: args } = parseArgs({
  options: {
    host: { type: 'string' }, store: { type: 'string' }, scenes: { type: 'string' }, faults: { type: 'string' },
    stride: { type: 'string', default: '1' }, offset: { type: 'string', default: '0' }, what: { type: 'string', default: 'apply' },
    flagless: { type: 'boolean', default: false }, child: { type: 'string' }, world: { type: 'string' }, scene: { type: 'string' }, one: { type: 'string' },
  },
});

const native = args.flagless ? withoutFlags(whole, isStaged) : whole;

export interface Tally {
  readonly scene: Scene;
  readonly fault: string;
  readonly what: string;
  calls: number;
  runs: number;
  old: number;
  fresh: number;
  /** each path old or new, and a second commit brings all */
  mixed: number;
  readonly bad: string[];
}

function child(): void {
  const world = JSON.parse(args.world ?? '{}') as World;
  const counter: Counter = { calls: 0, log: null, hit: null };
  const plan = planFor({ ...world, ctx: contextFor(world, native) }, args.scene as Scene);
  const faults = faulty(native, { how: 'kill', at: Number(args.child) }, counter);
  applyPlan({ ...contextFor(world, faults.kernel), disk: faults.disk }, plan);
}

function main(): void {
  for (const scene of (args.scenes ?? '').split(',') as Scene[]) {
    const wanted = reference(scene);
    for (const how of (args.faults ?? '').split(',')) process.stdout.write(`${JSON.stringify(sweep(scene, how, wanted))}\n`);
  }
}

function newWorld(): World {
  const world = makeWorld({ ...(args.host === undefined ? {} : { under: args.host }), ...(args.store === undefined ? {} : { storeUnder: args.store }) });
  build(world);
  return world;
}

interface Reference {
  readonly calls: number;
  readonly old: string;
  readonly fresh: string;
  readonly freshHost: string;
  /** host and layer after an undo: there what was dropped is back */
  readonly undone: string;
}

/** An undisturbed run: what is old, what is new, how many calls it takes. */
function reference(scene: Scene): Reference {
  const world = newWorld();
  try {
    const old = look(world);
    applyPlan(world.ctx, planFor(world, scene));
    const fresh = look(world);
    const freshHost = look(world, 'host');
    undoCommit(world.ctx, null);
    return { calls: countCalls(scene), old, fresh, freshHost, undone: bare(look(world)) };
  } finally {
    world.remove();
  }
}

function countCalls(scene: Scene): number {
  const world = newWorld();
  const counter: Counter = { calls: 0, log: null, hit: null };
  try {
    run(world, scene, { how: 'die', at: 0 }, counter);
    return counter.calls;
  } finally {
    world.remove();
  }
}

function run(world: World, scene: Scene, fault: Fault, counter: Counter): CommitResult | Error {
  const { kernel, disk } = faulty(native, fault, counter);
  const ctx = { ...contextFor(world, kernel), disk };
  const clean = { ...world, ctx: contextFor(world, native) };
  try {
    const plan = planFor(clean, scene);
    if (args.what === 'apply') return applyPlan(ctx, plan);
    return second(ctx, { clean, plan, fault, counter });
  } catch (error) {
    return error as Error;
  }
}

interface Second {
  readonly clean: World;
  readonly plan: ReturnType<typeof planFor>;
  readonly fault: Fault;
  readonly counter: Counter;
}

/** The fault strikes not the commit, but what follows it: its recovery or its undo. */
function second(ctx: World['ctx'], { clean, plan, counter }: Second): CommitResult | Error {
  if (args.what === 'undo') {
    const result = applyPlan(clean.ctx, plan);
    counter.calls = 0;
    undoCommit(ctx, result.id);
    return result;
  }
  // A commit that dies half-way, always at the same call.
  const dying = faulty(native, { how: 'die', at: Number(args.one ?? '0') }, { calls: 0, log: null, hit: null });
  try {
    applyPlan({ ...contextFor(clean, dying.kernel), disk: dying.disk }, plan);
  } catch (error) {
    if (!isDeath(error)) throw error;
  }
  counter.calls = 0;
  recoverAll(ctx);
  return new Error('recovered');
}

function sweep(scene: Scene, how: string, wanted: Reference): Tally {
  const tally: Tally = { scene, fault: how, what: args.what ?? '', calls: wanted.calls, runs: 0, old: 0, fresh: 0, mixed: 0, bad: [] };
  const most = how === 'cut' ? CUTS : wanted.calls;
  for (let n = 1 + Number(args.offset); n <= most; n += Number(args.stride)) {
    const world = newWorld();
    try {
      tally.runs += 1;
      const bad = strike(world, { scene, how, n, wanted, tally });
      if (bad !== null && tally.bad.length < 5) tally.bad.push(`${scene} ${how} at call ${n}: ${bad}`);
      else if (bad !== null) tally.bad.push(`${n}`);
    } finally {
      world.remove();
    }
  }
  return tally;
}

/** They concern one path: the rest lands. */
const PATH_ERRORS: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'ETXTBSY']);

/** More than a scene has steps. */
const CUTS = 24;

interface Strike {
  readonly scene: Scene;
  readonly how: string;
  readonly n: number;
  readonly wanted: Reference;
  readonly tally: Tally;
}

/** One run. Null: as it should be. */
function strike(world: World, { scene, how, n, wanted, tally }: Strike): string | null {
  const counter: Counter = { calls: 0, log: null, hit: null };
  if (how === 'kill') killed(world, scene, n);
  else run(world, scene, { how, at: n }, counter);
  const clean = { ...world, ctx: contextFor(world, native) };
  const recovered = recoverAll(clean.ctx);
  const blocked = recovered.find(({ outcome }) => outcome === 'blocked');
  const about = `(${counter.hit ?? ''}; ${recovered.map(({ outcome }) => outcome).join()})`;
  if (blocked !== undefined) return `blocked: ${blocked.error} ${about}`;
  const leftover = leftovers(world);
  if (leftover !== null) return `${leftover} ${about}`;
  const now = look(world);
  if (args.what === 'undo') return undone({ now, wanted, tally, about });
  if (now === wanted.old) {
    tally.old += 1;
    return again(clean, scene, wanted, about);
  }
  if (bare(now) === bare(wanted.fresh)) {
    tally.fresh += 1;
    return undo(clean, wanted, about);
  }
  if (PATH_ERRORS.has(how)) {
    tally.mixed += 1;
    return again(clean, scene, wanted, about);
  }
  const [old, fresh] = [difference(wanted.old, now), difference(wanted.fresh, now)];
  return `neither old nor new ${about}\n${old.length < fresh.length ? `from old:\n${old}` : `from new:\n${fresh}`}`;
}

function killed(world: World, scene: Scene, n: number): void {
  const plain = { top: world.top, host: world.host, upper: world.upper, state: world.state };
  spawnSync(process.execPath, [process.argv[1] ?? '', '--child', `${n}`, '--world', JSON.stringify(plain), '--scene', scene]);
}

/** What did not land can be committed again, and then the host is new; what of the layer is swept may differ. */
function again(clean: World, scene: Scene, wanted: Reference, about: string): string | null {
  if (scene === 'live' || scene === 'composed') return null;
  const result = applyPlan(clean.ctx, planFor(clean, scene));
  const now = look(clean, 'host');
  return now === wanted.freshHost ? null : `committed again, not new: ${result.state} ${about}\n${difference(wanted.freshHost, now)}`;
}

function undo(clean: World, wanted: Reference, about: string): string | null {
  const result = undoCommit(clean.ctx, null);
  if (result.state !== 'landed' || result.refused.length > 0) return `not undone: ${result.state} ${JSON.stringify([result.error, result.refused])} ${about}`;
  const now = bare(look(clean));
  return now === wanted.undone ? null : `undone, but not old ${about}\n${difference(wanted.undone, now)}`;
}

/** After a struck undo host and layer are old (undone) or new (not). */
function undone({ now, wanted, tally, about }: { readonly now: string; readonly wanted: Reference; readonly tally: Tally; readonly about: string }): string | null {
  if (bare(now) === wanted.undone) {
    tally.old += 1;
    return null;
  }
  const fresh = wanted.fresh;
  if (bare(now) === bare(fresh)) {
    tally.fresh += 1;
    return null;
  }
  return `neither undone nor landed ${about}\n${difference(wanted.undone, bare(now))}`;
}

/** A recovery leaves the layer's own directories, which merge with the host's: without them the picture is the same. */
function bare(picture: string): string {
  const lines = picture.split('\n');
  const isDir = (line: string): boolean => /^layer\/.*\/ [0-7]+ /.test(line);
  return lines.filter((line, index) => !isDir(line) || lines.slice(index + 1).some((other) => !isDir(other) && other.startsWith(line.split('/ ')[0] + '/'))).join('\n');
}

function leftovers(world: World): string | null {
  const names = readdirSync(world.host, { recursive: true, encoding: 'utf8' }).filter((name) => name.includes('.agentfw-'));
  if (names.length > 0) return `left beside targets: ${names.join()}`;
  const commits = join(world.state, 'commits');
  const unfinished = readdirSync(commits).filter((id) => id !== '.lock' && !existsSync(join(commits, id, 'result.json')));
  return unfinished.length > 0 ? `unfinished: ${unfinished.join()}` : null;
}

function difference(wanted: string, now: string): string {
  const [a, b] = [new Set(wanted.split('\n')), new Set(now.split('\n'))];
  return [...[...a].filter((line) => !b.has(line)).map((line) => `- ${line}`), ...[...b].filter((line) => !a.has(line)).map((line) => `+ ${line}`)].join('\n');
}

if (args.child !== undefined) child();
else main();
