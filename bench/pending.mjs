// Memory of agentfw while an agent's connections wait for an answer: a real run
// on a terminal of its own, CONNECTIONS held on NAMES questions.
//
//     node bench/pending.mjs [CONNECTIONS [NAMES]]
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const agentfw = [process.execPath, fileURLToPath(new URL('../bin/run.js', import.meta.url))];
const [connections = 1000, names = 100] = process.argv.slice(2).map(Number);

const CLIENT = `
const net = require('node:net');
for (let i = 0; i < ${connections}; i += 1) net.connect(443, 'h' + (i % ${names}) + '.example').on('error', (error) => console.error(error.message));
setTimeout(() => process.exit(1), 120000);`;

const dir = mkdtempSync(join(tmpdir(), 'agentfw-bench-'));
const [state, home, project] = ['state', 'home', 'home/project'].map((name) => join(dir, name));
for (const made of [home, project]) mkdirSync(made);
const env = { ...process.env, AGENTFW_STATE_DIR: state, HOME: home };
const cli = (...args) => spawnSync(agentfw[0], [...agentfw.slice(1), ...args], { env, cwd: project, encoding: 'utf8' });
writeFileSync(join(project, 'client.js'), CLIENT);

const words = [...agentfw, 'run', '--tag', 'pending', '--net', 'ask', '--', process.execPath, 'client.js'];
const terminal = spawn('script', ['-qec', words.map((word) => `'${word}'`).join(' '), '/dev/null'], { env, cwd: project, stdio: ['pipe', 'ignore', 'inherit'] });
try {
  const before = await eventually(() => status().state === 'running' && memory());
  await eventually(() => JSON.parse(cli('approvals', '--json').stdout).questions.reduce((sum, { waiting }) => sum + waiting, 0) === connections);
  await sleep(4000); // as a person who thinks
  const after = memory();
  console.log('| | at the start | with the questions |\n|---|---|---|');
  for (const name of after.keys()) console.log(`| ${name} | ${before.get(name)?.toFixed(1) ?? ''} | ${after.get(name).toFixed(1)} |`);
} finally {
  cli('kill', 'pending');
  if (terminal.exitCode === null) await new Promise((resolve) => terminal.once('exit', resolve));
  rmSync(dir, { recursive: true });
}

function status() {
  return JSON.parse(cli('status', 'pending', '--json').stdout || '{}');
}

async function eventually(get) {
  for (let turn = 0; turn < 600; turn += 1, await sleep(100)) {
    const found = get();
    if (found) return found;
    if (terminal.exitCode !== null) throw new Error('the run has ended');
  }
  throw new Error('it did not come to that');
}

/** MB outside the sandbox. Rss counts the program's own file as well, Pss a share of it, Anonymous none. */
function memory() {
  const { driver } = status();
  const supervisor = Number(field(driver, 'status', /^PPid:\s+(\d+)/m));
  const found = new Map();
  for (const pid of [supervisor, driver, ...children(driver)]) {
    if (field(pid, 'status', /^NSpid:(.*)/m).trim().includes('\t')) continue;
    const name = pid === supervisor ? 'supervisor' : field(pid, 'comm', /(.*)/);
    for (const part of ['Anonymous', 'Pss', 'Rss']) {
      const kib = Number(field(pid, 'smaps_rollup', new RegExp(`^${part}:\\s+(\\d+)`, 'm')));
      for (const row of [`${name} ${part}`, `all ${part}`]) found.set(row, (found.get(row) ?? 0) + kib / 1024);
    }
  }
  return found;
}

function field(pid, file, pattern) {
  return pattern.exec(readFileSync(`/proc/${pid}/${file}`, 'utf8'))?.[1] ?? '';
}

function children(parent) {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).filter((pid) => {
    try {
      return field(pid, 'status', /^PPid:\s+(\d+)/m) === String(parent);
    } catch {
      return false;
    }
  }).map(Number);
}
