/** One host tree, sandboxes over it, and verbs in random order. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromText, isWithin, joinBytes, type Bytes } from '../../src/bytes.js';
import { startCapture, type Capture } from '../../src/changes/capture/capture.js';
import type { Change } from '../../src/changes/change.js';
import { landPlan, withBoxOf, withCommitLocks } from '../../src/changes/commit.js';
import { chooseHunks, hunkFileOf, mergeConflicts } from '../../src/changes/conflict/compose.js';
import { layersIn, storeContextOf } from '../../src/changes/context.js';
import { relativeTo } from '../../src/changes/plan/step.js';
import { dropPlan } from '../../src/changes/dropping.js';
import { recoverRecorded } from '../../src/changes/effects.js';
import { gather, type Gathered } from '../../src/changes/gather.js';
import { offerOf, WHOLE, type Wish } from '../../src/changes/offer.js';
import type { CommitResult } from '../../src/changes/result.js';
import { undoCommit } from '../../src/changes/undo.js';
import { surveyCommits, type CommitInfo } from '../../src/changes/vault/commits.js';
import { readRecord, sandboxDir, type Store } from '../../src/sandbox/store.js';
import type { Layer } from '../../src/sandbox/sandbox.js';
import { faulty, isDeath } from '../crash/faulty.js';
import { differing, diffTells, isBelow, landed, pathsOf, lostUpdates, show, takenBack, text, type Landing, type Told, type Trees, type Verb } from './expect.js';
import { exportOf, unlike } from './exported.js';
import { randomOf, type Random } from './random.js';
import type { Server, Tree } from './server.js';

export interface Setting {
  readonly store: Store;
  readonly server: Server;
  /** the tree */
  readonly root: Bytes;
  readonly tags: readonly string[];
  readonly seed: number;
  readonly say: (line: string) => void;
}

interface Box {
  readonly tag: string;
  /** what its agent knows of, where somebody else wrote since */
  readonly edited: Map<string, string>;
}

interface Past extends Verb {
  readonly id: string;
  readonly tag: string;
}

export class Episode {
  private readonly random: Random;
  private readonly boxes: readonly Box[];
  private readonly past: Past[] = [];
  private steps = 0;
  /** what the host had at each path, at any time */
  private readonly history = new Map<string, Set<string>>();
  /** a directory was renamed on the host: what is in it is as old as it was, and new at that path */
  private renamed = false;

  constructor(private readonly setting: Setting) {
    this.random = randomOf(setting.seed);
    this.boxes = setting.tags.map((tag) => ({ tag, edited: new Map() }));
  }

  /** What did not hold, of the first step where something did not. */
  async run(count: number): Promise<readonly string[]> {
    const verbs: readonly (readonly [number, string, (box: Box) => Promise<readonly string[]>])[] = [
      [4, 'inside', (box) => this.inside(box)],
      [1.5, 'host', () => this.edit()],
      [2, 'commit', (box) => this.commit(box)],
      [2, 'commit some', (box) => this.commit(box, 'some')],
      [0.7, 'commit --take', (box) => this.commit(box, 'take')],
      [0.7, 'commit --hunk', (box) => this.commit(box, 'hunks')],
      [0.7, 'commit, crash', (box) => this.commit(box, 'crash')],
      [1, 'discard', (box) => this.discard(box)],
      [2, 'undo', () => this.undo()],
      [0.5, 'undo, crash', () => this.undo(true)],
      [0.5, 'export', (box) => this.exports(box)],
    ];
    const total = verbs.reduce((sum, [weight]) => sum + weight, 0);
    for (; this.steps < count; this.steps += 1) {
      let at = (this.random.below(10_000) / 10_000) * total;
      const verb = verbs.find(([weight]) => (at -= weight) < 0) ?? verbs[0];
      const box = this.random.one(this.boxes);
      const name = `step ${this.steps} ${verb?.[1] ?? ''} of ${box.tag}`;
      try {
        const bad = [...((await verb?.[2](box)) ?? []), ...(await this.agree())];
        if (bad.length > 0) return [name, ...bad];
      } catch (error) {
        return [name, error instanceof Error ? (error.stack ?? error.message) : String(error)];
      }
    }
    return [];
  }

  private get layerOf(): (box: Box) => Layer {
    return ({ tag }) => {
      const { layers } = readRecord(this.setting.store, tag);
      const above = layers.filter(({ base }) => isWithin(this.setting.root, base)).sort((a, b) => b.base.length - a.base.length);
      return above[0] as Layer;
    };
  }

  private async trees(box: Box): Promise<Trees> {
    const { server, root } = this.setting;
    const seen = await server.view(this.layerOf(box), root);
    if ((seen.ghosts ?? []).length > 0) this.setting.say(`    ${this.steps} ${box.tag} ghosts: ${JSON.stringify(seen.ghosts)}`);
    return { host: (await server.host(root)).dump, view: seen.dump };
  }

  private relative(path: Bytes): string {
    return isWithin(path, this.setting.root) ? relativeTo(this.setting.root, path) : path;
  }

  private changesOf(box: Box): ReadonlyMap<string, Told> {
    const gathered = gather(this.setting.store, readRecord(this.setting.store, box.tag));
    gathered.contents.close();
    return new Map(gathered.single.map((change) => [this.relative(change.path), this.told(change)]));
  }

  private told({ kind, path, from, link, opaque }: Change): Told {
    return { kind, at: this.relative(path), from: from === null ? null : this.relative(from), link: link !== null, opaque };
  }

  /** What a change stands for: with a renamed directory goes all that is in it. */
  private withContent(paths: Iterable<Bytes>, gathered: Gathered, { host, view }: Trees): ReadonlySet<string> {
    const named = new Set([...paths].map((path) => this.relative(path)));
    const renamed = gathered.single.filter(({ kind, path }) => kind === 'rename' && named.has(this.relative(path)));
    const tops = new Set(renamed.flatMap(({ path, from }) => [path, from ?? path].map((one) => this.relative(one))));
    return new Set([...named, ...(tops.size === 0 ? [] : pathsOf(host, view).filter((path) => isBelow(path, tops)))]);
  }

  private moved(gathered: Gathered): ReadonlySet<string> {
    return new Set(gathered.single.flatMap(({ kind, path, from }) => (kind === 'rename' ? [path, from ?? path].map((one) => this.relative(one)) : [])));
  }

  /** After each step, for each sandbox. */
  private async agree(): Promise<readonly string[]> {
    const bad: string[] = [];
    for (const box of this.boxes) {
      const { host, view } = await this.trees(box);
      this.remember(host);
      bad.push(...diffTells(host, view, this.changesOf(box), this.isHosts).map((line) => `${box.tag}: ${line}`));
    }
    const open = surveyCommits(storeContextOf(this.setting.store)).commits.filter(({ state }) => state !== 'landed' && state !== 'rolled-back');
    return [...bad, ...open.map(({ id, state }) => `commit ${id} is ${state}`)];
  }

  /** A capture tells what the agent only touched, which is no change of its. */
  private get isHosts(): Landing['isHosts'] {
    return this.captures ? (path, seen) => this.history.get(path)?.has(seen) === true : undefined;
  }

  private remember(host: Tree): void {
    for (const path of Object.keys(host)) {
      const seen = this.history.get(path) ?? new Set();
      this.history.set(path, seen.add(text(host[path])));
    }
  }

  private async inside(box: Box): Promise<readonly string[]> {
    const { server, root } = this.setting;
    const before = await this.trees(box);
    const capture = this.capture(box);
    const { log, dump } = await server.view(this.layerOf(box), root, { seed: `${this.setting.seed} ${this.steps}`, count: 1 + this.random.below(6) });
    capture?.stop();
    this.say(box.tag, log);
    // It saw what the host made of it, and a capture has that.
    for (const path of this.captures ? differing(before.view, dump) : []) if (text(before.view[path]) === text(before.host[path])) box.edited.delete(path);
    return differing(before.host, (await server.host(root)).dump).map((path) => `the host changed at ${path}`);
  }

  /** In every second seed, as it may be switched off. */
  private get captures(): boolean {
    return this.setting.seed % 2 === 1;
  }

  /** What the supervisor does while an agent works. */
  private capture({ tag }: Box): Capture | null {
    const { store } = this.setting;
    if (!this.captures) return null;
    const { layers, t0 } = readRecord(store, tag);
    return startCapture({ kernel: store.kernel, sandboxDir: sandboxDir(store, tag), layers, t0, fileBytes: 1 << 20, totalBytes: 1 << 30 });
  }

  private say(who: string, log: readonly string[]): void {
    this.setting.say(`  ${this.steps} ${who}: ${log.join('; ')}`);
    this.renamed ||= log.some((line) => line.startsWith("rename_dir b"));
  }

  private async edit(): Promise<readonly string[]> {
    const { server, root } = this.setting;
    const before = (await server.host(root)).dump;
    this.remember(before);
    const { log, dump } = await server.host(root, { seed: `host ${this.setting.seed} ${this.steps}`, count: 1 + this.random.below(2) });
    this.say('host', log);
    for (const { edited } of this.boxes) for (const path of differing(before, dump)) if (!edited.has(path)) edited.set(path, text(before[path]));
    return [];
  }

  /** What we did to the host is news for all boxes but this one. */
  private note(box: Box | null, { before, after }: Verb): void {
    for (const path of differing(before.host, after.host)) {
      for (const other of this.boxes) {
        if (other === box) other.edited.delete(path);
        else if (!other.edited.has(path)) other.edited.set(path, text(before.host[path]));
      }
    }
  }

  private wishFor(gathered: Gathered, how: 'all' | 'some' | 'take' | 'hunks' | 'crash', record: ReturnType<typeof readRecord>): Wish {
    const { random } = this;
    const paths = gathered.single.map(({ path }) => path);
    const wish: Wish = { ...WHOLE, accept: ['/' as Bytes] };
    if (how === 'some') return { ...wish, words: random.some(paths, 0.3) };
    if (how === 'crash') return { ...wish, words: random.chance(0.5) ? random.some(paths, 0.5) : [] };
    if (how === 'take') return { ...wish, words: random.chance(0.5) ? random.some(paths, 0.5) : [], take: new Map(random.some(paths, 0.4).map((path) => [path, random.chance(0.5) ? 'host' : 'sandbox'])) };
    if (how !== 'hunks') return random.chance(0.3) ? { ...wish, merges: mergeConflicts(this.setting.store, record, { gathered, markers: random.chance(0.5) }) } : wish;
    const ids = gathered.single.flatMap((change) => hunkFileOf(change, gathered.contents)?.hunks.map(({ id }) => id) ?? []);
    return { ...wish, words: random.some(paths, 0.1), hunks: chooseHunks(gathered, random.some(ids, 0.5)) };
  }

  private async commit(box: Box, how: 'all' | 'some' | 'take' | 'hunks' | 'crash' = 'all'): Promise<readonly string[]> {
    const { store, say } = this.setting;
    const before = await this.trees(box);
    let crashed = false;
    const known = new Set(this.commits().map(({ id }) => id));
    const { result, landing, settled } = await withCommitLocks(store, box.tag, () => undefined, async ({ record }) => {
      const gathered = gather(store, record);
      try {
        const wish = this.wishFor(gathered, how, record);
        const offer = offerOf(store, record, { gathered, wish });
        const named = wish.words.length + wish.hunks.size === 0 ? gathered.single.map(({ path }) => path) : [...offer.selected.map(({ path }) => path), ...offer.added];
        let result: CommitResult | null = null;
        try {
          result = landPlan(how === 'crash' ? { ...store, kernel: faulty(store.kernel, { how: 'die', at: 1 + this.random.below(120) }, { calls: 0, log: null, hit: null }).kernel } : store, record, offer.plan, {});
        } catch (error) {
          if (!isDeath(error)) throw error;
          crashed = true;
        }
        const composed = new Set([...offer.plan.steps].flatMap((step) => (wish.hunks.has(step.path) || wish.merges.composed.has(step.path) ? [this.relative(step.path)] : [])));
        const landing: Landing = {
          selected: this.withContent(named, gathered, before),
          dropped: this.withContent(offer.dropped.map(({ path }) => path), gathered, before),
          refused: wish.take.size > 0 ? new Set() : this.withContent((result?.refused ?? []).map(({ path }) => path), gathered, before),
          composed,
          moved: this.moved(gathered),
          isHosts: this.isHosts,
        };
        const settled = new Set([...wish.take.keys()].map((path) => this.relative(path)));
        say(`  ${this.steps} ${box.tag}: commit ${how} ${wish.words.map((path) => JSON.stringify(this.relative(path))).join(' ')} take ${JSON.stringify([...wish.take].map(([path, side]) => [side, this.relative(path)]))}: ${result === null ? 'crashed' : `${result.id} ${result.state}`} refused ${JSON.stringify(result?.refused.map(({ path, why, conflict }) => [this.relative(path), why, conflict]) ?? [])}`);
        return { result, landing, settled };
      } finally {
        gathered.contents.close();
      }
    });
    const recovered = crashed ? recoverRecorded(store) : [];
    if (crashed) say(`  ${this.steps} recovered: ${JSON.stringify(recovered.map(({ outcome }) => outcome))}`);
    const verb: Verb = { before, after: await this.trees(box) };
    const bad = [...landed(verb, landing, !crashed && result?.refused.length === 0 && result.state !== 'rolled-back'), ...(this.renamed ? [] : lostUpdates(verb, box.edited, new Set([...settled, ...landing.composed])))];
    if (result?.state === 'rolled-back') bad.push(`rolled back: ${JSON.stringify(result.error)}`);
    this.note(box, verb);
    for (const { id } of this.commits()) if (!known.has(id)) this.past.push({ ...verb, id, tag: box.tag });
    return bad;
  }

  private commits(): readonly CommitInfo[] {
    return surveyCommits(storeContextOf(this.setting.store)).commits.filter(({ state }) => state === 'landed');
  }

  private async discard(box: Box): Promise<readonly string[]> {
    const { store, say } = this.setting;
    const before = await this.trees(box);
    const known = new Set(this.commits().map(({ id }) => id));
    const { dropped, result } = await withCommitLocks(store, box.tag, () => undefined, async ({ record }) => {
      const gathered = gather(store, record);
      gathered.contents.close();
      const words = this.random.some(gathered.single.map(({ path }) => path), 0.25);
      if (words.length === 0) return { dropped: new Set<string>(), result: null };
      const { plan, added } = dropPlan(store, record, { gathered, words });
      const result = landPlan(store, record, plan, {}, { as: 'discard' });
      const gone = [...words, ...added.map(({ path }) => path)];
      const dropped = this.withContent(gathered.single.filter(({ path }) => gone.some((top) => isWithin(path, top))).map(({ path }) => path), gathered, before);
      say(`  ${this.steps} ${box.tag}: discard ${JSON.stringify([...dropped])}: ${result.id} refused ${JSON.stringify(result.refused.map(({ path, why, text }) => [this.relative(path), why, text]))}`);
      return { dropped, result };
    });
    const verb: Verb = { before, after: await this.trees(box) };
    const bad = differing(before.host, verb.after.host).map((path) => `the host changed at ${path}`);
    for (const path of new Set([...Object.keys(before.view), ...Object.keys(verb.after.view), ...Object.keys(before.host)])) {
      const [host, view, seen] = [before.host[path], before.view[path], verb.after.view[path]].map(text);
      const wanted = dropped.has(path) ? (result?.refused.length === 0 ? [host] : [host, view]) : [view];
      if (!wanted.includes(seen)) bad.push(`view ${JSON.stringify(path)} is ${seen} instead of ${wanted.join(' or ')}`);
    }
    for (const { id } of this.commits()) if (!known.has(id)) this.past.push({ ...verb, id, tag: box.tag });
    return bad;
  }

  private async exports(box: Box): Promise<readonly string[]> {
    const { store, server, root } = this.setting;
    const gathered = gather(store, readRecord(store, box.tag));
    const kind = this.random.chance(0.5) ? 'patch' : 'tar';
    try {
      const { bytes, omitted } = exportOf(gathered, kind, root);
      const product = join(process.env['TMPDIR'] ?? '/tmp', 'product');
      writeFileSync(product, bytes);
      const { log, dump } = await server.exported(root, { kind, product, top: `${product}-top` });
      if (dump === null) return [];
      const { view } = await this.trees(box);
      const left = new Set(omitted.map(({ path }) => this.relative(path)));
      return [...log, ...unlike(kind, view, dump).filter((path) => !isBelow(path, left) && this.isHosts?.(path, text(view[path])) !== true).map((path) => `${kind} of ${box.tag} makes ${show(path)} ${text(dump[path])} instead of ${text(view[path])}`)];
    } finally {
      gathered.contents.close();
    }
  }

  private async undo(crash = false): Promise<readonly string[]> {
    const { store, say } = this.setting;
    const open = this.commits().filter(({ undoneBy, left }) => undoneBy === null || left.length > 0);
    const past = this.past.filter(({ id }) => open.some((commit) => commit.id === id));
    const chosen = this.random.chance(0.7) ? past.at(-1) : past.length > 0 ? this.random.one(past) : undefined;
    const info = open.find(({ id }) => id === chosen?.id);
    if (chosen === undefined || info === undefined) return [];
    const box = this.boxes.find(({ tag }) => tag === chosen.tag) as Box;
    const before = await this.trees(box);
    const known = new Set(this.commits().map(({ id }) => id));
    const first = info.undoneBy === null;
    if (crash) {
      const kernel = faulty(store.kernel, { how: 'die', at: 1 + this.random.below(120) }, { calls: 0, log: null, hit: null }).kernel;
      try {
        withBoxOf(store, info, () => undefined, (still) => undoCommit(storeContextOf({ ...store, kernel }), info.id, {}, { box: still, layers: layersIn(store) }));
      } catch (error) {
        if (!isDeath(error)) throw error;
      }
      say(`  ${this.steps} ${box.tag}: undo ${info.id} crashed, recovered: ${JSON.stringify(recoverRecorded(store).map(({ outcome }) => outcome))}`);
      const verb: Verb = { before, after: await this.trees(box) };
      this.note(box, verb);
      for (const { id } of this.commits()) if (!known.has(id)) this.past.push({ ...verb, id, tag: box.tag });
      return first ? takenBack(verb, chosen, false) : [];
    }
    const result = withBoxOf(store, info, () => undefined, (still) => undoCommit(storeContextOf(store), info.id, {}, { box: still, layers: layersIn(store) }));
    say(`  ${this.steps} ${box.tag}: undo ${info.id}${first ? '' : ' (rest)'}: ${result.id} ${result.state} refused ${JSON.stringify(result.refused.map(({ path, why, conflict, text: words }) => [this.relative(path), why, conflict, words]))}`);
    const verb: Verb = { before, after: await this.trees(box) };
    const untouched = differing(before.host, chosen.after.host).length === 0 && differing(before.view, chosen.after.view).length === 0;
    const bad = first ? [...takenBack(verb, chosen, result.refused.length === 0)] : [];
    if (first && untouched && result.refused.length > 0) bad.push(`undo refuses ${JSON.stringify(result.refused)}, and nothing changed since`);
    if (result.state === 'rolled-back') bad.push(`rolled back: ${JSON.stringify(result.error)}`);
    this.note(box, verb);
    for (const { id } of this.commits()) if (!known.has(id)) this.past.push({ ...verb, id, tag: box.tag });
    return bad;
  }
}

export function treeOf(project: string, seed: number): Bytes {
  return joinBytes(fromText(project), fromText(`s${seed}`));
}

export type { Tree };
