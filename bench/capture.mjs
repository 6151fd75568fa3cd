/**
 * What keeping the host's versions costs the agent: the same work inside with and
 * without (`changes.capture.total: none`), in turns. See README.md.
 *
 *     node bench/capture.mjs [--rounds N] [--json]
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { inOwnMounts, must, ramDisk } from './place.mjs';

const agentfw = [process.execPath, resolve(dirname(fileURLToPath(import.meta.url)), '../bin/run.js')];
const isRoot = process.getuid() === 0;
const { values: flags } = parseArgs({ options: { rounds: { type: 'string', default: '15' }, json: { type: 'boolean', default: false } } });
const range = (n) => Array.from({ length: n }, (_, i) => i);
const text = (n) => `line ${n} of a small source file\n`.repeat(3 + (n % 20));

/** Where each writes what is measured: wall, user and system seconds of the work alone. */
const WORKS = {
  'npm ci of 150 packages, 10,000 files, over an older node_modules': { make: makeProject, script: 'npm ci --offline --no-audit --no-fund --ignore-scripts >/dev/null' },
  'git checkout of 10,000 changed files': { make: makeRepository, script: 'git checkout -q two' },
};

main();

function main() {
  if (isRoot && process.env.AGENTFW_BENCH_INSIDE !== '1') return inOwnMounts();
  const place = isRoot ? ramDisk() : mkdtempSync(join(tmpdir(), 'agentfw-bench-'));
  try {
    const rows = Object.entries(WORKS).map(([title, work]) => rowOf(place, title, work));
    console.log(flags.json ? JSON.stringify(rows, null, 1) : table(rows));
  } finally {
    if (!isRoot) rmSync(place, { recursive: true, force: true });
  }
}

function rowOf(place, title, { make, script }) {
  const home = join(place, 'home');
  mkdirSync(home, { recursive: true });
  const { NODE_EXTRA_CA_CERTS: _, ...outer } = process.env;
  const env = { ...outer, HOME: home, AGENTFW_STATE_DIR: join(place, 'state'), NO_COLOR: '1', LC_ALL: 'C.UTF-8', GIT_CONFIG_NOSYSTEM: '1', npm_config_update_notifier: 'false' };
  const template = join(home, 'template');
  mkdirSync(template);
  make(template, env);
  const off = join(place, 'off.yaml');
  writeFileSync(off, 'version: 1\nchanges: {capture: {total: none}}\n', { mode: 0o644 });
  const samples = { on: [], off: [] };
  for (const round of range(Number(flags.rounds) + 1)) {
    for (const which of round % 2 ? ['on', 'off'] : ['off', 'on']) {
      const measured = once({ home, template, env, script, state: env.AGENTFW_STATE_DIR }, which === 'off' ? ['--policy', off] : []);
      // The first round warms caches.
      if (round > 0) samples[which].push(measured);
    }
  }
  rmSync(home, { recursive: true, force: true });
  return { title, on: medians(samples.on), off: medians(samples.off), ratio: ratios(samples), captured: samples.on[0].captured, uncaptured: samples.on[0].uncaptured };
}

function once({ home, template, env, script, state }, more) {
  const dir = join(home, 'work');
  must(['cp', '-a', template, dir]);
  must(['sync']);
  const run = (...words) => {
    const done = spawnSync(words[0], words.slice(1), { cwd: dir, env, encoding: 'utf8', maxBuffer: 1 << 28 });
    if (done.status !== 0) throw new Error(`${words.join(' ')} ended ${done.status}: ${done.stderr}`);
    return done.stdout;
  };
  const timed = `TIMEFORMAT='%R %U %S'; { time { ${script}; } 2>&3; } 3>&2 2>.measured`;
  run(...agentfw, 'run', '--tag', 'bench', '--net', 'off', ...more, '--', 'bash', '-euc', timed);
  const [wall, user, system] = run(...agentfw, 'show', `bench:${dir}/.measured`).trim().split(' ').map(Number);
  const { bases } = JSON.parse(run(...agentfw, 'status', 'bench', '--json'));
  run(...agentfw, 'discard', '--tag', 'bench', '--yes');
  const isRemoving = () => existsSync(join(state, 'trash')) && readdirSync(join(state, 'trash')).some((name) => !name.startsWith('.'));
  for (let n = 0; n < 3000 && isRemoving(); n++) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  rmSync(dir, { recursive: true, force: true });
  return { wall, cpu: user + system, captured: bases.captured, uncaptured: Object.values(bases.uncaptured).reduce((a, b) => a + b, 0) };
}

/** Packages as tarballs beside the project, and an installation of them: no registry is asked. */
function makeProject(dir, env) {
  const names = range(150).map((n) => `package-${n}`);
  const own = (args, cwd) => execFileSync(args[0], args.slice(1), { cwd, env, stdio: ['ignore', 'ignore', 'inherit'] });
  mkdirSync(join(dir, 'tarballs'));
  for (const [n, name] of names.entries()) {
    const root = join(dir, 'package');
    for (const m of range(65)) {
      mkdirSync(join(root, `dist/d${m % 5}`), { recursive: true });
      writeFileSync(join(root, `dist/d${m % 5}/m${m}.js`), text(n * m).repeat(2));
    }
    writeFileSync(join(root, 'package.json'), JSON.stringify({ name, version: '1.0.0' }));
    own(['tar', 'czf', `tarballs/${name}.tgz`, 'package'], dir);
    rmSync(root, { recursive: true });
  }
  writeFileSync(join(dir, 'package.json'), JSON.stringify({ name: 'project', version: '1.0.0', dependencies: Object.fromEntries(names.map((name) => [name, `file:tarballs/${name}.tgz`])) }));
  own(['npm', 'install', '--offline', '--no-audit', '--no-fund', '--ignore-scripts'], dir);
}

function makeRepository(dir, env) {
  const git = (...args) => execFileSync('git', ['-c', 'user.name=n', '-c', 'user.email=e', ...args], { cwd: dir, env, stdio: ['ignore', 'ignore', 'inherit'] });
  const write = (more) => range(10_000).forEach((n) => {
    const sub = join(dir, `d${n % 100}`);
    mkdirSync(sub, { recursive: true });
    writeFileSync(join(sub, `f${n}.js`), text(n) + more);
  });
  git('init', '-q', '-b', 'one');
  git('config', 'gc.auto', '0');
  for (const name of ['one', 'two']) {
    if (name === 'two') git('checkout', '-q', '-b', name);
    write(name);
    git('add', '-A');
    git('commit', '-qm', name);
  }
  git('checkout', '-q', 'one');
}

function medians(samples) {
  return Object.fromEntries(['wall', 'cpu'].map((key) => [key, median(samples.map((sample) => sample[key]))]));
}

/** One ratio per round; what is told is their median. */
function ratios({ on, off }) {
  return Object.fromEntries(['wall', 'cpu'].map((key) => [key, median(on.map((sample, n) => sample[key] / off[n][key]))]));
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function table(rows) {
  const lines = rows.map(({ title, on, off, ratio, captured, uncaptured }) =>
    `| ${title} | ${off.wall.toFixed(2)} | ${on.wall.toFixed(2)} | ${ratio.wall.toFixed(3)} | ${ratio.cpu.toFixed(3)} | ${captured} | ${uncaptured} |`);
  const kernel = readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim();
  return [`Kernel ${kernel}, medians of ${flags.rounds} rounds.`, '', '| what | without s | with s | wall | CPU | kept | not kept |', '| --- | ---: | ---: | ---: | ---: | ---: | ---: |', ...lines].join('\n');
}
