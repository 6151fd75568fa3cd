import { AgentfwError } from '../errors.js';
import type { Fields } from '../fields.js';
import {
  bigintField,
  bytesField,
  encodeBytes,
  flagField,
  listField,
  numberField,
  objectField,
  textField,
  wordField,
} from '../fields.js';
import type { Group } from '../kernel/cgroup.js';
import type { Layer, LayerTop, Limit, SandboxRecord, SandboxState } from './sandbox.js';

const STATES: readonly SandboxState[] = ['starting', 'running', 'stopped', 'unclean', 'committed', 'discarded'];

/** `sandbox.json` as text. */
export function encodeRecord(record: SandboxRecord): string {
  const document = {
    ...record,
    argv: record.argv.map(encodeBytes),
    cwd: encodeBytes(record.cwd),
    t0: String(record.t0),
    layers: record.layers.map((layer) => ({
      ...layer,
      base: encodeBytes(layer.base),
      dir: encodeBytes(layer.dir),
      covered: layer.covered.map(encodeBytes),
    })),
    mounts: record.mounts.map((mount) => ({ ...mount, path: encodeBytes(mount.path) })),
  };
  return `${JSON.stringify(document, null, 1)}\n`;
}

/**
 * Parses `sandbox.json`; `where` names it in the error. Hand-written, because
 * loading a schema library costs more than all of `agentfw list`.
 */
export function decodeRecord(text: string, where: string): SandboxRecord {
  let fields: Fields;
  try {
    fields = objectField(JSON.parse(text), 'the document');
  } catch (cause) {
    throw new AgentfwError('AFW_STORE_RECORD', `Can't read ${where}.`, { cause, hint: BROKEN });
  }
  if (fields['version'] !== 1) {
    throw new AgentfwError(
      'AFW_STORE_VERSION',
      `Can't read ${where}: format ${String(fields['version'])}, and this version of agentfw reads format 1.`,
      { hint: 'Use the version of agentfw that made it, or a newer one' },
    );
  }
  try {
    return recordOf(fields);
  } catch (cause) {
    throw new AgentfwError('AFW_STORE_RECORD', `Can't read ${where}.`, { cause, hint: BROKEN });
  }
}

const BROKEN = 'What the agent wrote is in layers/ beside it; move that directory away if nothing of it is wanted';

function recordOf(fields: Fields): SandboxRecord {
  return {
    version: 1,
    tag: textField(fields['tag'], 'tag'),
    state: wordField(fields['state'], 'state', STATES),
    mode: wordField(fields['mode'], 'mode', ['user', 'root']),
    argv: listField(fields['argv'], 'argv').map((word) => bytesField(word, 'argv')),
    cwd: bytesField(fields['cwd'], 'cwd'),
    created: textField(fields['created'], 'created'),
    started: textField(fields['started'], 'started'),
    stopped: fields['stopped'] === null ? null : textField(fields['stopped'], 'stopped'),
    t0: bigintField(fields['t0'], 't0'),
    bootId: textField(fields['bootId'], 'bootId'),
    layers: listField(fields['layers'], 'layers').map(layerOf),
    driver: processOf(fields['driver'], 'driver'),
    init: processOf(fields['init'], 'init'),
    exit: exitOf(fields['exit']),
    degraded: listField(fields['degraded'], 'degraded').map(degradedOf),
    net: wordField(fields['net'], 'net', ['off', 'allow', 'ask', 'deny']),
    mounts: listField(fields['mounts'], 'mounts').map(mountOf),
    durable: flagField(fields['durable'], 'durable'),
    ...(fields['limits'] === undefined ? {} : { limits: listField(fields['limits'], 'limits').map(limitOf) }),
    ...(fields['groups'] === undefined ? {} : { groups: listField(fields['groups'], 'groups').map(groupOf) }),
    ...(fields['limited'] === undefined ? {} : { limited: textField(fields['limited'], 'limited') }),
    ...(fields['audit'] === undefined ? {} : { audit: anchorOf(fields['audit']) }),
    ...(fields['policy'] === undefined ? {} : { policy: policyOf(fields['policy']) }),
  };
}

function layerOf(value: unknown): Layer {
  const fields = objectField(value, 'layers');
  return {
    id: numberField(fields['id'], 'layers.id'),
    base: bytesField(fields['base'], 'layers.base'),
    dir: bytesField(fields['dir'], 'layers.dir'),
    family: wordField(fields['family'], 'layers.family', ['user', 'trusted']),
    covered: listField(fields['covered'], 'layers.covered').map((path) => bytesField(path, 'layers.covered')),
    skeleton: flagField(fields['skeleton'], 'layers.skeleton'),
    ...(fields['top'] === undefined ? {} : { top: topOf(fields['top']) }),
    ...(fields['bare'] === true ? { bare: true } : {}),
  };
}

function topOf(value: unknown): LayerTop {
  const { mode, uid, gid, over, attributes } = objectField(value, 'layers.top');
  const owner = (id: unknown): number | null => (id === null ? null : numberField(id, 'layers.top'));
  return { mode: numberField(mode, 'layers.top'), uid: owner(uid), gid: owner(gid), ...(attributes === undefined ? {} : { attributes: textField(attributes, 'layers.top') }), ...(over === undefined ? {} : { over: textField(over, 'layers.top') }) };
}

function processOf(value: unknown, name: string): SandboxRecord['driver'] {
  if (value === null) return null;
  const fields = objectField(value, name);
  return { pid: numberField(fields['pid'], `${name}.pid`), start: textField(fields['start'], `${name}.start`) };
}

function exitOf(value: unknown): SandboxRecord['exit'] {
  if (value === null) return null;
  const fields = objectField(value, 'exit');
  return 'signal' in fields
    ? { signal: numberField(fields['signal'], 'exit.signal') }
    : { code: numberField(fields['code'], 'exit.code') };
}

function degradedOf(value: unknown): SandboxRecord['degraded'][number] {
  const fields = objectField(value, 'degraded');
  return {
    ...{ name: textField(fields['name'], 'degraded.name'), why: textField(fields['why'], 'degraded.why') },
    ...(fields['accepted'] === true ? { accepted: true } : {}),
  };
}

function limitOf(value: unknown): Limit {
  const fields = objectField(value, 'limits');
  return {
    name: wordField(fields['name'], 'limits.name', ['memory', 'pids', 'cpu', 'layer', 'inodes', 'time']),
    value: fractionOf(fields['value']),
    by: wordField(fields['by'], 'limits.by', ['group', 'rlimit', 'watch']),
  };
}

/** Processors come in parts. */
function fractionOf(value: unknown): number {
  return typeof value === 'number' && value > 0 ? value : numberField(value, 'limits.value');
}

function groupOf(value: unknown): Group {
  const fields = objectField(value, 'groups');
  return {
    version: numberField(fields['version'], 'groups.version') === 2 ? 2 : 1,
    controllers: listField(fields['controllers'], 'groups.controllers').map((word) => wordField(word, 'groups.controllers', ['memory', 'pids', 'cpu'])),
    dir: textField(fields['dir'], 'groups.dir'),
    back: textField(fields['back'], 'groups.back'),
  };
}

function anchorOf(value: unknown): NonNullable<SandboxRecord['audit']> {
  const fields = objectField(value, 'audit');
  return { index: numberField(fields['index'], 'audit.index'), hash: textField(fields['hash'], 'audit.hash'), signed: flagField(fields['signed'], 'audit.signed') };
}

function policyOf(value: unknown): NonNullable<SandboxRecord['policy']> {
  const fields = objectField(value, 'policy');
  const version = fields['version'] === null ? null : textField(fields['version'], 'policy.version');
  return { digest: textField(fields['digest'], 'policy.digest'), profile: textField(fields['profile'], 'policy.profile'), version };
}

function mountOf(value: unknown): SandboxRecord['mounts'][number] {
  const fields = objectField(value, 'mounts');
  return {
    path: bytesField(fields['path'], 'mounts.path'),
    decision: textField(fields['decision'], 'mounts.decision'),
    why: textField(fields['why'], 'mounts.why'),
  };
}
