/**
 * Measures agentfw against the bare machine. See README.md.
 *
 *     node bench/run.mjs [--rounds N] [--launches N] [--mode root|user] [--only NAME,…] [--json]
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { inOwnMounts, must, ramDisk } from './place.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const agentfw = [process.execPath, resolve(here, '../bin/run.js')];
const work = [process.execPath, join(here, 'work.mjs')];
const isRoot = process.getuid() === 0;
const { values: flags } = parseArgs({ options: {
  rounds: { type: 'string', default: '5' }, launches: { type: 'string', default: '21' },
  mode: { type: 'string', default: isRoot ? 'root' : 'user' }, only: { type: 'string' }, json: { type: 'boolean', default: false },
} });
const rounds = Number(flags.rounds);
const wanted = flags.only?.split(',');
const spareId = 64_123;
/** Work that is about files: what an overlay alone costs it is told, too. */
const fileWork = ['create', 'edit', 'untar', 'git', 'grep', 'sqlite'];

main();

function main() {
  if (isRoot && process.env.AGENTFW_BENCH_INSIDE !== '1') return inOwnMounts();
  const place = isRoot ? ramDisk() : mkdtempSync(join(tmpdir(), 'agentfw-bench-'));
  try {
    const bench = benchAt(place);
    const rows = [...launchRows(bench), ...workRows(bench), ...execRows(bench), ...appendRows(bench), ...changeRows(bench), ...hideRows(bench)];
    console.log(flags.json ? JSON.stringify({ kernel: kernel(), mode: flags.mode, rows }, null, 1) : table(rows));
  } finally {
    if (!isRoot) rmSync(place, { recursive: true, force: true });
  }
}

function benchAt(place) {
  const uid = flags.mode === 'user' && isRoot ? spareId : process.getuid();
  const own = (name) => {
    const path = join(place, name);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    if (isRoot) chownSync(path, uid, uid);
    return path;
  };
  const [home, state] = [own('home'), own('state')];
  const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;
  return {
    home, state, as: uid === process.getuid() ? [] : ['setpriv', '--reuid', `${uid}`, '--regid', `${uid}`, '--clear-groups', '--'],
    env: { ...env, HOME: home, AGENTFW_STATE_DIR: state, TMPDIR: own('tmp'), NO_COLOR: '1', LC_ALL: 'C.UTF-8' },
  };
}

// --- rows -------------------------------------------------------------------

function launchRows(bench) {
  const count = Number(flags.launches);
  const bwrap = ['bwrap', '--dev-bind', '/', '/', '--unshare-all', '--proc', '/proc', '--die-with-parent', '--'];
  const has = spawnSync('bwrap', ['--version']).status === 0;
  return [['/bin/true'], [process.execPath, '-e', '0']].filter(() => selected('launch')).map((program) => {
    const name = program.length === 1 ? '`/bin/true`' : '`node -e 0`';
    const samples = { native: [], inside: [], bwrap: [] };
    for (let n = 0; n < count; n++) {
      samples.native.push(spawned(bench, program));
      samples.inside.push(spawned(bench, [...agentfw, 'run', '--tag', 'launch', '--net', 'off', '--', ...program]));
      ok(bench, [...agentfw, 'discard', '--tag', 'launch', '--yes']);
      if (has) samples.bwrap.push(spawned(bench, [...bwrap, ...program]));
    }
    return row(`launch ${name}`, samples.native, samples.inside, has ? { bwrap: samples.bwrap } : {});
  });
}

/** One fresh copy of the template each for the bare machine, a plain overlay and the sandbox, in turns. */
function workRows(bench) {
  const names = ['create', 'edit', 'untar', 'git', 'grep', 'sqlite', 'fork'].filter(selected);
  return names.flatMap((name) => {
    const template = join(bench.home, `template-${name}`);
    ok(bench, [...work, 'make', name, template]);
    const samples = new Map();
    for (let n = 0; n < rounds; n++) {
      const order = ['native', ...(fileWork.includes(name) ? ['overlay'] : []), 'inside'];
      for (const where of n % 2 ? order : order.reverse()) {
        const dir = freshCopy(bench, template, where);
        const told = where === 'native' ? ok(bench, [...work, name, dir], dir) : where === 'overlay' ? inPlainOverlay(bench, name, dir, 'volatile') : inSandbox(bench, [...work, name, dir], dir);
        for (const [title, ms] of Object.entries(JSON.parse(told))) {
          const entry = samples.get(title) ?? { native: [], inside: [], overlay: [] };
          entry[where].push(ms);
          samples.set(title, entry);
        }
        clean(bench, dir);
      }
    }
    clean(bench, template);
    return [...samples].map(([title, { native, inside, overlay }]) => row(title, native, inside, overlay.length > 0 ? { 'plain overlay': overlay } : {}));
  });
}

/** What the exec audit adds: both are inside, the first without it. */
function execRows(bench) {
  if (!selected('execs')) return [];
  return ['fork', 'compile', 'build'].map((name) => {
    const dir = join(bench.home, 'execs');
    ok(bench, [...work, 'make', name, dir]);
    const samples = { without: [], audited: [] };
    let title = '';
    for (let n = 0; n < rounds; n++) {
      for (const where of n % 2 ? ['without', 'audited'] : ['audited', 'without']) {
        const told = JSON.parse(inSandbox(bench, [...work, name, dir], dir, where === 'audited' ? ['--audit', 'exec'] : []));
        [title] = Object.keys(told);
        samples[where].push(...Object.values(told));
      }
    }
    clean(bench, dir);
    return row(`${title} inside, with \`--audit exec\``, samples.without, samples.audited);
  });
}

/** Against the bare machine and against an overlay as mount(8) gives it. */
function appendRows(bench) {
  if (!selected('append')) return [];
  const dir = join(bench.home, 'append');
  ok(bench, [...work, 'make', 'append', dir]);
  const samples = { native: [], inside: [], overlay: [] };
  const title = 'append one byte to a 1 GiB file';
  const ms = (told) => JSON.parse(told)[title];
  for (let n = 0; n < rounds; n++) {
    must(['sync']);
    samples.inside.push(ms(inSandbox(bench, [...work, 'append', dir], dir)));
    must(['sync']);
    samples.overlay.push(ms(inPlainOverlay(bench, 'append', dir)));
    must(['sync']);
    samples.native.push(ms(ok(bench, [...work, 'append', dir])));
  }
  clean(bench, dir);
  return [row(title, samples.native, samples.inside, { 'plain overlay': samples.overlay })];
}

/** The same work in an overlay as mount(8) gives it. */
function inPlainOverlay(bench, name, dir, ...more) {
  const plain = join(bench.home, 'plain');
  const options = [`lowerdir=${dir}`, `upperdir=${plain}/upper`, `workdir=${plain}/work`, ...(flags.mode === 'user' ? ['userxattr'] : []), ...more];
  const script = 'mkdir -p "$0/upper" "$0/work" "$0/view" && mount -t overlay none -o "$1" "$0/view" && shift && cd "$0/view" && "$@" "$0/view"';
  const unshare = flags.mode === 'user' ? ['unshare', '--user', '--map-root-user', '--mount'] : ['unshare', '--mount'];
  const told = ok(bench, [...unshare, 'sh', '-c', script, plain, options.join(), ...work, name]);
  rmSync(plain, { recursive: true, force: true });
  return told;
}

function changeRows(bench) {
  if (!selected('changes')) return [];
  const template = join(bench.home, 'template-changes');
  ok(bench, [...work, 'make', 'changes', template]);
  const samples = { names: [], diff: [], commit: [], discard: [], copy: [], renames: [] };
  for (let n = 0; n < rounds; n++) {
    const dir = freshCopy(bench, template, 'host');
    ok(bench, [...agentfw, 'run', '--tag', 'changes', '--net', 'off', '--', ...work, 'changes', dir], dir);
    samples.names.push(spawned(bench, [...agentfw, 'diff', '--tag', 'changes', '--name-only'], dir));
    samples.diff.push(spawned(bench, [...agentfw, 'diff', '--tag', 'changes', '--stat'], dir));
    samples.commit.push(spawned(bench, [...agentfw, 'commit', '--tag', 'changes', '--yes'], dir));
    ok(bench, [...agentfw, 'discard', '--tag', 'changes', '--yes'], dir);
    clean(bench, dir);

    const other = freshCopy(bench, template, 'host');
    ok(bench, [...agentfw, 'run', '--tag', 'changes', '--net', 'off', '--', ...work, 'changes', other], other);
    samples.discard.push(spawned(bench, [...agentfw, 'discard', '--tag', 'changes', '--yes'], other));
    settle(bench);

    const copy = join(bench.home, 'copy');
    const out = spawned(bench, ['cp', '-a', other, copy]);
    ok(bench, [...work, 'changes', copy]);
    must(['sync']);
    samples.copy.push(out + spawned(bench, ['rsync', '-a', '--delete', `${copy}/`, `${other}/`]));
    clean(bench, other);
    clean(bench, copy);

    const many = join(bench.home, 'many');
    ok(bench, [...work, 'make', 'renames', many]);
    must(['sync']);
    samples.renames.push(...Object.values(JSON.parse(ok(bench, [...work, 'renames', many], many))));
    clean(bench, many);
  }
  const title = (what) => `${what} of 20,000 changes (native: \`cp -a\` + \`rsync\` of the same)`;
  const titles = { names: 'diff --name-only', diff: 'diff --stat', commit: 'commit', discard: 'discard' };
  return Object.entries(titles).map(([name, what]) => row(title(what), samples.copy, samples[name], name === 'commit' ? { '20,000 bare renames': samples.renames } : {}));
}

/** The search for what is hidden at any depth: a launch in a full home against one in an empty home. */
function hideRows(bench) {
  if (!selected('hides')) return [];
  const full = join(bench.home, 'full');
  ok(bench, [process.execPath, '-e', `const { mkdirSync, writeFileSync } = require('fs');
    for (let dir = 0; dir < 4000; dir++) {
      const path = '${full}/project' + (dir % 40) + '/src' + (dir % 100) + '/d' + dir;
      mkdirSync(path, { recursive: true });
      for (let file = 0; file < 50; file++) writeFileSync(path + '/module-' + file + '.ts', '');
    }`]);
  const empty = join(bench.home, 'empty');
  ok(bench, ['mkdir', '-p', empty]);
  const samples = { empty: [], full: [] };
  for (let n = 0; n < Number(flags.launches); n++) {
    for (const [name, home] of n % 2 ? [['full', full], ['empty', empty]] : [['empty', empty], ['full', full]]) {
      const own = { ...bench, env: { ...bench.env, HOME: home } };
      samples[name].push(spawned(own, [...agentfw, 'run', '--tag', 'hides', '--net', 'off', '--', '/bin/true'], home));
      ok(own, [...agentfw, 'discard', '--tag', 'hides', '--yes'], home);
    }
  }
  clean(bench, full);
  return [row('launch in a home of 200,000 files (native: in an empty one)', samples.empty, samples.full)];
}

// --- running ------------------------------------------------------------------

function inSandbox(bench, argv, cwd, more = []) {
  const told = ok(bench, [...agentfw, 'run', '--tag', 'bench', '--net', 'off', ...more, '--', ...argv], cwd);
  ok(bench, [...agentfw, 'discard', '--tag', 'bench', '--yes'], cwd);
  settle(bench);
  return told;
}

/** Removal goes on in the background: it must not run into the next sample. */
function settle(bench) {
  const trash = join(bench.state, 'trash');
  for (let n = 0; n < 3000 && existsSync(trash) && spawnSync('ls', [trash], { encoding: 'utf8' }).stdout !== ''; n++) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
  }
}

function freshCopy(bench, template, name) {
  const dir = join(bench.home, name);
  ok(bench, ['cp', '-a', template, dir]);
  must(['sync']);
  if (isRoot) writeFileSync('/proc/sys/vm/drop_caches', '3');
  return dir;
}

function clean(bench, dir) {
  ok(bench, ['rm', '-rf', dir]);
}

/** Wall time in ms of a command whose output nobody reads. */
function spawned(bench, argv, cwd = bench.home) {
  const [file, ...args] = [...bench.as, ...argv];
  const start = performance.now();
  const done = spawnSync(file, args, { cwd, env: bench.env, stdio: ['ignore', 'ignore', 'pipe'] });
  const ms = performance.now() - start;
  if (done.status !== 0) throw new Error(`${argv.join(' ')} ended ${done.status}: ${done.stderr}`);
  return ms;
}

function ok(bench, argv, cwd = bench.home) {
  const [file, ...args] = [...bench.as, ...argv];
  const done = spawnSync(file, args, { cwd, env: bench.env, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (done.status !== 0) throw new Error(`${argv.join(' ')} ended ${done.status}: ${done.stderr}`);
  return done.stdout;
}

function selected(name) {
  return wanted === undefined || wanted.includes(name);
}

// --- figures --------------------------------------------------------------------

/** One ratio per round; what is told is their median. */
function row(title, native, inside, others = {}) {
  const against = Object.fromEntries(Object.entries(others).map(([name, samples]) => [name, {
    ms: median(samples), ratio: median(inside.map((ms, n) => ms / samples[n])),
  }]));
  return { title, native: median(native), inside: median(inside), ratio: median(inside.map((ms, n) => ms / native[n])), against };
}

function median(samples) {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function table(rows) {
  const ms = (value) => (value < 10 ? value.toFixed(2) : value.toFixed(0));
  const lines = rows.map(({ title, native, inside, ratio, against }) => {
    const more = Object.entries(against).map(([name, { ms: value, ratio: times }]) => `${name} ${ms(value)} ms, × ${times.toFixed(2)}`);
    return `| ${title} | ${ms(native)} | ${ms(inside)} | ${ratio.toFixed(2)} | ${more.join('; ')} |`;
  });
  return [
    `Kernel ${kernel()}, ${flags.mode} mode, medians of ${rounds} rounds (launches: ${flags.launches}).`, '',
    '| what | native ms | agentfw ms | × native | against others |', '| --- | ---: | ---: | ---: | --- |', ...lines,
  ].join('\n');
}

function kernel() {
  return readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim();
}
